"""All that is known of the computer, from parts that ask its system: one sample at any time, and a call on change."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from client.clock import Clock, SystemClock
from client.host.board import Board
from client.host.keep import keep
from client.host.looks import Look, Looks
from client.host.part import Part, Wanted, Wishes
from client.host.sample import Sample
from client.host.wake import SleepWatch, slept_s
from client.log import logger

_EACH_TICK: Final = 1


class Sensors(Protocol):
    """What the rest of the program asks of the computer."""

    async def open(self, on_change: Callable[[], None], on_wake: Callable[[float], None]) -> None:
        """Begin to look.

        Args:
            on_change: called in the event loop, at once, when `look` has become another; not for the passing of time.
            on_wake: called with the seconds slept, after each sleep of the computer.
        """

    def look(self) -> Sample:
        """The newest of everything. Cheap; never waits, never fails."""

    def want(self, wanted: Wanted) -> None:
        """Look at what the preferences ask for from now on."""

    def let_go(self) -> None:
        """The guests are safe: let the computer sleep or shut down at once. It is held up again after waking."""

    async def close(self) -> None:
        """End all looking. May be called twice."""


class Hold(Protocol):
    """Holds up sleep and shutdown for the few seconds that the system grants."""

    def let_go(self) -> None:
        """Hold it up no longer."""


class HostSensors:
    """The sensors of a real computer.

    Args:
        parts: those of its platform, the more believed first.
        looks: what is looked at on intervals.
        wishes: what those look at.
        hold: None where the system grants no such thing.
        slept: seconds that the computer has slept so far.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        looks: Sequence[Look],
        wishes: Wishes,
        hold: Hold | None = None,
        clock: Clock | None = None,
        slept: Callable[[], float] = slept_s,
    ) -> None:
        self._clock = clock or SystemClock()
        self._slept = slept
        self._wishes = wishes
        self._parts, self._looks, self._hold = list(parts), list(looks), hold
        self._tasks: list[asyncio.Task[None]] = []
        self._board = Board([], self._clock, lambda: None)
        self._on_change: Callable[[], None] = lambda: None
        self._watch: SleepWatch | None = None
        self._was_sleeping = self._is_told = False

    async def open(self, on_change: Callable[[], None], on_wake: Callable[[float], None]) -> None:
        """See `Sensors`."""
        self._on_change = on_change
        self._watch = SleepWatch(on_wake, self._slept)
        sleep = Look("sleep", _EACH_TICK, self._watch.check, {})
        parts: list[Part] = [*self._parts, Looks([*self._looks, sleep])]
        self._board = Board([part.name for part in parts], self._clock, self._changed)
        self._tasks = [asyncio.create_task(keep(part, self._board, self._clock), name=part.name) for part in parts]
        for task in self._tasks:
            task.add_done_callback(self._on_end)

    def look(self) -> Sample:
        """See `Sensors`."""
        return self._board.sample()

    def want(self, wanted: Wanted) -> None:
        """See `Sensors`."""
        self._wishes.change(wanted)

    def let_go(self) -> None:
        """See `Sensors`."""
        if self._hold is not None:
            self._hold.let_go()

    async def close(self) -> None:
        """See `Sensors`."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        # Nothing that can be expected ends a part: the others go on, and what it knew is not known any more.
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger("core").error("the sensor %s has failed", task.get_name(), exc_info=error)
            self._board.forget(task.get_name())

    def _changed(self) -> None:
        sleeping = self._board.sample().sleeping
        if self._was_sleeping and not sleeping and self._watch is not None:
            self._watch.check()
        self._was_sleeping = sleeping
        # By the loop: what goes wrong in whoever listens is not taken for a fault of the part that tells, and several
        # changes of one moment are one.
        if not self._is_told:
            self._is_told = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_told = False
        if self._tasks:
            self._on_change()
