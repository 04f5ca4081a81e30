"""The objects on disk: one file each, named by what it holds; the file system is the only index.

    <folder>/objects/<2 digits>/<38 digits + tag + suffix>     whole and checked when it was put there
    <folder>/parts/                                            being fetched; swept at each start

An object's modification time says when it was last used. Whatever a kill or a power cut leaves under a name is found
out when it is read, because it is read with its check.
"""

import contextlib
import os
import shutil
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from client.appliance.cvmfs.part import Part
from client.appliance.cvmfs.rules import ObjectName

#: a use is noted if the last one is longer ago
NOTED_EVERY_S: Final = 600.0
#: eviction makes so much more room than is needed, to have rest for a while
_SLACK: Final = 0.1
#: what a small file takes on disk beyond its bytes, roughly: half a block
_OVERHEAD_BYTES: Final = 2048
#: what is on its way together may take no more of the cache than this share
_LARGEST_SHARE: Final = 0.5
#: so much of the disk stays free for everything else
SPARE_BYTES: Final = 256 * 2**20


class ObjectStore:
    """A folder of objects with a limit. All methods block; `open` comes first. For one process at a time."""

    def __init__(self, folder: Path, limit_bytes: int, *, noted_every_s: float = NOTED_EVERY_S) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._objects = folder / "objects"
        self._parts = folder / "parts"
        self._noted_every_s = noted_every_s
        self._made = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the folders, sweep what was not finished, and count.

        Raises:
            OSError: the folder cannot be used.
        """
        shutil.rmtree(self._parts, ignore_errors=True)
        self._parts.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)
        self.used_bytes = sum(_cost(entry) for entry in self._files())
        if self.used_bytes > self.limit_bytes:
            self._evict(0)

    def set_limit(self, limit_bytes: int) -> None:
        """Take no more than this from now on."""
        with self._lock:
            self.limit_bytes = limit_bytes
            if self.used_bytes > limit_bytes:
                self._evict(0)

    @property
    def largest_bytes(self) -> int:
        """How long an object may be, and all that are being fetched together."""
        return int(self.limit_bytes * _LARGEST_SHARE)

    def has_space(self, size_bytes: int) -> bool:
        """Whether the disk has room for so much, and some to spare."""
        return shutil.disk_usage(self._objects).free - size_bytes >= SPARE_BYTES

    def path(self, name: ObjectName) -> Path:
        """Where an object is, if it is there."""
        text = str(name)
        return self._objects / text[:2] / text[2:]

    def begin(self, name: ObjectName, on_its_way_bytes: int = 0) -> Part:
        """A place for an object that is being fetched, and within the limit for all that are."""
        with self._lock:
            self._made += 1
            if self.used_bytes + on_its_way_bytes > self.limit_bytes:
                self._evict(on_its_way_bytes)
        return Part(self._parts / f"{name}.{self._made}", name)

    def load(self, name: ObjectName) -> "Stored | None":
        """An object that is there. Its bytes are not checked by this; a note is made that it was used."""
        path = self.path(name)
        try:
            stored = Stored(path.open("rb"), name)
            if time.time() - path.stat().st_mtime > self._noted_every_s:
                os.utime(path)
        except OSError:
            return None
        return stored

    def keep(self, part: Part, name: ObjectName) -> bool:
        """Give a whole and checked part its name. Returns whether it is in the cache now."""
        cost = part.size + _OVERHEAD_BYTES
        if cost > self.largest_bytes:
            return False
        path = self.path(name)
        with self._lock:
            try:
                if self.used_bytes + cost > self.limit_bytes:
                    self._evict(cost)
                path.parent.mkdir(exist_ok=True)
                self._forget(path)
                part.move(path)
            except OSError:
                return False
            self.used_bytes += cost
        return True

    def remove(self, name: ObjectName) -> None:
        """Forget an object, as one that is damaged."""
        with self._lock:
            self._forget(self.path(name))

    def _forget(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            self.used_bytes = max(0, self.used_bytes - size - _OVERHEAD_BYTES)

    def _evict(self, needed_bytes: int) -> None:
        """Remove what was used longest ago until there is place for `needed_bytes` and some more.

        Two walks and 16 bytes an object, instead of an index in memory: a full cache has some 100 000 objects.
        """
        target = self.used_bytes + needed_bytes + int(self.limit_bytes * _SLACK) - self.limit_bytes
        times, costs = array("d"), array("q")
        for entry in self._files():
            times.append(_used_at(entry))
            costs.append(_cost(entry))
        until, freed = float("-inf"), 0
        for index in sorted(range(len(times)), key=times.__getitem__):
            if freed >= target:
                break
            until = times[index]
            freed += costs[index]
        self._remove_until(until, target)
        self.used_bytes = sum(_cost(entry) for entry in self._files())

    def _remove_until(self, until: float, target: int) -> None:
        freed = 0
        for entry in self._files():
            if freed < target and _used_at(entry) <= until:
                cost = _cost(entry)
                # Windows keeps a file that is being read; it goes another time.
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
                    freed += cost

    def _files(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self._objects) as folders:
            for folder in folders:
                if folder.is_dir(follow_symlinks=False):
                    with os.scandir(folder) as entries:
                        yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))


class Stored:
    """An open object of the store, for one reader. To be closed."""

    def __init__(self, file: BinaryIO, name: ObjectName) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self.name = name
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        """Some bytes of it; blocks."""
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __del__(self) -> None:
        # A guest may leave while a thread opens this for it: then nobody gets it.
        self._file.close()


def _cost(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size + _OVERHEAD_BYTES
    except OSError:
        return 0


def _used_at(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return float("inf")
