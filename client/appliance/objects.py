"""Verified files by their content: <folder>/objects/<first two digits>/<sha256>/<name>, one copy for all VMs.

A file gets its name only when it is right, is read-only from then on, and loses its name before anything in it is
changed. Files on their way, or set aside because they are damaged, lie in parts/ under their digest.
"""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from client import filenames
from client.appliance.pieces import put_in_place

#: the same for every copy of a file, since what a hypervisor derives from a file may be bound to its time
FIXED_TIME_S: Final = 1_000_000_000
_READ_ONLY: Final = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DAMAGED: Final = ".damaged"


def is_digest(text: str) -> bool:
    """Whether it is a SHA-256 in lower-case hex."""
    return _DIGEST.fullmatch(text) is not None


class Objects:
    """The files on disk. Every method may block for as long as the disk does."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: of all appliances; it need not be there."""
        self._objects = folder / filenames.OBJECTS
        self._parts = folder / filenames.PARTS

    def place(self, sha256: str, name: str) -> Path:
        """Where that content lies, or would lie under this name if it is not there."""
        return self._present(sha256) or self._folder(sha256) / name

    def part(self, sha256: str) -> Path:
        """Where it grows."""
        return self._parts / f"{sha256}{filenames.PART_SUFFIX}"

    def aside(self, sha256: str) -> Path:
        """Where it lies while it is damaged."""
        return self._parts / f"{sha256}{_DAMAGED}"

    def has(self, sha256: str, size_bytes: int) -> bool:
        """Whether it is there with the right length; cheap."""
        found = self._present(sha256)
        try:
            return found is not None and found.stat().st_size == size_bytes
        except OSError:
            return False

    def seal(self, sha256: str) -> None:
        """Make it read-only, with the time that all have. The same again changes nothing."""
        path = self._present(sha256)
        if path is None:
            return
        for rest in self._unfinished(sha256):
            rest.unlink(missing_ok=True)
        about = path.stat()
        if about.st_mtime_ns != FIXED_TIME_S * 10**9:
            os.utime(path, (FIXED_TIME_S, FIXED_TIME_S))
        # On Windows that would keep VirtualBox's second names of the file from being removed.
        if sys.platform != "win32" and stat.S_IMODE(about.st_mode) & ~_READ_ONLY:
            path.chmod(_READ_ONLY)

    def set_aside(self, sha256: str) -> None:
        """Take its name from a file that is damaged; it may be repaired, and then put back."""
        path = self._present(sha256)
        if path is None:
            return
        self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(_READ_ONLY | stat.S_IWUSR)
        path.replace(self.aside(sha256))

    def take_in(self, path: Path, sha256: str, name: str) -> None:
        """Give a file that was verified just now its place; it is moved, or forgotten if there is one already."""
        target = self.place(sha256, name)
        if target.exists():
            path.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            put_in_place(path, target)
        self.seal(sha256)

    def remove(self, sha256: str) -> int:
        """Remove a file and what is unfinished of it; returns how many bytes that gave."""
        freed = 0
        paths = [*self._children(self._folder(sha256)), *self._unfinished(sha256)]
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                freed += path.stat().st_size
                # Windows does not remove what is read-only.
                path.chmod(_READ_ONLY | stat.S_IWUSR)
                path.unlink()
        folder = self._folder(sha256)
        for empty in (folder, folder.parent):
            with contextlib.suppress(OSError):
                empty.rmdir()
        return freed

    def sizes(self) -> dict[str, int]:
        """All that is there, unfinished files too: SHA-256 -> bytes."""
        found: dict[str, int] = {}
        for sha256, path in self._all():
            with contextlib.suppress(OSError):
                found[sha256] = found.get(sha256, 0) + path.stat().st_size
        return found

    def strangers(self) -> Iterator[Path]:
        """Files and empty folders that are nobody's: left by a sudden end, or put here by hand."""
        for folder in self._children(self._objects):
            for inner in self._children(folder):
                if not (is_digest(inner.name) and inner.name.startswith(folder.name)) or not any(self._children(inner)):
                    yield inner
                else:
                    yield from (path for path in self._children(inner) if path.name.startswith("."))
            if not any(self._children(folder)):
                yield folder
        for path in self._children(self._parts):
            if not is_digest(path.name.partition(".")[0]):
                yield path

    def _all(self) -> Iterator[tuple[str, Path]]:
        for folder in self._children(self._objects):
            for inner in self._children(folder):
                if is_digest(inner.name):
                    yield from ((inner.name, path) for path in self._children(inner))
        for path in self._children(self._parts):
            sha256 = path.name.partition(".")[0]
            if is_digest(sha256):
                yield sha256, path

    def _present(self, sha256: str) -> Path | None:
        """The file of that content, whatever its name: the first appliance that brought it has named it."""
        return next(iter(sorted(self._files(sha256))), None)

    def _files(self, sha256: str) -> list[Path]:
        found = self._children(self._folder(sha256))
        # File managers leave hidden files wherever somebody looked.
        return [path for path in found if not path.name.startswith(".") and path.is_file()]

    def _unfinished(self, sha256: str) -> list[Path]:
        return [path for path in self._children(self._parts) if path.name.startswith(f"{sha256}.")]

    def _folder(self, sha256: str) -> Path:
        return self._objects / sha256[:2] / sha256

    @staticmethod
    def _children(folder: Path) -> list[Path]:
        try:
            return list(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
