"""The proxy for what guests read by CVMFS: it runs while a VM does, if the project asks for it, and is led to.

Guests reach it at the same address whatever port it has on this computer; when that changes, the route changes.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from client.appliance.proxy import HOST, CvmfsProxy, ProxyOrder
from client.board import Board
from client.clock import Clock
from client.errors import ClientError
from client.hypervisor.driver import Route
from client.log import logger
from client.messages import code_of, sentence
from client.paths import Paths
from client.preferences.store import Preferences
from client.project.definition import Project
from client.snapshot import GuestFilesView, VmState
from client.supervisor import attempt, back_off_s

#: where the guest finds it, unless the hypervisor has its own idea
GUEST_ADDRESS: Final = ("10.0.2.102", 3128)
ROUTE: Final = "cvmfs"
#: it stays so long after the VM, which often comes back
LINGER_S: Final = 30.0
_ABOUT: Final = "cvmfs"
_UP: Final = frozenset({VmState.STARTING, VmState.RUNNING, VmState.SAVING})


class Proxy(Protocol):
    """What is used of `client.appliance.proxy.CvmfsProxy`."""

    port: int
    facts: Mapping[str, Any]

    async def start(self) -> int:
        """See there."""

    async def stop(self) -> None:
        """See there."""

    def set_room(self, most_bytes: int | None) -> None:
        """See there."""


class GuestFiles:
    """Starts, stops and mends the proxy beside the turns of a VM."""

    def __init__(self, proxy: Proxy, board: Board, clock: Clock, limit_bytes: int) -> None:
        """Args: limit_bytes: of the proxy's cache."""
        self._limit_bytes = limit_bytes
        self._room_bytes: int | None = None
        self._proxy = proxy
        self._board = board
        self._clock = clock
        self._led_to = 0
        self._change: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._idle_since: float | None = None
        self._failures = 0
        self._not_before = 0.0

    async def route(self) -> Route:
        """The way to the proxy, which serves when this returns.

        Raises:
            ClientError: it does not start.
        """
        async with self._lock:
            self._led_to = await self._proxy.start()
        self._idle_since = None
        self._board.settle(about=_ABOUT)
        # What guests read of it is no traffic; what it fetches itself is.
        return Route(ROUTE, *GUEST_ADDRESS, HOST, self._led_to, local=True)

    def attend(self, state: VmState, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have the proxy run if the VM does, and not for long if it does not. To be called at each turn; never waits.

        Args:
            lead: makes routes (which asks for `route`) and gives them to the VM; called when the proxy has moved.
        """
        now = self._clock.monotonic()
        self._show()
        if state in _UP:
            self._idle_since = None
            if not self._proxy.port and now >= self._not_before:
                self._begin(self._start)
            elif self._proxy.port not in {0, self._led_to}:
                self._begin(lambda: self._move(lead))
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > LINGER_S and self._proxy.port:
            self._begin(self._stop)

    def set_room(self, most_bytes: int | None) -> None:
        """Let the cache take no more than this beside its own limit; None: only that holds."""
        self._room_bytes = most_bytes
        self._proxy.set_room(most_bytes)

    async def close(self) -> None:
        """End it."""
        if self._change is not None:
            self._change.cancel()
            await asyncio.gather(self._change, return_exceptions=True)
        await self._proxy.stop()

    def _show(self) -> None:
        """What it told last; it stays when the proxy goes, since the cache does."""
        if not (said := self._proxy.facts):
            return
        view = GuestFilesView(
            kept_bytes=int(said["cached_bytes"]),
            limit_bytes=min(self._limit_bytes, self._limit_bytes if self._room_bytes is None else self._room_bytes),
            given_bytes=int(said["served_bytes"]),
            fetched_bytes=int(said["network_bytes"]),
            hits=int(said["hits"]),
            misses=int(said["misses"]),
        )
        if view != self._board.facts.guest_files:
            self._board.facts.guest_files = view
            self._board.changed()

    def _begin(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.create_task(change())

    async def _start(self) -> None:
        try:
            async with self._lock:
                await self._proxy.start()
        except ClientError as error:
            self._failures += 1
            self._not_before = self._clock.monotonic() + back_off_s(self._failures)
            logger("core").warning("cvmfs: %s", error)
            said = sentence(error)
            self._board.raise_problem(code_of(error), _ABOUT, said.text, said.doing, said.severity)
        else:
            self._failures = 0
            self._board.settle(about=_ABOUT)

    async def _move(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if await attempt("the way to the proxy for CVMFS", lead) is not None:
            # A VM that was defined without this way gets it when it boots the next time; until then nothing helps.
            self._led_to = self._proxy.port

    async def _stop(self) -> None:
        async with self._lock:
            await self._proxy.stop()


def guest_files(
    project: Project, paths: Paths, preferences: Preferences, board: Board, clock: Clock
) -> GuestFiles | None:
    """What the project asks for; None if nothing. Nothing is started."""
    wanted = project.cvmfs
    if not wanted.servers:
        return None
    cache_bytes = preferences.number("cvmfs.cache_mib") << 20
    proxy = CvmfsProxy(ProxyOrder(wanted.servers, wanted.repositories, paths.cvmfs, cache_bytes, paths.meter))
    proxy.set_limit(preferences.number("network.limit_kib_per_s") * 1024 or None)
    return GuestFiles(proxy, board, clock, cache_bytes)
