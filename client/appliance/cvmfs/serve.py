"""The proxy as a worker (`client.appliance.worker_child`): from an order to a running server, until it is told to stop.

order:    servers, repositories (the allow-list), folder, cache_bytes, port (0: any free one), limit_bytes_per_s,
          meter (path of what all traffic obeys; empty: none)
progress: first {"port": n}, then the counts, whenever they changed
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from client.appliance.cvmfs.doorman import HEAD_LIMIT_S, Doorman
from client.appliance.cvmfs.fetch import Fetches
from client.appliance.cvmfs.proxy import Proxy
from client.appliance.cvmfs.rules import AllowList
from client.appliance.cvmfs.shortlived import ShortLived
from client.appliance.cvmfs.store import ObjectStore
from client.appliance.cvmfs.upstream import STALL_S, Allowance, Upstream
from client.appliance.worker_child import Face, Stopped
from client.clock import SystemClock
from client.errors import BadInput
from client.meter import Meter

#: only this computer reaches it; guests come by their relays
HOST: Final = "127.0.0.1"
_TELL_S: Final = 1.0


class Running:
    """A proxy, to be made in a running loop and to be closed. It serves from `start` on."""

    def __init__(
        self,
        allowed: AllowList,
        folder: Path,
        cache_bytes: int,
        *,
        stall_s: float = STALL_S,
        head_limit_s: float = HEAD_LIMIT_S,
        meter: str = "",
    ) -> None:
        clock = SystemClock()
        self.allowance = Allowance(clock.monotonic)
        self._upstream = Upstream(allowed, self.allowance, stall_s=stall_s, meter=Meter(meter) if meter else None)
        self._store = ObjectStore(folder, cache_bytes)
        self._most_bytes = cache_bytes
        self._short_lived = ShortLived(self._upstream, folder / "short-lived", clock)
        self._fetches = Fetches(self._upstream, self._store)
        self._proxy = Proxy(allowed, self._store, self._fetches, self._short_lived, self._upstream)
        self._door = Doorman(self._proxy.handle, head_limit_s=head_limit_s)
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Open the cache and serve; returns the port, which is another one if some program has this.

        Raises:
            OSError: the folder cannot be used.
        """
        await asyncio.to_thread(self._store.open)
        await asyncio.to_thread(self._short_lived.open)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._door, HOST, port)
        except OSError:
            self._server = await loop.create_server(self._door, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def limit_cache(self, most_bytes: int) -> None:
        """Have the cache take no more than this, nor more than it was made for."""
        await asyncio.to_thread(self._store.set_limit, min(most_bytes, self._most_bytes))

    def facts(self) -> dict[str, int]:
        """The counts, and what the cache holds."""
        network = {"network_bytes": self._upstream.received_bytes, "cached_bytes": self._store.used_bytes}
        return {**self._proxy.counts.facts(), **network}

    async def close(self) -> None:
        """End it; what is under way is cut."""
        if self._server is not None:
            self._server.close()
        await self._door.shutdown(0)
        await self._fetches.close()
        await self._short_lived.close()
        await self._upstream.close()


def serve(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Serve until the client has enough; a worker's function.

    Raises:
        Stopped: it has.
        BadInput: the order is none.
    """
    try:
        allowed = AllowList(order["servers"], order["repositories"])
        settings = Path(order["folder"]), int(order["cache_bytes"]), int(order.get("port", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("[cvmfs]", str(error), "ask the project for a corrected file") from error
    asyncio.run(_serve(allowed, *settings, face))
    raise Stopped


async def _serve(allowed: AllowList, folder: Path, cache_bytes: int, port: int, face: Face) -> None:
    running = Running(allowed, folder, cache_bytes, meter=face.meter)
    listening = None
    try:
        port = await running.start(port)
        face.progress(force=True, port=port, **running.facts())
        listening = asyncio.create_task(_obey(face, running))
        await _tell(face, running, port, listening)
    finally:
        if listening is not None:
            listening.cancel()
        await running.close()


async def _obey(face: Face, running: Running) -> None:
    """Bring what the client says to where it counts, as soon as it says it."""
    while True:
        running.allowance.limit = face.limit
        if face.room_bytes is not None:
            await running.limit_cache(face.room_bytes)
        try:
            await asyncio.to_thread(face.rest, _TELL_S)
        except Stopped:
            return


async def _tell(face: Face, running: Running, port: int, until: "asyncio.Task[None]") -> None:
    told: dict[str, int] = {}
    while not until.done():
        facts = running.facts()
        if facts != told:
            told = facts
            face.progress(force=True, port=port, **facts)
        await asyncio.wait([until], timeout=_TELL_S)
