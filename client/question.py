"""A question to a hypervisor, asked beside the turns: whoever asks goes on, and takes the answer when it is there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

#: A turn waits so long for an answer before it goes on with what was known; most come in a tenth of it.
PATIENCE_S: Final = 0.2

Answer = TypeVar("Answer")


class Question(Generic[Answer]):
    """One question, asked again and again, never twice at a time.

    Args:
        ask: what gives the answer, which is not None.
        came: called when an answer has come that nobody was waiting for.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]], came: Callable[[], None]) -> None:
        self._ask = ask
        self._came = came
        self._asking: asyncio.Task[Answer] | None = None
        self._is_awaited = False
        self._is_outdated = False

    def put(self) -> None:
        """Ask, if it is not being asked already."""
        if self._asking is None:
            self._is_outdated = False
            self._asking = asyncio.create_task(self._answered())
            self._asking.add_done_callback(self._tell)

    def outdate(self) -> None:
        """Things have changed: an answer to what was asked so far does not count, and is asked for again."""
        self._is_outdated = self._asking is not None

    async def answer(self, patience_s: float = 0.0) -> Answer | None:
        """The answer, once; None if it has not come yet. Raises what asking raised."""
        asking = self._asking
        if asking is None:
            return None
        if patience_s and not asking.done():
            self._is_awaited = True
            try:
                await asyncio.wait((asking,), timeout=patience_s)
            finally:
                self._is_awaited = False
        if not asking.done():
            return None
        self._asking = None
        if self._is_outdated:
            # It is taken out, so that asyncio does not complain of a failure that nobody looked at.
            await asyncio.gather(asking, return_exceptions=True)
            self.put()
            return None
        return asking.result()

    async def close(self) -> None:
        """Ask no more."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _answered(self) -> Answer:
        return await self._ask()

    def _tell(self, _: "asyncio.Task[Answer]") -> None:
        if not self._is_awaited:
            self._came()
