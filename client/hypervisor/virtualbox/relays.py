"""The host's end of a VM's routes: listeners on loopback ports, which the guest sees at its NAT's host address.

They live inside this program: while no client runs, the guest's connections are refused and it tries again later. The
guest is hostile: connections are bounded in number and, if wanted, in speed; each leads only where its route does. All
obey the meter (`client.meter`), which limits and counts what every process carries over the network: while it says
"closed" nothing moves, connections stay as they are and new ones wait.
"""

import asyncio
import contextlib
import errno
import json
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.hypervisor.driver import Route, Traffic
from client.hypervisor.errors import RoutePortTaken
from client.meter import CLOSED_LOOK_S, DOWN, UP, Meter, Share, clock_ns, window_bytes
from client.paths import write_atomic

LOOPBACK: Final = "127.0.0.1"
#: Most connections of a guest at a time; an agent has a handful.
MOST_CONNECTIONS: Final = 32
CONNECT_LIMIT_S: Final = 10.0
#: For what is still on its way when both sides have said their last.
_LAST_BYTES_LIMIT_S: Final = 10.0
_CHUNK_BYTES: Final = 65536
#: of what a guest says while nothing may move
_MOST_HELD_BYTES: Final = 4 * _CHUNK_BYTES
_COUNT_INTERVAL_S: Final = 10.0


