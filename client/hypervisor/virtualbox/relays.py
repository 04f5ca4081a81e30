"""The host's end of a VM's routes: listeners on loopback ports, which the guest sees at its NAT's host address.

They live inside this program: while no client runs, the guest's connections are refused and it tries again later. The
guest is hostile: connections are bounded in number and, if wanted, in speed; each leads only where its route does.
"""

import asyncio
import contextlib
import errno
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.hypervisor.driver import Route, Traffic
from client.hypervisor.errors import RoutePortTaken
from client.paths import write_atomic

LOOPBACK: Final = "127.0.0.1"
#: Most connections of a guest at a time; an agent has a handful.
MOST_CONNECTIONS: Final = 32
CONNECT_LIMIT_S: Final = 10.0
#: For what is still on its way when both sides have said their last.
_LAST_BYTES_LIMIT_S: Final = 10.0
_CHUNK_BYTES: Final = 65536
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
    """

    def __init__(self, vm_id: str, counts: Path, clock: Clock) -> None:
        self._vm_id = vm_id
        self._counts = counts
        self._clock = clock
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
        async with asyncio.timeout(CONNECT_LIMIT_S):
            from_target, to_target = await asyncio.open_connection(route.host, route.port)
        try:
            ways = (
                self._carry(route, reader, to_target, is_sent=True),
                self._carry(route, from_target, writer, is_sent=False),
            )
            with contextlib.suppress(OSError):  # either side broke off: both are closed
                await _all(ways)
            async with asyncio.timeout(_LAST_BYTES_LIMIT_S):
                await _close(to_target)
                await _close(writer)
        finally:
            to_target.transport.abort()

    async def _carry(self, route: Route, source: StreamReader, sink: StreamWriter, *, is_sent: bool) -> None:
        budget = Budget(route.limit_bytes_s, self._clock)
        while data := await source.read(budget.chunk_bytes()):
            if is_sent:
                self._sent += len(data)
            else:
                self._received += len(data)
            sink.write(data)
            await sink.drain()
            if (pause_s := budget.wait_s(len(data))) > 0:
                await asyncio.sleep(pause_s)
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
