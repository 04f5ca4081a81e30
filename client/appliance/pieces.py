"""A file on its way: its bytes are hashed as they come, and a piece that is wrong is cut off again."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

from client.appliance.errors import ApplianceAltered
from client.appliance.target import Target

_READ_BYTES: Final = 1024 * 1024
#: less is hashed at once: to hand it over would take as long
_WORTH_BYTES: Final = 32 * 1024


def piece_hashes(path: Path, piece_bytes: int) -> tuple[str, ...]:
    """SHA-256 of each piece of a file, in lower-case hex; for those who publish and those who check."""
    found = []
    with path.open("rb") as file:
        while (digest := _digest(file, piece_bytes)) is not None:
            found.append(digest)
    return tuple(found)


def is_whole(path: Path, target: Target) -> bool:
    """Whether the file is there, with the right bytes; all of them are read."""
    try:
        if path.stat().st_size != target.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == target.sha256
    except OSError:
        return False


def put_in_place(part: Path, to: Path) -> None:
    """Give a file that is on the disk its name; both survive a sudden end."""
    part.replace(to)
    with contextlib.suppress(OSError, AttributeError):  # Windows cannot open folders
        folder = os.open(to.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class PartFile:
    """The beginning of a target on the disk. What is before `position` has passed every check that there is for it.

    Attributes:
        position: how many bytes are there.
    """

    def __init__(self, path: Path, target: Target) -> None:
        self._target = target
        self._path = path
        self._file: IO[bytes] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)), "r+b", 0)
        self.position = 0
        # Both hashes beside the main thread, which waits for the network and the disk meanwhile.
        self._beside = ThreadPoolExecutor(2, "hash")
        self._hashing: list[Future[None]] = []
        # Of the file so far, of the file up to the piece under way, and of that piece.
        self._whole, self._whole_before, self._piece = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def close(self) -> None:
        """The file stays, to be gone on with."""
        self._beside.shutdown()
        self._file.close()

    def resume(self, seen: Callable[[int], None]) -> None:
        """Take what is in the file, as far as it is right; cut off the rest.

        Args:
            seen: called with the position now and then; what it raises ends this.
        """
        self._file.seek(0)
        with contextlib.suppress(ApplianceAltered):
            while self.position < self._target.size_bytes and (data := self._file.read(_READ_BYTES)):
                data = data[: self._target.size_bytes - self.position]
                for slice_ in self._split(data):
                    self._hash(slice_)
                    self._take(len(slice_))
                seen(self.position)
        self._cut()

    def write(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            ApplianceAltered: they made a piece whole that is wrong; it is cut off.
            OSError: they could not be written.
        """
        for slice_ in self._split(data):
            self._hash(slice_)
            rest = slice_
            while rest:
                rest = rest[self._file.write(rest) :]
            self._take(len(slice_))

    def finish(self, to: Path) -> None:
        """Give the file its name, if all of it is right.

        Raises:
            ApplianceAltered: it is not; nothing of it is kept.
        """
        self._settle()
        found = self._whole.hexdigest()
        if self.position != self._target.size_bytes or found != self._target.sha256:
            self.position = 0
            self._whole, self._whole_before, self._piece = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
            self._cut()
            raise ApplianceAltered(str(to), self._target.sha256, found)
        os.fsync(self._file.fileno())
        self._file.close()
        put_in_place(self._path, to)

    def _hash(self, data: memoryview) -> None:
        """Begin to hash bytes that do not reach beyond the piece that they are in."""
        self._settle()
        updates = [self._whole.update, self._piece.update] if self._target.pieces else [self._whole.update]
        if len(data) >= _WORTH_BYTES:
            self._hashing = [self._beside.submit(update, data) for update in updates]
        else:
            for update in updates:
                update(data)

    def _settle(self) -> None:
        for one in self._hashing:
            one.result()
        self._hashing = []

    def _take(self, count: int) -> None:
        """Count bytes that were hashed; look at the hash of their piece if they end it."""
        self.position += count
        if not self._target.pieces:
            return
        if self.position % self._target.piece_bytes and self.position != self._target.size_bytes:
            return
        self._settle()
        index = (self.position - 1) // self._target.piece_bytes
        expected, found = self._target.pieces[index], self._piece.hexdigest()
        self._piece = hashlib.sha256()
        if found != expected:
            self.position = index * self._target.piece_bytes
            self._whole = self._whole_before
            self._whole_before = self._whole.copy()
            self._cut()
            raise ApplianceAltered(self._target.name, expected, found)
        self._whole_before = self._whole.copy()

    def _split(self, data: bytes) -> Iterator[memoryview]:
        view = memoryview(data)
        while view:
            count = self._target.piece_bytes - self.position % self._target.piece_bytes
            yield view[:count]
            view = view[count:]

    def _cut(self) -> None:
        self._file.seek(self.position)
        self._file.truncate()


def _digest(file: IO[bytes], most_bytes: int) -> str | None:
    digest, left = hashlib.sha256(), most_bytes
    while left and (data := file.read(min(left, _READ_BYTES))):
        digest.update(data)
        left -= len(data)
    return digest.hexdigest() if left != most_bytes else None