@dataclass
class Budget:
    """Bytes that one direction may carry; it may save up a quarter of a second's worth."""

    limit_bytes_s: int | None
    clock: Clock
    _held: float = 0.0
    _at: float | None = None

    def chunk_bytes(self) -> int:
        """How much to read at once so that the wait after it stays short."""
        return _CHUNK_BYTES if self.limit_bytes_s is None else max(1, min(_CHUNK_BYTES, self.limit_bytes_s // 4))

    def wait_s(self, count: int) -> float:
        """Count bytes as carried; how long to wait before more are."""
        if self.limit_bytes_s is None:
            return 0.0
        now = self.clock.monotonic()
        earned = 0.0 if self._at is None else (now - self._at) * self.limit_bytes_s
        self._at = now
        self._held = min(self.limit_bytes_s / 4, self._held + earned) - count
        return max(0.0, -self._held / self.limit_bytes_s)


class Relays:
    """The relays of one VM.

    Args:
        counts: file that keeps the traffic since the VM was defined.
        meter: of what goes over the network; None: nothing is limited or counted but by routes.
    """

    def __init__(self, vm_id: str, counts: Path, clock: Clock, meter: Meter | None = None) -> None:
        self._vm_id = vm_id
        self._counts = counts
        self._clock = clock
        self._meter = meter
        self._shares: set[Share] = set()
        self._routes: dict[int, Route] = {}
        self._servers: dict[int, asyncio.Server] = {}
        self._opening = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()
        self._sent, self._received = _read_counts(counts)
        self._written = (self._sent, self._received)
        self._written_at = clock.monotonic()

    @property
    def ports(self) -> frozenset[int]:
        """Where it listens now."""
        return frozenset(self._servers)

    def set_routes(self, routes: tuple[Route, ...]) -> None:
        """Where the ports lead; holds for connections made from now on."""
        self._routes = {route.guest_port: route for route in routes}

    async def open(self) -> None:
        """Listen at the port of each route; the same again is success.

        Raises:
            RoutePortTaken: another program has a port that the guest was told; the other routes are served.
        """
        taken: RoutePortTaken | None = None
        async with self._opening:
            for port, route in self._routes.items():
                if port in self._servers:
                    continue
                try:
                    self._servers[port] = await asyncio.start_server(self._serve, LOOPBACK, port)
                except OSError as error:
                    if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                        raise
                    taken = RoutePortTaken(self._vm_id, route.name, port)
        if taken is not None:
            raise taken

    async def close(self) -> None:
        """Listen no more, end connections, write the counts down."""
        async with self._opening:
            await self._close()

    async def _close(self) -> None:
        servers, self._servers = self._servers, {}
        for server in servers.values():
            server.close()
        for task in tuple(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(tuple(self._connections))
        self._write_counts()

    def traffic(self) -> Traffic:
        """Bytes carried since the VM was defined."""
        self._write_counts()
        for share in self._shares:
            share.enter(clock_ns())
        return Traffic(self._sent, self._received)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        route = self._routes.get(writer.get_extra_info("sockname")[1])
        if route is None or task is None or len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._relay(route, reader, writer)
        except (OSError, TimeoutError):
            # A target that is down: the guest sees its connection closed, and tries again.
            return
        except asyncio.CancelledError:
            # Cancelled by `close` only; a server's task has nobody who waits for it.
            return
        finally:
            self._connections.discard(task)
            writer.transport.abort()
            if self._clock.monotonic() - self._written_at >= _COUNT_INTERVAL_S:
                self._write_counts()

    async def _relay(self, route: Route, reader: StreamReader, writer: StreamWriter) -> None:
        with self._shared(route, UP) as up, self._shared(route, DOWN) as down:
            said = await _hold(up, reader, b"")
            async with asyncio.timeout(CONNECT_LIMIT_S):
                from_target, to_target = await asyncio.open_connection(route.host, route.port, limit=_CHUNK_BYTES // 4)
            try:
                ways = (
                    self._send(route, up, said, reader, to_target),
                    self._receive(route, down, from_target, writer, to_target.get_extra_info("socket")),
                )
                with contextlib.suppress(OSError):  # either side broke off: both are closed
                    await _all(ways)
                async with asyncio.timeout(_LAST_BYTES_LIMIT_S):
                    await _close(to_target)
                    await _close(writer)
            finally:
                to_target.transport.abort()

    @contextlib.contextmanager
    def _shared(self, route: Route, way: int) -> Iterator[Share | None]:
        """A connection's part of one way; None for what does not go over the network."""
        if self._meter is None or route.local:
            yield None
            return
        share = Share(self._meter, way)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)
            share.enter(clock_ns())

    async def _send(
        self, route: Route, share: Share | None, said: bytes, source: StreamReader, sink: StreamWriter
    ) -> None:
        budget = Budget(route.limit_bytes_s, self._clock)
        while data := said or await source.read(min(budget.chunk_bytes(), await _leave(share))):
            data = await _hold(share, source, data)
            said = b""
            self._sent += len(data)
            await _pass(data, sink, share, budget)
        if share is not None and share.is_closed(clock_ns()):
            raise ConnectionAbortedError
        if sink.can_write_eof():
            sink.write_eof()

    async def _receive(
        self, route: Route, share: Share | None, source: StreamReader, sink: StreamWriter, target: socket.socket
    ) -> None:
        budget = Budget(route.limit_bytes_s, self._clock)
        narrowed = 0
        while data := await source.read(min(budget.chunk_bytes(), await _leave(share))):
            if share is not None and share.limit != narrowed:
                narrowed = share.limit
                # The system takes no more in ahead of us than the limit is worth.
                target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes(narrowed))
            self._received += len(data)
            await _pass(data, sink, share, budget)
        if sink.can_write_eof():
            sink.write_eof()

    def _write_counts(self) -> None:
        self._written_at = self._clock.monotonic()
        now = (self._sent, self._received)
        if now == self._written or not self._counts.parent.is_dir():
            return
        # Counts are for the volunteer's eyes; a full disk is told by those who need it.
        with contextlib.suppress(OSError):
            write_atomic(self._counts, json.dumps({"sent": now[0], "received": now[1]}).encode())
            self._written = now


async def _leave(share: Share | None) -> int:
    """Wait until something may move; how many bytes."""
    while True:
        now = clock_ns()
        most = share.most(now) if share is not None else _CHUNK_BYTES
        if most or share is None:
            return most
        await asyncio.sleep(max(0.001, share.wait_s(now)))


async def _hold(share: Share | None, guest: StreamReader, said: bytes) -> bytes:
    """Wait while nothing may move; returns what the guest has said, what it says meanwhile included.

    Raises:
        ConnectionAbortedError: it has ended its connection meanwhile.
    """
    while share is not None and share.is_closed(clock_ns()):
        if len(said) >= _MOST_HELD_BYTES:
            await asyncio.sleep(CLOSED_LOOK_S)
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSED_LOOK_S):
                more = await guest.read(_CHUNK_BYTES)
                if not more:
                    raise ConnectionAbortedError
                said += more
    return said


async def _pass(data: bytes, sink: StreamWriter, share: Share | None, budget: Budget) -> None:
    """Give bytes on, and rest as long as they cost of what the connection has for itself."""
    if share is not None:
        share.moved(len(data), clock_ns())
    sink.write(data)
    await sink.drain()
    if (pause_s := budget.wait_s(len(data))) > 0:
        await asyncio.sleep(pause_s)


async def _all(ways: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all; the first error ends the others."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        for done in asyncio.as_completed(tasks):
            await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _close(writer: StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


def _read_counts(path: Path) -> tuple[int, int]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return int(plain["sent"]), int(plain["received"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
