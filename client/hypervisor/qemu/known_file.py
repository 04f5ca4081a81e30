"""What stands in a small file, read again only when the file has changed: a VM's folder is looked at every second."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class KnownFile(Generic[T]):
    """A file and what it says.

    Args:
        read: makes the value of the file's text; ValueError or TypeError: the text cannot be used.
        otherwise: the value when there is no file or it cannot be used.
    """

    def __init__(self, path: Path, read: Callable[[str], T], otherwise: T) -> None:
        self.path = path
        self._name = str(path)
        self._read = read
        self._otherwise = otherwise
        self._mark: tuple[int, int, int] | None = None
        self._value = otherwise

    def value(self) -> T:
        """What it says now. Files are replaced and not changed in place, so another one is another file."""
        try:
            status = os.stat(self._name)  # noqa: PTH116 - twice as fast as by Path, and called all the time
        except OSError:
            self.forget()
            return self._otherwise
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        if mark != self._mark:
            self._mark, self._value = mark, self._parsed()
        return self._value

    def forget(self) -> None:
        """Read it again the next time: to be called after it was written, for clocks of files are coarse."""
        self._mark, self._value = None, self._otherwise

    def _parsed(self) -> T:
        try:
            return self._read(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return self._otherwise
