"""A file on its way: its bytes are hashed as they come, and a piece that is wrong is cut off again."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from client.appliance.digests import Digests
from client.appliance.errors import ApplianceAltered
from client.appliance.target import Target

_READ_BYTES: Final = 1024 * 1024


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
        # The main thread waits for the network and the disk meanwhile.
        self._digests = Digests(target)

    def close(self) -> None:
        """The file stays, to be gone on with."""
        self._digests.close()
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
                    self._digests.add(slice_)
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
            self._digests.add(slice_)
            rest = slice_
            while rest:
                rest = rest[self._file.write(rest) :]
            self._take(len(slice_))

    def finish(self, to: Path) -> None:
        """Give the file its name, if all of it is right.

        Raises:
            ApplianceAltered: it is not; nothing of it is kept.
        """
        found = self._digests.whole()
        if self.position != self._target.size_bytes or found != self._target.sha256:
            self.position = 0
            self._digests.forget()
            self._cut()
            raise ApplianceAltered(str(to), self._target.sha256, found)
        os.fsync(self._file.fileno())
        self._file.close()
        put_in_place(self._path, to)

    def _take(self, count: int) -> None:
        """Count bytes that were hashed; look at the hash of their piece if they end it."""
        self.position += count
        if self.position % self._target.piece_bytes and self.position != self._target.size_bytes:
            return
        index = (self.position - 1) // self._target.piece_bytes
        try:
            self._digests.end_piece(index)
        except ApplianceAltered:
            self.position = index * self._target.piece_bytes
            self._cut()
            raise

    def _split(self, data: bytes) -> Iterator[memoryview]:
        view = memoryview(data)
        while view:
            count = self._target.piece_bytes - self.position % self._target.piece_bytes
            yield view[:count]
            view = view[count:]

    def _cut(self) -> None:
        self._file.seek(self.position)
        self._file.truncate()
