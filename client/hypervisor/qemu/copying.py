"""Copies of large files, shared with the original where the file system can."""

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Final

#: Source: linux/fs.h, _IOW(0x94, 9, int); Btrfs, XFS and others share the blocks until one side writes.
_CLONE: Final = 0x40049409


def copy_file(source: Path, target: Path) -> bool:
    """Copy a file's contents; returns whether they are shared instead of copied.

    Raises:
        OSError: it cannot be read or written; a part of it may be there.
    """
    if sys.platform == "linux" and _clone(source, target):
        return True
    shutil.copyfile(source, target)
    return False


def _clone(source: Path, target: Path) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    with contextlib.suppress(OSError), source.open("rb") as read, target.open("wb") as written:
        fcntl.ioctl(written.fileno(), _CLONE, read.fileno())
        return True
    return False
