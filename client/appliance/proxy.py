"""The caching proxy for the guests' CVMFS traffic, from the client's side: a worker process that is held here.

Nothing of what it does is imported by the client, whose memory is counted (docs/cvmfs.md).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.appliance.worker import Steering, run_worker
from client.log import logger

KIND: Final = "cvmfs-proxy"
HOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class ProxyOrder:
    """What a proxy is to do.

    Attributes:
        servers: `http://host:port` of each server that it may ask.
        repositories: names of those that guests may read.
        folder: of the cache; one proxy at a time.
        cache_bytes: most that the cache may hold.
        meter: what all traffic obeys and is counted in (`client.meter`); None: nothing.
    """

    servers: tuple[str, ...]
    repositories: tuple[str, ...]
    folder: Path
    cache_bytes: int
    meter: Path | None = None


class CvmfsProxy:
    """A proxy in a process of its own; it ends with this one, however that happens.

    Attributes:
        port: where it listens on the loopback address; 0 while it does not. It wants the same each time.
        facts: what it last told of itself: hits, misses, stale, refused, served_bytes, network_bytes, cached_bytes.
    """

    def __init__(self, order: ProxyOrder, *, command: Sequence[str] | None = None) -> None:
        """Build it; nothing is started. command: see `run_worker`."""
        self.port = 0
        self.facts: Mapping[str, Any] = {}
        self._order = order
        self._command = command
        self._last_port = 0
        self._limit: int | None = None
        self._room: int | None = None
        self._steering = Steering()
        self._work: asyncio.Task[Mapping[str, Any]] | None = None
        self._serves = asyncio.Event()

    async def start(self) -> int:
        """Start it and wait until it serves; returns its port, the one that it had before if that is still free.

        One that serves already stays.

        Raises:
            ClientError: it does not start.
        """
        if self.port:
            return self.port
        await self.stop()
        self._serves.clear()
        # A new one has to be told anew.
        self._steering = Steering()
        self.set_limit(self._limit)
        if self._room is not None:
            self._steering.room(self._room)
        order = self._order
        said = {
            "servers": list(order.servers),
            "repositories": list(order.repositories),
            "folder": str(order.folder),
            "cache_bytes": order.cache_bytes,
            "port": self._last_port,
            "meter": str(order.meter or ""),
        }
        work = run_worker(KIND, said, on_progress=self._hear, steer=self._steering, command=self._command)
        self._work = asyncio.create_task(work)
        self._work.add_done_callback(self._ended)
        serves = asyncio.create_task(self._serves.wait())
        try:
            await asyncio.wait([serves, self._work], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serves.cancel()
        if not self.port:
            self._work.result()
        return self.port

    def set_limit(self, bytes_per_s: int | None) -> None:
        """How much it may fetch a second, all guests together; None: as much as there is. At any time."""
        self._limit = bytes_per_s
        self._steering.limit(bytes_per_s)

    def set_room(self, most_bytes: int | None) -> None:
        """How much its cache may take beside its own limit; None: only that holds. At any time."""
        self._room = self._order.cache_bytes if most_bytes is None else most_bytes
        self._steering.room(self._room)

    async def stop(self) -> None:
        """End it; idempotent. Guests' connections are cut, the cache stays."""
        work, self._work, self.port = self._work, None, 0
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _hear(self, said: Mapping[str, Any]) -> None:
        self.facts = {name: value for name, value in said.items() if name != "port"}
        self.port = self._last_port = int(said["port"])
        self._serves.set()

    def _ended(self, work: "asyncio.Task[Mapping[str, Any]]") -> None:
        """It is gone, asked or not; what it failed with is looked at here, for nobody may wait for it."""
        if work is self._work:
            self.port = 0
        if not work.cancelled() and (error := work.exception()) is not None:
            logger("appliance").warning("The proxy for CVMFS ended: %s", error)
