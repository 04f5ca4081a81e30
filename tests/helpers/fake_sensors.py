"""Sensors of a computer that does what a test says."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from client.host.part import Wanted
from client.host.sample import Sample


class FakeSensors:
    """Implements `client.host.sensors.Sensors` in memory."""

    def __init__(self, **facts: Any) -> None:
        self.sample = Sample(**facts)
        self.wanted: list[Wanted] = []
        self.let_go_count = 0
        self.opened = False
        self._on_change: Callable[[], None] = lambda: None
        self._on_wake: Callable[[float], None] = lambda slept_s: None

    async def open(self, on_change: Callable[[], None], on_wake: Callable[[float], None]) -> None:
        self._on_change, self._on_wake, self.opened = on_change, on_wake, True

    def look(self) -> Sample:
        return self.sample

    def want(self, wanted: Wanted) -> None:
        self.wanted.append(wanted)

    def let_go(self) -> None:
        self.let_go_count += 1

    async def close(self) -> None:
        self.opened = False

    def show(self, **facts: Any) -> None:
        """The computer is different now, and says so."""
        self.sample = replace(self.sample, **facts)
        self._on_change()

    def wake(self, slept_s: float) -> None:
        """It has slept."""
        self._on_wake(slept_s)
