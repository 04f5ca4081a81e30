"""How fast a file must move: a server that feeds it in drips would hold a job for ever, and each of its drips is a sign
of life. It has a least mean rate over each minute but the first, and an end.
"""

from dataclasses import dataclass
from typing import Final

#: A look at the clock counts at most this much: a computer that was paused has not waited.
_LONGEST_TICK_S: Final = 60.0


@dataclass(frozen=True)
class PaceLimits:
    """What is too slow.

    Attributes:
        grace_s: at the beginning, in which nothing need move.
        window_s: over which the rate is taken.
        least_rate: bytes a second.
        longest_s: most time for one file, however fast.
    """

    grace_s: float = 60.0
    window_s: float = 60.0
    least_rate: float = 1024.0
    longest_s: float = 12 * 3600.0


USUAL: Final = PaceLimits()


class Pace:
    """That of one file. now: seconds of any clock that only goes forward."""

    def __init__(self, limits: PaceLimits, now: float) -> None:
        self._limits = limits
        self._seen_at = now
        self._elapsed_s = 0.0
        self._window_ends_s = limits.grace_s + limits.window_s
        self._moved_before = 0
        self._in_grace = True

    def trouble(self, moved: int, now: float) -> str:
        """What is wrong, in words; empty for nothing. To be asked a few times in each window.

        Args:
            moved: bytes since the beginning.
        """
        limits = self._limits
        self._elapsed_s += min(_LONGEST_TICK_S, now - self._seen_at)
        self._seen_at = now
        if self._elapsed_s > limits.longest_s:
            return f"not done after {limits.longest_s:.0f} s"
        if self._in_grace and self._elapsed_s >= limits.grace_s:
            self._in_grace = False
            self._window_ends_s = self._elapsed_s + limits.window_s
            self._moved_before = moved
        if self._elapsed_s < self._window_ends_s:
            return ""
        too_slow = moved - self._moved_before < limits.least_rate * limits.window_s
        self._window_ends_s = self._elapsed_s + limits.window_s
        self._moved_before = moved
        return f"slower than {limits.least_rate:.0f} bytes a second" if too_slow else ""
