"""The door of the proxy: how many may come in, and how long they may take to say what they want."""

import asyncio
import logging
from typing import Any, Final

from aiohttp import web

#: connections at a time; a guest's relays take 32 of one VM
MOST_CONNECTIONS: Final = 96
#: for a whole request's head, and between two requests
HEAD_LIMIT_S: Final = 15.0
MOST_HEAD_LINE_BYTES: Final = 4096
MOST_HEADERS: Final = 40
_SILENT: Final = logging.getLogger("client.appliance.cvmfs.door")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Visitor(web.RequestHandler):
    """One connection. It is closed if no request is being answered for too long, whatever it sends meanwhile."""

    __slots__ = ("_limit_s", "_patience")

    def __init__(self, door: "Doorman", limit_s: float, **settings: Any) -> None:
        super().__init__(door, **settings)
        self._limit_s = limit_s
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See the base class."""
        super().connection_made(transport)
        assert isinstance(self._manager, Doorman)
        if len(self._manager.connections) > self._manager.most_connections:
            self.abort()
        self.listen()

    def connection_lost(self, exc: BaseException | None) -> None:
        """See the base class."""
        self.answer()
        super().connection_lost(exc)

    def answer(self) -> None:
        """A request came; take the time that it needs."""
        if self._patience is not None:
            self._patience.cancel()

    def listen(self) -> None:
        """Wait for a request, but not for ever."""
        self.answer()
        self._patience = asyncio.get_running_loop().call_later(self._limit_s, self.abort)

    def abort(self) -> None:
        """Cut the connection at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


class Doorman(web.Server):
    """Takes connections for one handler of requests; made in a running loop."""

    def __init__(
        self, handler: Any, *, head_limit_s: float = HEAD_LIMIT_S, most_connections: int = MOST_CONNECTIONS
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.most_connections = most_connections
        self._head_limit_s = head_limit_s

    def __call__(self) -> web.RequestHandler:
        """A new connection, with limits."""
        return Visitor(
            self,
            self._head_limit_s,
            loop=asyncio.get_running_loop(),
            access_log=None,
            logger=_SILENT,
            keepalive_timeout=self._head_limit_s,
            lingering_time=0,
            max_line_size=MOST_HEAD_LINE_BYTES,
            max_field_size=MOST_HEAD_LINE_BYTES,
            max_headers=MOST_HEADERS,
        )
