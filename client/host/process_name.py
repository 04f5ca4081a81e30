"""The name of a program by its process, in the form in which preferences name programs."""

import sys
from pathlib import Path
from typing import Final

import psutil

#: The kernel keeps this many characters of a name. Source: proc(5), /proc/pid/comm
_KERNEL_KEEPS: Final = 15


def name_of(pid: int) -> str:
    """The program's name, lower case, without `.exe`; empty when there is no such process."""
    if sys.platform == "linux":
        return _in_proc(Path("/proc") / str(pid))
    try:
        return plain(psutil.Process(pid).name())
    except (psutil.Error, OSError):
        return ""


def plain(name: str) -> str:
    """A program's name as preferences have it."""
    return name.strip().lower().removesuffix(".exe")


def _in_proc(folder: Path) -> str:
    try:
        name = (folder / "comm").read_text(errors="replace").rstrip("\n")
        if len(name.encode()) >= _KERNEL_KEEPS:
            # Cut off: the whole name is at the beginning of the command line, if that is still the same.
            whole = Path((folder / "cmdline").read_text(errors="replace").split("\0")[0]).name
            name = whole if whole.startswith(name) else name
    except OSError:
        return ""
    return plain(name)
