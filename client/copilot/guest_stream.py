"""Streams between the link and a command: read no faster than the host takes, written as the command reads.

Each piece says where it begins. The taker says how far it is; what it has not taken is kept here, so that nothing is
lost when the client on the host is restarted and another one goes on from there.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from client.link import PIECE_BYTES, PIECES_UNDER_WAY

#: most that is read ahead of the host
HELD_BYTES: Final = 64 * 1024


class Outflow:
    """One output of a command on its way to the host.

    Attributes:
        taken: bytes that the host has.
        ended: whether the command and all that it started have closed it.
    """

    def __init__(self, pipe: int, say: Callable[[int, bytes], None], on_end: Callable[[], None]) -> None:
        """Begins to read `pipe`, which it owns.

        Args:
            say: gets each piece with its offset.
            on_end: called once, at the end.
        """
        self.taken = 0
        self.ended = False
        self._pipe = pipe
        self._say = say
        self._on_end = on_end
        self._kept = bytearray()
        self._said = 0
        self._under_way: deque[int] = deque()
        self._reading = False
        os.set_blocking(pipe, False)
        self._watch()

    @property
    def total(self) -> int:
        """Bytes read so far."""
        return self.taken + len(self._kept)

    @property
    def full(self) -> bool:
        """Whether reading waits for the host."""
        return not self.ended and len(self._kept) >= HELD_BYTES

    def room(self, taken: int) -> None:
        """The host has all up to there."""
        if not self.taken < taken <= self._said:
            return
        del self._kept[: taken - self.taken]
        self.taken = taken
        while self._under_way and self._under_way[0] <= taken:
            self._under_way.popleft()
        self._push()
        self._watch()

    def again(self) -> None:
        """Another client: says all once more that it cannot have."""
        self._said = self.taken
        self._under_way.clear()
        self._push()

    def close(self) -> None:
        """Reads no more. Idempotent."""
        if not self.ended:
            self.ended = True
            self._watch()
            os.close(self._pipe)
            self._on_end()

    def _watch(self) -> None:
        wanted = not self.ended and len(self._kept) < HELD_BYTES
        if wanted != self._reading:
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_reader(self._pipe, self._read)
            else:
                loop.remove_reader(self._pipe)
            self._reading = wanted

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._kept += data
        self._push()
        self._watch()

    def _push(self) -> None:
        while self._said < self.total and len(self._under_way) < PIECES_UNDER_WAY:
            begin = self._said - self.taken
            piece = bytes(self._kept[begin : begin + PIECE_BYTES])
            self._say(self._said, piece)
            self._said += len(piece)
            self._under_way.append(self._said)


class Inflow:
    """The input of a command. taken: bytes that it has read, or will never read."""

    def __init__(self, pipe: int, on_taken: Callable[[int], None]) -> None:
        """Owns `pipe`. on_taken: called with `taken` whenever that grows."""
        self.taken = 0
        self._pipe: int | None = pipe
        self._on_taken = on_taken
        self._waiting = bytearray()
        self._ends = False
        self._writing = False
        os.set_blocking(pipe, False)

    def take(self, offset: int, data: bytes, end: bool) -> None:
        """A piece of the host; one that came before, or after a gap, is dropped."""
        if offset != self.taken + len(self._waiting) or self._ends:
            return
        self._waiting += data
        self._ends = end
        self._write()

    def close(self) -> None:
        """Writes no more. Idempotent."""
        if self._pipe is not None:
            self._watch(False)
            os.close(self._pipe)
            self._pipe = None

    def _write(self) -> None:
        before = self.taken
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                self._done(self._try())
        self._watch(bool(self._waiting))
        if self._ends and not self._waiting:
            self.close()
        if self.taken > before:
            self._on_taken(self.taken)

    def _try(self) -> int:
        if self._pipe is None:
            return len(self._waiting)
        try:
            return os.write(self._pipe, self._waiting[:PIECE_BYTES])
        except BrokenPipeError:
            # The command reads no more; what is left goes nowhere, as in any shell.
            self.close()
            return len(self._waiting)

    def _done(self, count: int) -> None:
        del self._waiting[:count]
        self.taken += count

    def _watch(self, wanted: bool) -> None:
        if wanted != self._writing and self._pipe is not None:
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_writer(self._pipe, self._write)
            else:
                loop.remove_writer(self._pipe)
            self._writing = wanted
