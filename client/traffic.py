"""Has all traffic keep to what the volunteer allows, and tells what it came to. Docs: docs/traffic.md.

Whoever carries bytes reads the meter (`client.meter`) by itself; here the rule is written into it.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from client.clock import Clock
from client.log import logger
from client.meter import Meter, clock_ns
from client.paths import Paths
from client.preferences.types import Network
from client.spending import Month, Spending

#: over which time rates are told
WINDOW_S: Final = 10.0
#: a session that hears nothing for so long is about to be given up
SILENCE_S: Final = 20.0


@dataclass(frozen=True)
class Rates:
    """Bytes a second over the last seconds."""

    down_bytes_s: float = 0.0
    up_bytes_s: float = 0.0


class TrafficWarden:
    """The one who writes the rule. To be asked in one thread; nothing here waits."""

    def __init__(self, paths: Paths, clock: Clock) -> None:
        """Build it; nothing is read or written."""
        self._clock = clock
        self._meter = Meter(str(paths.meter))
        self._spending = Spending(paths.spending, clock)
        self._seen: deque[tuple[float, int, int]] = deque()
        self._day = 1
        self._failed = False
        self._closed_at: float | None = None

    def obey(self, network: Network, *, allowed: bool) -> bool:
        """Have this hold for everything that moves, from now on and until the next call, also while no client runs.

        To be called at each turn: what could not be written the last time is written then.

        Args:
            allowed: whether anything may go over the network now.

        Returns:
            Whether it was opened just now, after so long that guests have given their sessions up: they should be
            told, so that they begin new ones at once.
        """
        self._day = network.month_day
        now, meter = clock_ns(), self._meter
        limits = (network.down_bytes_s, network.up_bytes_s)
        was_closed = False
        try:
            # Looked at each time: the file may have been damaged.
            is_there = meter.look(now)
            was_closed = is_there and meter.closed
            if not is_there or (meter.limits, meter.closed) != (limits, not allowed):
                meter.set_rule(*limits, not allowed, now)
        except OSError as error:
            if not self._failed:
                logger("core").warning("The limits of traffic cannot be written (%s); they do not hold now", error)
            self._failed = True
        else:
            self._failed = False
        return self._note(was_closed, meter.closed)

    def _note(self, was_closed: bool, is_closed: bool) -> bool:
        at = self._clock.monotonic()
        if is_closed and not was_closed:
            self._closed_at = at
        return was_closed and not is_closed and (self._closed_at is None or at - self._closed_at >= SILENCE_S)

    def month(self) -> Month:
        """What moved in this month. To be asked at each turn, for it is what is written to the disk now and then."""
        self._meter.look(clock_ns())
        at, (down, up) = self._clock.monotonic(), self._meter.moved
        if not self._seen or at - self._seen[-1][0] >= 1.0:
            self._seen.append((at, down, up))
        while len(self._seen) > 2 and at - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        return self._spending.count((down, up), self._day)

    def spent_bytes(self) -> int:
        """The same, both ways together."""
        return self.month().bytes

    def rates(self) -> Rates:
        """How fast it went lately, as of the last `month`."""
        if len(self._seen) < 2:
            return Rates()
        (began, down, up), (end, down_then, up_then) = self._seen[0], self._seen[-1]
        lasted_s = max(end - began, 1e-3)
        return Rates(max(0, down_then - down) / lasted_s, max(0, up_then - up) / lasted_s)

    def close(self) -> None:
        """Write down what moved. The rule stays."""
        if self._spending.month is not None:
            self.month()
        self._spending.save()
        self._meter.close()
