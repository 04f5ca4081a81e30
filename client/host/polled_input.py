"""Input on systems that give no event without a window of one's own: idle time, asked seldom while somebody is there,
and often enough to stop in time while nobody is.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from client.clock import Clock
from client.host.part import MARK_S, Input, Tell
from client.host.probe import Probe

#: How often it is asked below that mark, and above it.
USED_S: Final = 2.0
UNUSED_S: Final = 0.45


class PolledInput:
    """Idle time of a system that only answers.

    Args:
        idle_s: seconds since the last input; None: not known.
    """

    name = "input"

    def __init__(self, clock: Clock, idle_s: Callable[[], float | None]) -> None:
        self._clock, self._ask = clock, idle_s

    async def run(self, tell: Tell) -> None:
        """Tell of input; see `Part`."""
        # Once in a thread: it is the first call that hangs, if any does.
        idle_s = await Probe(self._ask).answer()
        last_at: float | None = None
        while True:
            if idle_s is None:
                tell({"display": None})
            elif idle_s < MARK_S:
                last_at = None
                tell({"display": Input(None)})
            elif last_at is None:
                last_at = self._clock.monotonic() - idle_s
                tell({"display": Input(last_at)})
            elif self._clock.monotonic() - idle_s > last_at + MARK_S:
                # Input and silence again between two askings: after sleep, for example.
                last_at = self._clock.monotonic() - idle_s
                tell({"display": Input(last_at)})
            await asyncio.sleep(USED_S if idle_s is None or idle_s < MARK_S else UNUSED_S)
            idle_s = self._ask()
