"""What macOS tells of another process, without any library but its own. Not run there yet.

Source: <libproc.h>, <sys/proc_info.h>, <sys/resource.h> of macOS 10.9 and later.
"""

import ctypes
from functools import cache
from typing import Any, Final

_RUSAGE_INFO_V0: Final = 0
_PROC_PIDTBSDINFO: Final = 3


class _Usage(ctypes.Structure):
    """struct rusage_info_v0; the times are in units of mach_absolute_time."""

    _fields_ = (
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 8),
    )


class _Facts(ctypes.Structure):
    """struct proc_bsdinfo; its end is what is wanted."""

    _fields_ = (
        ("numbers", ctypes.c_uint32 * 12),
        ("names", ctypes.c_char * 48),
        ("more_numbers", ctypes.c_uint32 * 6),
        ("started_s", ctypes.c_uint64),
        ("started_us", ctypes.c_uint64),
    )


class _Base(ctypes.Structure):
    _fields_ = (("numerator", ctypes.c_uint32), ("denominator", ctypes.c_uint32))


def executed_s(pid: int) -> float:
    """CPU seconds so far; 0 when it has gone or is not ours to see."""
    usage = _Usage()
    if _library().proc_pid_rusage(pid, _RUSAGE_INFO_V0, ctypes.byref(usage)):
        return 0.0
    return float(usage.user_time + usage.system_time) * _second()


def start_of(pid: int) -> str:
    """The same text as `client.process.identity` has; empty when there is none of that pid."""
    facts = _Facts()
    size = ctypes.sizeof(facts)
    if _library().proc_pidinfo(pid, _PROC_PIDTBSDINFO, ctypes.c_uint64(0), ctypes.byref(facts), size) != size:
        return ""
    return f"{facts.started_s + facts.started_us / 1e6:.2f}"


@cache
def _library() -> Any:
    return ctypes.CDLL("/usr/lib/libSystem.dylib")


@cache
def _second() -> float:
    base = _Base()
    _library().mach_timebase_info(ctypes.byref(base))
    return float(base.numerator / base.denominator / 1e9)
