"""Holds VMs to a budget by the processor rate of a job object: Windows 8 and later. Not run there yet.

The limit lives as long as a process in the job does, also after the client's end.

Source: JOBOBJECT_CPU_RATE_CONTROL_INFORMATION, AssignProcessToJobObject of the Windows API (kernel32).
"""

import ctypes
import os
import sys
from typing import Any, Final

from client.process import Identity
from client.throttle.means import Budget, Kept

_CPU_RATE_CONTROL: Final = 15
_ENABLE: Final = 0x1
_HARD_CAP: Final = 0x4
_SET_QUOTA_AND_TERMINATE: Final = 0x0101


class _Rate(ctypes.Structure):
    """What SetInformationJobObject is given; the rate in hundredths of a percent of all processors."""

    _fields_ = (("flags", ctypes.c_uint32), ("rate", ctypes.c_uint32))


class JobMeans:
    """One job object for all VMs, whose processes share it as Windows has it."""

    name = "job object"
    ranks = False

    def __init__(self) -> None:
        self._job: int | None = None
        self._percent: float | None = None
        self._inside: set[Identity] = set()

    async def is_offered(self) -> bool:
        """On Windows."""
        return sys.platform == "win32"

    async def keep(self, budget: Budget) -> Kept:
        """See `Means`."""
        if self._job is None:
            self._job = _checked(_kernel32().CreateJobObjectW(None, None))
        processes = {who for those in budget.vms.values() for who in those}
        for who in processes - self._inside:
            _assign(self._job, who.pid)
        self._inside = processes
        if budget.percent != self._percent:
            self._limit(budget.percent)
        return Kept()

    async def release(self) -> None:
        """See `Means`. A process cannot leave a job, but the job can be without a limit."""
        if self._job is not None:
            self._limit(None)

    def _limit(self, percent: float | None) -> None:
        rate = _Rate(0, 0) if percent is None else _Rate(_ENABLE | _HARD_CAP, rate_of(percent, os.cpu_count() or 1))
        told = _kernel32().SetInformationJobObject(
            ctypes.c_void_p(self._job), _CPU_RATE_CONTROL, ctypes.byref(rate), ctypes.sizeof(rate)
        )
        _checked(told)
        self._percent = percent


def rate_of(percent: float, processors: int) -> int:
    """Percent of one processor as Windows wants it: hundredths of a percent of all, 1..10000."""
    return min(10_000, max(1, round(100 * percent / processors)))


def _assign(job: int | None, pid: int) -> None:
    kernel32 = _kernel32()
    handle = _checked(kernel32.OpenProcess(_SET_QUOTA_AND_TERMINATE, False, pid))
    try:
        _checked(kernel32.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(handle)))
    finally:
        kernel32.CloseHandle(ctypes.c_void_p(handle))


def _checked(value: Any) -> int:
    if not value:
        raise OSError(0, "Windows refused a job object", None, ctypes.get_last_error())  # type: ignore[attr-defined,unused-ignore]
    return int(value)


def _kernel32() -> Any:
    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel32.CreateJobObjectW.restype = ctypes.c_void_p
    kernel32.OpenProcess.restype = ctypes.c_void_p
    return kernel32
