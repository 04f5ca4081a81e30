"""What Windows tells of another process, without any library but its own. Not run there yet.

Source: GetProcessTimes, OpenProcess of the Windows API (kernel32).
"""

import ctypes
from functools import cache
from typing import Any, Final

_QUERY_LIMITED: Final = 0x1000
#: from 1601 to 1970, in the 100 ns of a FILETIME
_EPOCH: Final = 116444736000000000


def start_of(pid: int) -> str:
    """The same text as `client.process.identity` has; empty when there is none of that pid."""
    times = _times(pid)
    # One that has ended can still be asked as long as somebody holds a handle; it has an end.
    if times is None or times[1]:
        return ""
    return f"{(times[0] - _EPOCH) / 1e7:.2f}"


def executed_s(pid: int) -> float:
    """CPU seconds so far; 0 when it has gone or is not ours to see."""
    times = _times(pid)
    return 0.0 if times is None else (times[2] + times[3]) / 1e7


def _times(pid: int) -> list[int] | None:
    """Begin, end, kernel and user time."""
    kernel32 = _library()
    handle = kernel32.OpenProcess(_QUERY_LIMITED, False, pid)
    if not handle:
        return None
    times = [ctypes.c_uint64() for _ in range(4)]
    told = kernel32.GetProcessTimes(ctypes.c_void_p(handle), *(ctypes.byref(one) for one in times))
    kernel32.CloseHandle(ctypes.c_void_p(handle))
    return [one.value for one in times] if told else None


@cache
def _library() -> Any:
    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel32.OpenProcess.restype = ctypes.c_void_p
    return kernel32
