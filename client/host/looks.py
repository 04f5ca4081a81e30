"""What the system gives no events for: looked at on intervals, all by one clock tick."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from client.host.keep import FAILURES
from client.host.part import Facts, Tell
from client.host.probe import Probe
from client.log import logger

#: The tick. Intervals are multiples of it, so that what is due together costs one wake-up.
TICK_S: Final = 5.0
#: After failures the next look comes this many intervals later at most.
_LONGEST_WAIT: Final = 32


@dataclass(frozen=True)
class Look:
    """One thing that is looked at.

    Attributes:
        name: for the log.
        every: ticks between two looks.
        ask: the question; raises OSError, ValueError or LookupError when there is no answer.
        unknown: what is told when there is none.
        wanted: whether anybody needs it now.
        may_hang: ask in a thread, with a limit.
    """

    name: str
    every: int
    ask: Callable[[], Facts]
    unknown: Facts
    wanted: Callable[[], bool] = lambda: True
    may_hang: bool = False


class Looks:
    """All of them as one part."""

    name = "looks"

    def __init__(self, looks: Sequence[Look]) -> None:
        self._all = [_Looked(look) for look in looks]

    async def run(self, tell: Tell) -> None:
        """Look at each when it is due, until cancelled."""
        loop, tick = asyncio.get_running_loop(), 0
        while True:
            for looked in self._all:
                if looked.is_due(tick):
                    await looked.once(tick, tell)
            tick += 1
            # On the marks of the loop's clock, so that this and other programs' timers come together.
            await asyncio.sleep(TICK_S - loop.time() % TICK_S)


class _Looked:
    def __init__(self, look: Look) -> None:
        self.look = look
        self._due = 0
        self._failures = 0
        self._probe = Probe(look.ask)
        self._told = False

    def is_due(self, tick: int) -> bool:
        return tick >= self._due

    async def once(self, tick: int, tell: Tell) -> None:
        self._due = tick + self.look.every
        if not self.look.wanted():
            self._due = tick + 1
            if self._told:
                tell(self.look.unknown)
            self._told = False
            return
        try:
            tell(await self._probe.answer() if self.look.may_hang else self.look.ask())
            self._failures, self._told = 0, True
        except FAILURES as error:
            self._failed(tick, error)
            tell(self.look.unknown)

    def _failed(self, tick: int, error: Exception) -> None:
        if not self._failures:
            why = f"{type(error).__name__}: {error}"
            logger("core").info("the sensor %s does not answer, and is tried again: %s", self.look.name, why)
        self._failures += 1
        self._due = tick + self.look.every * min(_LONGEST_WAIT, 2 ** min(self._failures, 10))
