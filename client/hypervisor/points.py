"""Named points of a VM's life as folders: made whole under another name first, so one that is listed is whole.

<folder>/000003-before-update/     a point; the number gives the order, the highest of a name counts
<folder>/.part                     one that is being made; left by a kill it is removed when the next is made
<folder>/.gone-...                 one that is being removed, likewise
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from client.errors import BadInput

_POINT: Final = re.compile(r"(\d{6,})-([a-z0-9][a-z0-9-]{0,62})")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PART: Final = ".part"
_GONE: Final = ".gone-"


def check_name(name: str) -> None:
    """See that it can name a point.

    Raises:
        BadInput: it cannot.
    """
    if _NAME.fullmatch(name) is None:
        raise BadInput("snapshot", f"{name!r} cannot be its name", "use lower-case letters, digits and dashes")


class Points:
    """The points of one VM.

    Args:
        folder: holds them and nothing else; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> tuple[str, ...]:
        """Names of the points, oldest first."""
        newest = {name: number for number, name, _ in self._all()}
        return tuple(sorted(newest, key=newest.__getitem__))

    def find(self, name: str) -> Path | None:
        """The folder of a point, if there is one."""
        return next((path for _, known, path in reversed(self._all()) if known == name), None)

    def begin(self) -> Path:
        """An empty folder for a new point.

        Raises:
            OSError: it cannot be made.
        """
        self._sweep()
        part = self._folder / _PART
        part.mkdir(parents=True)
        return part

    def commit(self, name: str) -> None:
        """Have what was begun as a point on disk; it replaces one of the same name.

        Raises:
            OSError: it cannot be written.
        """
        part, all_points = self._folder / _PART, self._all()
        for path in (*part.iterdir(), part):
            _sync(path)
        number = max((number for number, _, _ in all_points), default=0) + 1
        part.rename(self._folder / f"{number:06}-{name}")
        _sync(self._folder)
        self._remove([path for _, known, path in all_points if known == name])

    def drop(self) -> None:
        """Remove what was begun, if it was not committed."""
        shutil.rmtree(self._folder / _PART, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove the points of that name, the oldest first.

        Raises:
            OSError: it cannot be removed.
        """
        self._remove([path for _, known, path in self._all() if known == name])

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            # A kill while it is removed leaves nothing that would be listed.
            gone = path.with_name(_GONE + path.name)
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _sweep(self) -> None:
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)

    def _all(self) -> list[tuple[int, str, Path]]:
        """(number, name, folder) of each point, the oldest first."""
        if not self._folder.is_dir():
            return []
        found = [(path, _POINT.fullmatch(path.name)) for path in self._folder.iterdir()]
        return sorted((int(match[1]), match[2], path) for path, match in found if match)


def _sync(path: Path) -> None:
    if sys.platform == "win32":
        # There a folder cannot be opened, and a file only for writing.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
