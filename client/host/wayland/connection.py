"""A connection to a Wayland compositor: messages both ways over asyncio. No file descriptors are passed.

Source: The Wayland Protocol, "Wire Format"; numbers are in the computer's own order.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Final

from client.host import unix_socket

#: A compositor that takes longer has hung.
ANSWER_S: Final = 2.0
_HEAD: Final = 8
_DISPLAY, _REGISTRY = 1, 2
_SYNC, _GET_REGISTRY, _BIND = 0, 1, 0
_ERROR, _GLOBAL = 0, 0

#: opcode and data of an event
Hear = Callable[[int, bytes], None]


class CompositorRefused(ConnectionError):
    """The compositor has ended the connection with an error."""


def text(value: str) -> bytes:
    """A string as an argument."""
    data = value.encode() + b"\0"
    return struct.pack("=I", len(data)) + data + bytes(-len(data) % 4)


def text_at(data: bytes, at: int) -> tuple[str, int]:
    """The string argument at a place, and where the next argument is.

    Raises:
        struct.error: there is none.
    """
    (length,) = struct.unpack_from("=I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise struct.error("a string that is cut off")
    return data[at + 4 : max(at + 4, end - 1)].decode(errors="replace"), end + (-end % 4)


class Compositor:
    """A connection.

    Attributes:
        offers: what the compositor has, interface -> list of (name, version), after `begin`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._hearers: dict[int, Hear] = {_DISPLAY: self._on_display, _REGISTRY: self._on_registry}
        self._last_id = _REGISTRY
        self.offers: dict[str, list[tuple[int, int]]] = {}

    @classmethod
    async def connect(cls, path: str) -> "Compositor":
        """Connect to the compositor behind a socket.

        Raises:
            OSError: nobody answers within the limit.
        """
        async with asyncio.timeout(ANSWER_S):
            return cls(*await unix_socket.connect(path))

    async def begin(self) -> None:
        """Learn what it has. Somebody has to be in `serve` meanwhile.

        Raises:
            OSError: no answer within the limit.
        """
        self.send(_DISPLAY, _GET_REGISTRY, struct.pack("=I", _REGISTRY))
        await self.sync()

    async def sync(self) -> None:
        """Wait until all requests so far have been answered.

        Raises:
            OSError: no answer within the limit.
        """
        done = asyncio.Event()
        callback = self.new_id(lambda opcode, data: done.set())
        self.send(_DISPLAY, _SYNC, struct.pack("=I", callback))
        async with asyncio.timeout(ANSWER_S):
            await done.wait()
        self.forget(callback)

    def new_id(self, hear: Hear) -> int:
        """The number of a new object, whose events are told to `hear`."""
        self._last_id += 1
        self._hearers[self._last_id] = hear
        return self._last_id

    def adopt(self, number: int, hear: Hear) -> None:
        """An object that the compositor has made."""
        self._hearers[number] = hear

    def forget(self, number: int) -> None:
        """An object that is gone."""
        self._hearers.pop(number, None)

    def bind(self, interface: str, name: int, version: int, hear: Hear = lambda opcode, data: None) -> int:
        """Use something that it offers. Returns the number of the object."""
        number = self.new_id(hear)
        self.send(_REGISTRY, _BIND, struct.pack("=I", name) + text(interface) + struct.pack("=II", version, number))
        return number

    def send(self, number: int, opcode: int, body: bytes = b"") -> None:
        """A request to an object."""
        self._writer.write(struct.pack("=II", number, (_HEAD + len(body)) << 16 | opcode) + body)

    async def serve(self) -> None:
        """Read until the connection ends.

        Raises:
            OSError, EOFError, struct.error: it has ended, or what comes makes no sense.
        """
        while True:
            number, word = struct.unpack("=II", await self._reader.readexactly(_HEAD))
            size = word >> 16
            if size < _HEAD:
                raise CompositorRefused("a message that makes no sense")
            data = await self._reader.readexactly(size - _HEAD)
            hear = self._hearers.get(number)
            if hear is not None:
                hear(word & 0xFFFF, data)

    def _on_display(self, opcode: int, data: bytes) -> None:
        if opcode == _ERROR:
            raise CompositorRefused(text_at(data, 8)[0])

    def _on_registry(self, opcode: int, data: bytes) -> None:
        if opcode == _GLOBAL:
            (name,) = struct.unpack_from("=I", data)
            interface, at = text_at(data, 4)
            (version,) = struct.unpack_from("=I", data, at)
            self.offers.setdefault(interface, []).append((name, version))

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
