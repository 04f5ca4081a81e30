"""Has VMs wait for all others, at the processor and at the disk, and keeps them to some processors. Always applied.

Guests are given no graphics processor, so there is nothing to be lowered.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from client import process
from client.errors import ClientError
from client.process import Identity

_NICE: Final = 19
#: SetPriorityClass, and what it needs of a process
_IDLE_PRIORITY_CLASS: Final = 0x40
_SET_INFORMATION: Final = 0x0200
_TIMEOUT_S: Final = 5.0


class Priority(Protocol):
    """Gives processes their rank among all others."""

    async def apply(self, vms: Mapping[str, Iterable[Identity]], cpus: int, *, by_session: bool) -> None:
        """Rank these; they may use so many processors side by side."""

    def lift(self, processes: Iterable[Identity]) -> None:
        """Take back of the rank what can be, until the next `apply`."""


class LowPriority:
    """Lowers each process once, and again when it has more threads or another number of processors."""

    def __init__(self) -> None:
        self._done: dict[Identity, tuple[int, int, bool]] = {}

    async def apply(self, vms: Mapping[str, Iterable[Identity]], cpus: int, *, by_session: bool) -> None:
        """Lower these processes; whoever may not do that works on as they are.

        Args:
            cpus: most processors that all of them may use side by side.
            by_session: they are in no group that ranks them, so their session has to.
        """
        processes = [who for those in vms.values() for who in those]
        self._done = {who: done for who, done in self._done.items() if who in processes}
        for who in processes:
            state = (_threads(who.pid), cpus, by_session)
            if self._done.get(who) != state:
                await _lower(who, cpus, by_session)
                self._done[who] = state

    def lift(self, processes: Iterable[Identity]) -> None:
        """Give their sessions the usual rank. That of threads only the administrator could raise."""
        for who in processes:
            if self._done.pop(who, (0, 0, False))[2]:
                _rank_session(who.pid, 0)


def can_pin() -> bool:
    """Whether processes can be kept to some of the processors here."""
    return hasattr(os, "sched_setaffinity")


def chosen(available: Iterable[int], cpus: int) -> set[int]:
    """Which processors: the last ones. The first serve more interrupts, and of twins the last are the second ones."""
    return set(sorted(available)[-max(1, cpus) :])


async def _lower(who: Identity, cpus: int, by_session: bool) -> None:
    if sys.platform == "linux":
        _lower_on_linux(who.pid, cpus)
        if by_session:
            _rank_session(who.pid, _NICE)
    elif sys.platform == "win32":
        _lower_on_windows(who.pid)
    else:
        # Not run there yet. Background: the efficient cores, disk and network after all others. Source: taskpolicy(8).
        with contextlib.suppress(ClientError):
            await process.run(("taskpolicy", "-b", "-p", f"{who.pid}"), timeout_s=_TIMEOUT_S)


def _lower_on_linux(pid: int, cpus: int) -> None:
    """Thread by thread: a process is not lowered as one. Threads that are made later by lowered ones inherit it.

    The first thread stays as it is: it does little, and answers who commands the VM, which must not take longer the
    busier the computer is. What was once lowered only the administrator could raise.

    An idle thread's requests to the disk are idle as well, as long as nothing else is asked for it.
    Source: sched(7), ioprio_set(2), Linux 6.18: get_current_ioprio.
    """
    available = os.sched_getaffinity(0)
    for thread in _thread_ids(pid):
        if thread != pid:
            _wait_for_all_others(thread)
        if cpus < len(available) or os.cpu_count() != len(available) or _is_pinned(thread, available):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, chosen(available, cpus))


def _wait_for_all_others(thread: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, _NICE)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def _rank_session(pid: int, nice: int) -> None:
    """Where the kernel shares the processor among sessions first, priorities count only within each.

    Source: sched(7), "The autogroup feature".
    """
    with contextlib.suppress(OSError):
        # A VM in our own session would take the window and the terminal with it.
        if os.getsid(pid) != os.getsid(0):
            Path(f"/proc/{pid}/autogroup").write_text(f"{nice}")


def _is_pinned(thread: int, available: set[int]) -> bool:
    try:
        return os.sched_getaffinity(thread) != available
    except OSError:
        return False


def _lower_on_windows(pid: int) -> None:
    """Not run there yet. Source: SetPriorityClass of the Windows API."""
    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel32.OpenProcess.restype = ctypes.c_void_p
    handle = kernel32.OpenProcess(_SET_INFORMATION, False, pid)
    if handle:
        kernel32.SetPriorityClass(ctypes.c_void_p(handle), _IDLE_PRIORITY_CLASS)
        kernel32.CloseHandle(ctypes.c_void_p(handle))


def _threads(pid: int) -> int:
    """How many threads a process has, in one call; 0 where that is not told."""
    try:
        return Path(f"/proc/{pid}/task").stat().st_nlink
    except OSError:
        return 0


def _thread_ids(pid: int) -> Sequence[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return ()
