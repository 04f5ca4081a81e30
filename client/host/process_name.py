"""The name of a program by its process, in the form in which preferences name programs."""

import sys
from pathlib import Path
from typing import Final

import psutil

#: The kernel keeps this many characters of a name. Source: proc(5), /proc/PID/comm
_KERNEL_KEEPS: Final = 15
_OF_THE_KERNEL: Final = 0x00200000


def name_of(pid: int) -> str:
    """The program's name, lower case, without `.exe`; empty when there is no such program."""
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
        name, is_kernels = stat_in((folder / "stat").read_text(errors="replace"))
        if len(name.encode()) >= _KERNEL_KEEPS and not is_kernels:
            # Cut off: the whole name is at the beginning of the command line, if that is still the same.
            whole = Path((folder / "cmdline").read_text(errors="replace").split("\0")[0]).name
            name = whole if whole.startswith(name) else name
    except (OSError, ValueError, IndexError):
        return ""
    return "" if is_kernels else plain(name)


def stat_in(text: str) -> tuple[str, bool]:
    """The name in /proc/PID/stat, and whether it is a thread of the kernel, which is no program.

    Source: proc(5); names may hold anything, parentheses too. linux/sched.h, PF_KTHREAD.

    Raises:
        ValueError, IndexError: it is no such text.
    """
    begin, end = text.index("("), text.rindex(")")
    flags = int(text[end + 1 :].split()[6])
    return text[begin + 1 : end], bool(flags & _OF_THE_KERNEL)
