"""Real relays of one meter between a server that floods or swallows and connections as a guest's NAT makes them."""

import asyncio
import os
import socket
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from client.guest import relay
from client.meter import FILE, Meter, clock_ns

#: of the server's sockets: what it wrote is then as good as on the network
SMALL_BUFFER = 4096
BLOCK = bytes(8192)


class Far:
    """The server at the other end. It sends without end, and takes all that comes.

    Attributes:
        sent, taken: bytes, by connection in the order in which they came.
    """

    def __init__(self, sends: bool = True) -> None:
        self.sent: list[int] = []
        self.taken: list[int] = []
        self._sends = sends
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # What it accepts inherits this.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            server = await asyncio.start_server(self._serve, sock=listener)
            async with server:
                yield listener.getsockname()[1]
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        number = len(self.sent)
        self.sent.append(0)
        self.taken.append(0)
        ways = [self._send(number, writer)] if self._sends else []
        tasks = [asyncio.create_task(way) for way in (*ways, self._take(number, reader))]
        self._tasks.update(tasks)
        await asyncio.wait(tasks)
        writer.transport.abort()

    async def _send(self, number: int, writer: StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)
        while True:
            writer.write(BLOCK)
            await writer.drain()
            self.sent[number] += len(BLOCK)

    async def _take(self, number: int, reader: StreamReader) -> None:
        while data := await reader.read(65536):
            self.taken[number] += len(data)


class Near:
    """One connection of a guest, and the relay that serves it.

    Attributes:
        got, gave: bytes that the guest read, and that were taken from it.
    """

    def __init__(self, child: asyncio.subprocess.Process, reader: StreamReader, writer: StreamWriter) -> None:
        self.child = child
        self.reader = reader
        self.writer = writer
        self.got = self.gave = 0

    async def take(self) -> None:
        """Read all that comes."""
        while data := await self.reader.read(65536):
            self.got += len(data)

    async def give(self) -> None:
        """Send without end."""
        self.writer.transport.set_write_buffer_limits(high=0)
        while True:
            self.writer.write(BLOCK)
            await self.writer.drain()
            self.gave += len(BLOCK)


class Vm:
    """The folder of a VM whose one route leads to a port."""

    def __init__(self, vms: Path, port: int, *, name: str = "vm", local: bool = False) -> None:
        self.folder = vms / name
        self.meter = Meter(str(vms / FILE))
        (self.folder / "traffic").mkdir(parents=True)
        lines = f"x\t127.0.0.1\t{port}\t-\n" + ("local\tx\n" if local else "")
        (self.folder / "routes.tsv").write_text(lines)
        (self.folder / "pid").write_text(str(os.getpid()))

    def rule(self, down: int = 0, up: int = 0, *, closed: bool = False) -> None:
        """Change what holds."""
        while not self.meter.set_rule(down, up, closed, clock_ns()):
            continue

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Near]:
        """A connection of the guest, as libslirp makes it: the relay's standard input."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        files = [str(self.folder / name) for name in ("routes.tsv", "traffic", "pid")]
        with theirs:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", relay.__file__, "x", *files, stdin=theirs, stdout=theirs
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            yield Near(child, reader, writer)
        finally:
            writer.transport.abort()
            if child.returncode is None:
                child.kill()
            await child.wait()


@asynccontextmanager
async def many(vm: Vm, count: int) -> AsyncIterator[list[Near]]:
    """So many connections at once."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(vm.connected()) for _ in range(count)]


@asynccontextmanager
async def busy(near: list[Near], *, gives: bool = True) -> AsyncIterator[None]:
    """Each of them takes, and gives if wanted, as fast as it can, while the block lasts."""
    tasks = [asyncio.create_task(one.take()) for one in near]
    if gives:
        tasks += [asyncio.create_task(one.give()) for one in near]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
