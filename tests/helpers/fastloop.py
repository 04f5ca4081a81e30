"""An event loop whose time is not real: when nothing is ready, it jumps to the next timer at once.

For tests with fakes in memory only: real sockets, processes and threads would find their time gone.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.jumped_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            # Nothing will ever happen: only a thread could wake this loop.
            return super().select(0.05)
        if not ready and timeout:
            self.jumped_s += timeout
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """Event loop with jumping time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.jumped_s


def in_fast_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test in such a loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=FastLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
