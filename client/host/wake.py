"""Has the computer slept? Told by clocks: one that stands still in sleep beside one that does not."""

import ctypes
import sys
import time
from collections.abc import Callable
from typing import Final

from client.host.part import Facts

#: Shorter ones are no sleep: clocks are read one after the other.
SHORTEST_S: Final = 1.0


def slept_s() -> float:
    """Seconds that this computer has slept since it was started.

    Source: clock_gettime(2) for Linux and macOS (there CLOCK_MONOTONIC goes on in sleep, CLOCK_UPTIME_RAW does not);
    GetTickCount64 and QueryUnbiasedInterruptTime for Windows.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)
    if sys.platform == "win32":
        awake = ctypes.c_ulonglong()
        ctypes.windll.kernel32.QueryUnbiasedInterruptTime(ctypes.byref(awake))
        tick_count = ctypes.windll.kernel32.GetTickCount64
        tick_count.restype = ctypes.c_ulonglong
        return float(tick_count() / 1000 - awake.value / 10_000_000)
    return 0.0


class SleepWatch:
    """Notices each sleep once.

    Args:
        on_wake: called with the seconds that were slept.
        slept: seconds slept so far.
    """

    def __init__(self, on_wake: Callable[[float], None], slept: Callable[[], float] = slept_s) -> None:
        self._on_wake, self._slept = on_wake, slept
        self._known = slept()

    def check(self) -> Facts:
        """Compare; tells of no fact, for a sleep is an event."""
        slept = self._slept()
        more, self._known = slept - self._known, slept
        if more >= SHORTEST_S:
            self._on_wake(more)
        return {}
