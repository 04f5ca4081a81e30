"""The hashes of a file that grows from its beginning, worked out beside the thread that reads and writes it."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from client.appliance.errors import ApplianceAltered
from client.appliance.target import Target

#: less is hashed at once: to hand it over would take as long
_WORTH_BYTES: Final = 32 * 1024
#: no more parts wait to be hashed: few that come and go are given the same memory again by the system's allocator
_MOST_BEHIND: Final = 1


class Digests:
    """The hash of a target from its beginning on, and of the piece under way if that one does not say enough.

    With known prefixes one hash tells of both, whether a piece is right and whether the whole is. Else each byte is
    hashed twice: files are kept under the hash of the whole, which whoever signs the hashes of pieces may not own.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._twice = bool(target.pieces) and not target.prefixes
        self._beside = ThreadPoolExecutor(1 + self._twice, "hash")
        self._behind: deque[Future[None]] = deque()
        self.forget()

    def forget(self) -> None:
        """Begin anew, at the file's beginning."""
        self._settle(0)
        # Of the file so far, of the file up to the piece under way, and of that piece.
        self._whole, self._before, self._piece = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def add(self, data: memoryview) -> None:
        """Begin to hash bytes that do not reach beyond the piece that they are in. They must not change any more."""
        updates = [self._whole.update, self._piece.update] if self._twice else [self._whole.update]
        if len(data) < _WORTH_BYTES:
            self._settle(0)
            for update in updates:
                update(data)
            return
        # Two threads could take two parts of one hash in the wrong order, so they get one part at a time.
        self._settle(0 if self._twice else _MOST_BEHIND)
        self._behind += [self._beside.submit(update, data) for update in updates]

    def end_piece(self, index: int) -> None:
        """Look at the piece that has just ended.

        Raises:
            ApplianceAltered: it is wrong; it counts as not added.
        """
        self._settle(0)
        known, digest = self._target.prefixes, self._whole
        if self._twice:
            known, digest = self._target.pieces, self._piece
        if known and digest.hexdigest() != known[index]:
            found, self._whole = digest.hexdigest(), self._before.copy()
            self._piece = hashlib.sha256()
            raise ApplianceAltered(self._target.name, known[index], found)
        self._before, self._piece = self._whole.copy(), hashlib.sha256()

    def whole(self) -> str:
        """SHA-256 of all that was added, in lower-case hex."""
        self._settle(0)
        return self._whole.hexdigest()

    def close(self) -> None:
        """Nothing is hashed any more."""
        self._beside.shutdown()

    def _settle(self, most: int) -> None:
        """Wait until no more than so many parts have still to be hashed."""
        while len(self._behind) > most:
            self._behind.popleft().result()
