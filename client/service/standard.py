"""Standard input for a coroutine, whatever it is, and standard output that carries a guest's words."""

import asyncio
import codecs
import os
import re
from typing import Final, TextIO

#: what could steer a terminal: C0 but for tab, line feed and carriage return; DEL; C1; bidirectional overrides
_STEERING: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


class Output:
    """Passes bytes of a guest on: unchanged to a pipe or a file, to a terminal without what could steer it."""

    def __init__(self, stream: TextIO | None) -> None:
        """Args: stream: None when this program was started without one; all is dropped then."""
        self._stream = stream
        self._is_terminal = stream is not None and stream.isatty()
        #: whether anything was written
        self.used = False
        # A piece may end within a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes) -> None:
        """Write at once. Raises BrokenPipeError, and OSError for a full disk."""
        self.used = self.used or bool(data)
        if self._stream is None:
            return
        if self._is_terminal:
            self._stream.write(_STEERING.sub("\ufffd", self._decoder.decode(data)))
        else:
            self._stream.buffer.write(data)
        self._stream.flush()


def silence(stream: TextIO | None) -> None:
    """Have a stream that cannot be written any more swallow its rest, or Python complains of it at its end."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


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
