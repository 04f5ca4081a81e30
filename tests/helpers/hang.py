"""Makes one thread of another process stand still, as a fault would, until it is let go or killed.

A stop signal would not do: the whole process obeys it, and any SIGCONT ends it.
Source: ptrace(2), PTRACE_SEIZE and PTRACE_INTERRUPT; the numbers are those of sys/ptrace.h.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_FUTEX = "202"
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request: int, thread: int) -> None:
    if _LIBC.ptrace(request, thread, None, None) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {thread}")


@contextlib.contextmanager
def held(thread: int) -> Iterator[None]:
    """The thread stands still; it goes on at the end, if it is still there."""
    _ptrace(_SEIZE, thread)
    try:
        _ptrace(_INTERRUPT, thread)
        os.waitpid(thread, _WALL)
        yield
    finally:
        with contextlib.suppress(OSError):
            _ptrace(_DETACH, thread)
        let_go_if_killed(thread)


def let_go_if_killed(thread: int) -> None:
    """A held thread that somebody has killed is gone only when whoever holds it has seen that."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(thread, _WALL | os.WNOHANG)


def processor_of(pid: int) -> int:
    """The thread of a hypervisor that runs the guest's processor: the one that has computed the longest."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return int(max(threads, key=lambda task: int((task / "stat").read_text().rpartition(")")[2].split()[11])).name)


def waits_for_lock(thread: int) -> bool:
    """Whether a thread stands before a lock that another one holds."""
    return Path(f"/proc/{thread}/syscall").read_text().split()[0] == _FUTEX
