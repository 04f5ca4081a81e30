"""Sensors under test: what they say at last, and waiting for it without looking at a clock."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from client.clock import SystemClock
from client.host.board import Board
from client.host.keep import keep
from client.host.part import Part
from client.host.sample import Sample

LIMIT_S = 20.0


class Watching:
    """Parts that run, with the board that they tell."""

    def __init__(self, parts: list[Part]) -> None:
        self.clock = SystemClock()
        self.changes = 0
        self._changed = asyncio.Event()
        self.board = Board([part.name for part in parts], self.clock, self._on_change)

    def _on_change(self) -> None:
        self.changes += 1
        self._changed.set()

    def look(self) -> Sample:
        return self.board.sample()

    async def until(self, holds: Callable[[Sample], object], limit_s: float = LIMIT_S) -> float:
        """Wait for a call after which it holds. Returns the monotonic time of that call."""
        try:
            async with asyncio.timeout(limit_s):
                while not holds(self.look()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"it stays {self.look()}") from None
        return time.monotonic()


@contextlib.asynccontextmanager
async def watching(*parts: Part) -> AsyncIterator[Watching]:
    """Run parts as the sensors do."""
    watch = Watching(list(parts))
    tasks = [asyncio.create_task(keep(part, watch.board, watch.clock)) for part in parts]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
