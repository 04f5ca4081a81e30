"""An object that is being fetched: in a file of its own, read by guests while it grows, checked as it comes."""

import contextlib
import threading
from pathlib import Path
from typing import BinaryIO, Final

from client.appliance.cvmfs.rules import ObjectName

#: of an object for which the disk has no room, so much is held in memory and passed on
MOST_IN_MEMORY: Final = 32 * 2**20


class NoRoom(Exception):
    """Neither the disk nor the memory set aside for this takes the object."""


class Part:
    """Bytes in the order in which they came. Its methods block, and may be called by threads.

    What a disk refuses goes to memory, so that the guests who wait for it get it all the same.
    """

    def __init__(self, path: Path, name: ObjectName, *, most_in_memory: int = MOST_IN_MEMORY) -> None:
        self.size = 0
        self._path = path
        self._check = name.new_check()
        self._lock = threading.Lock()
        self._memory = bytearray()
        self._most_in_memory = most_in_memory
        self._on_disk = 0
        self._file: BinaryIO | None = None
        self.is_on_disk = True
        try:
            self._file = path.open("x+b", buffering=0)
        except OSError:
            self.is_on_disk = False

    def write(self, data: bytes) -> None:
        """Take what came next.

        Raises:
            NoRoom: there is no place for it.
        """
        if self._check is not None:
            self._check.take(data)
        with self._lock:
            if self.is_on_disk:
                data = data[self._to_disk(data) :]
            if len(self._memory) + len(data) > self._most_in_memory:
                raise NoRoom
            self._memory += data
        self.size = self._on_disk + len(self._memory)

    def _to_disk(self, data: bytes) -> int:
        written = 0
        try:
            assert self._file is not None
            self._file.seek(self._on_disk)
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError:
            self.is_on_disk = False
        self._on_disk += written
        return written

    def read(self, offset: int, size: int) -> bytes:
        """Some of the bytes so far; fewer than `size` where disk and memory meet, and at the end."""
        with self._lock:
            if offset >= self._on_disk or self._file is None:
                start = offset - self._on_disk
                return bytes(self._memory[start : start + size])
            self._file.seek(offset)
            return self._file.read(min(size, self._on_disk - offset))

    def fits(self) -> bool:
        """Whether all that came is the object; to be asked once, at the end."""
        return self._check is not None and self._check.fits()

    def move(self, path: Path) -> None:
        """Give the file its name; reading goes on.

        Raises:
            OSError: it keeps its old name, if anything.
        """
        with self._lock:
            if not self.is_on_disk or self._file is None:
                raise OSError("not on disk")
            # Closed meanwhile: Windows renames no open file.
            self._file.close()
            self._path.replace(path)
            self._path = path
            self._file = path.open("rb", buffering=0)

    def close(self, *, kept: bool) -> None:
        """Let go of it; what was not kept is removed. Idempotent."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            if not kept:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def __del__(self) -> None:
        # The proxy may end while a thread makes this: then nobody gets it, and the file is swept at the next start.
        if self._file is not None:
            self._file.close()
