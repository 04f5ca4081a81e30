"""Questions to the system that may hang: each in a thread of its own, with a limit.

The threads end with the program even when what they ask never answers, which those of asyncio do not.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import psutil

LIMIT_S: Final = 2.0
T = TypeVar("T")


class Probe(Generic[T]):
    """One question. While an asking hangs, no other is begun.

    Args:
        ask: may block for ever; raises OSError, ValueError, LookupError or what psutil raises when there is no
            answer.
    """

    def __init__(self, ask: Callable[[], T], limit_s: float = LIMIT_S) -> None:
        self._ask, self._limit_s = ask, limit_s
        self._thread: threading.Thread | None = None

    async def answer(self) -> T:
        """The answer.

        Raises:
            TimeoutError: there is none within the limit, or an earlier asking still hangs.
            OSError, ValueError, LookupError: there is none.
        """
        if self._thread is not None and self._thread.is_alive():
            raise TimeoutError("still hanging")
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[T] = loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(loop, coming), daemon=True, name="probe")
        self._thread.start()
        async with asyncio.timeout(self._limit_s):
            return await coming

    def _run(self, loop: asyncio.AbstractEventLoop, coming: "asyncio.Future[T]") -> None:
        answer: list[T] = []
        failure: Exception | None = None
        try:
            answer.append(self._ask())
        except (OSError, ValueError, LookupError, RuntimeError, psutil.Error) as error:
            failure = error if isinstance(error, (OSError, ValueError, LookupError)) else OSError(str(error))

        def deliver() -> None:
            if coming.done():
                return
            if failure is not None:
                coming.set_exception(failure)
            else:
                coming.set_result(answer[0])

        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver)
