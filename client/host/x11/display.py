"""A connection to an X server: requests, replies and events over asyncio, each reply within a limit.

Source: X Window System Protocol, version 11; numbers are little-endian because this side asks for it.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from client.host import unix_socket

#: A server that takes longer has hung; whoever asks has to know.
ANSWER_S: Final = 2.0
_MOST_BYTES: Final = 4 << 20
_COOKIE: Final = b"MIT-MAGIC-COOKIE-1"
_ERROR, _REPLY, _GENERIC = 0, 1, 35
_QUERY_EXTENSION, _INTERN_ATOM, _GET_PROPERTY = 98, 16, 20


class XRefused(ConnectionError):
    """The server refuses the connection or a request."""


@dataclass(frozen=True)
class Extension:
    """An extension's request code and the code of its first event."""

    opcode: int
    first_event: int


def padded(data: bytes) -> bytes:
    """Filled up to a multiple of four bytes, as all parts of requests are."""
    return data + bytes(-len(data) % 4)


class Display:
    """A connection. Not for several threads.

    Attributes:
        root: the window behind all others of the first screen.
        width, height: of that screen.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._sequence = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._atoms: dict[str, int] = {}
        self.root = 0
        self.width = self.height = 0
        self._next_id = 0

    @classmethod
    async def connect(cls, path: str, cookie: bytes) -> "Display":
        """Connect to the server behind a socket.

        Raises:
            OSError, EOFError: nobody answers within the limit, or it refuses (XRefused).
        """
        async with asyncio.timeout(ANSWER_S):
            try:
                reader, writer = await unix_socket.connect(path)
            except OSError:
                # The same name without a file: its folder may not be seen from a sandbox.
                reader, writer = await unix_socket.connect("\0" + path)
            display = cls(reader, writer)
            try:
                await display._greet(cookie)
            except BaseException:
                writer.close()
                raise
        return display

    async def _greet(self, cookie: bytes) -> None:
        name = _COOKIE if cookie else b""
        self._writer.write(struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie)))
        self._writer.write(padded(name) + padded(cookie))
        head = await self._reader.readexactly(8)
        rest = await self._reader.readexactly(struct.unpack_from("<H", head, 6)[0] * 4)
        if head[0] != 1:
            raise XRefused(rest[: head[1]].decode("latin-1").strip())
        self._next_id, _mask, _, vendor, _, _, _formats = struct.unpack_from("<IIIHHBB", rest, 4)[:7]
        screen = 32 + vendor + (-vendor % 4) + 8 * rest[21]
        self.root = struct.unpack_from("<I", rest, screen)[0]
        self.width, self.height = struct.unpack_from("<HH", rest, screen + 20)

    def new_id(self) -> int:
        """A number for something that this side makes."""
        self._next_id += 1
        return self._next_id

    def send(self, opcode: int, detail: int, body: bytes = b"") -> int:
        """A request that has no reply. Returns its number."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._writer.write(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body)
        return self._sequence

    async def ask(self, opcode: int, detail: int, body: bytes = b"") -> bytes:
        """A request and its reply, head included. Somebody has to be in `serve` meanwhile.

        Raises:
            OSError: no reply within the limit, or the request is refused.
        """
        number = self.send(opcode, detail, body)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._waiting[number]
        finally:
            self._waiting.pop(number, None)

    async def extension(self, name: str) -> Extension | None:
        """An extension of the server; None when it has none of that name."""
        said = name.encode()
        reply = await self.ask(_QUERY_EXTENSION, 0, struct.pack("<Hxx", len(said)) + padded(said))
        return Extension(reply[9], reply[10]) if reply[8] else None

    async def atom(self, name: str) -> int:
        """The number of a name."""
        if name not in self._atoms:
            said = name.encode()
            reply = await self.ask(_INTERN_ATOM, 0, struct.pack("<Hxx", len(said)) + padded(said))
            self._atoms[name] = struct.unpack_from("<I", reply, 8)[0]
        return self._atoms[name]

    async def property(self, window: int, name: str) -> bytes:
        """Up to 4 KiB of a window's property; empty when it has none."""
        atom = await self.atom(name)
        reply = await self.ask(_GET_PROPERTY, 0, struct.pack("<IIIII", window, atom, 0, 0, 1024))
        form, length = reply[1], struct.unpack_from("<I", reply, 16)[0]
        return reply[32 : 32 + length * form // 8]

    async def serve(self, on_event: Callable[[int, bytes], None]) -> None:
        """Read until the connection ends; `on_event(code, data)` is called for each event.

        Raises:
            OSError, EOFError: it has ended.
        """
        try:
            while True:
                head = await self._reader.readexactly(32)
                kind = head[0] & 0x7F
                extra = struct.unpack_from("<I", head, 4)[0] * 4 if kind in {_REPLY, _GENERIC} else 0
                if extra > _MOST_BYTES:
                    raise XRefused("a reply beyond all measure")
                data = head + (await self._reader.readexactly(extra) if extra else b"")
                if kind in {_ERROR, _REPLY}:
                    self._answer(data)
                else:
                    on_event(kind, data)
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(XRefused("the connection has ended"))

    def _answer(self, data: bytes) -> None:
        waiting = self._waiting.get(struct.unpack_from("<H", data, 2)[0])
        if waiting is None or waiting.done():
            return
        if data[0] == _ERROR:
            waiting.set_exception(XRefused(f"error {data[1]} for request {data[10]}"))
        else:
            waiting.set_result(data)

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
