"""Standard input for a coroutine, whatever it is: a pipe, a file, a device."""

import asyncio
import os


class StandardInput:
    """Reads a file number that others may share, so it is never made non-blocking."""

    def __init__(self, number: int) -> None:
        self._number = number

    async def read(self, most: int) -> bytes:
        """The next bytes; empty at the end, and for what cannot be read at all."""
        try:
            await self._until_readable()
            return os.read(self._number, most)
        except NotImplementedError:
            # Windows' loop cannot wait for it.
            return await asyncio.to_thread(os.read, self._number, most)
        except OSError:
            return b""

    async def _until_readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_reader(self._number, ready.set)
        except PermissionError:
            # A file: what is there can be read at once.
            return
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._number)
