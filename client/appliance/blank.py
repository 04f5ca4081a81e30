"""The medium of a boot, all but its settings: made once a run by a worker, since packing the agent takes memory."""

import asyncio
from pathlib import Path

from client.appliance.context import Blank
from client.appliance.transfers import RunWorker


class BlankMedium:
    """Has it made when it is first wanted."""

    def __init__(self, path: Path, run: RunWorker) -> None:
        self._path = path
        self._run = run
        self._making: asyncio.Task[Blank] | None = None

    def begin(self) -> None:
        """Have it made beside what else is to be done, if that has not begun."""
        if self._making is not None and (not self._making.done() or _is_good(self._making)):
            return
        self._making = asyncio.create_task(self._make())

    async def get(self) -> Blank:
        """It, when it is ready.

        Raises:
            ClientError: it could not be made; it is tried anew the next time.
        """
        self.begin()
        assert self._making is not None
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Do not make it any more."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def _make(self) -> Blank:
        said = await self._run("context", {"path": str(self._path)})
        return Blank(self._path, int(said["offset_bytes"]))


def _is_good(made: "asyncio.Task[Blank]") -> bool:
    return not made.cancelled() and made.exception() is None and made.result().path.exists()
