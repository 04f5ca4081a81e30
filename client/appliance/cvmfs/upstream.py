"""The way out: to servers of the allow-list only, at addresses that were looked at, no faster than is allowed.

While the meter (`client.meter`) says "closed" there is none, and what is under way breaks off: guests get what the
cache has.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from client.appliance.cvmfs.rules import AllowList, Wanted, is_public
from client.meter import DOWN, Meter, Share, clock_ns, window_bytes

CONNECT_LIMIT_S: Final = 10.0
#: a server that sends nothing for so long has gone
STALL_S: Final = 20.0
#: over so many seconds of waiting for it, a server has to send at least this much a second
PATIENCE_S: Final = 30.0
LEAST_BYTES_S: Final = 1024
#: connections to one server at a time: for all objects on their way, and some for what changes
MOST_CONNECTIONS: Final = 12
_BLOCK_BYTES: Final = 128 * 1024
_BURST_S: Final = 0.25
_CLOSED: Final = "the rules of this computer let nothing over the network now"


class Away(Exception):
    """A server that does not answer as it should; worth asking again later. The text says how."""


#: what talking to a server can end with
FAULTS: Final = (aiohttp.ClientError, OSError, TimeoutError, ssl.CertificateError)


class CheckedResolver(AbstractResolver):
    """Looks names up and passes on only public addresses, so the one that is connected to is one that was looked at.

    A name whose server answers with this computer's or its network's addresses, the first or the second time, is thus
    refused. Addresses that the allow-list itself gives are taken as they are.
    """

    def __init__(self, allowed: AllowList) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See the base class.

        Raises:
            OSError: there is no such name, or none of its addresses may be used.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        is_trusted = self._allowed.named_local(host)
        places = [(kind, str(place[0])) for kind, _, _, _, place in found]
        usable = [(kind, address) for kind, address in places if is_trusted or is_public(address)]
        if not usable:
            raise OSError(f"{host} is in a private network")
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=flags)
            for kind, address in usable
        ]

    async def close(self) -> None:
        """See the base class."""


class Allowance:
    """How much may be fetched: `limit` bytes a second of all together (None: no limit); it may change at any moment."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.limit: int | None = None
        self._now = now
        self._at = now()
        self._balance = 0.0

    async def take(self, size_bytes: int) -> None:
        """Account for bytes that came, and wait until they are paid for."""
        self._refill()
        self._balance -= size_bytes
        while self.limit and self._balance < 0:
            await asyncio.sleep(min(_BURST_S, -self._balance / self.limit))
            self._refill()

    def _refill(self) -> None:
        now = self._now()
        if self.limit:
            self._balance = min(self.limit * _BURST_S, self._balance + self.limit * (now - self._at))
        else:
            self._balance = 0.0
        self._at = now


class Upstream:
    """The connections to the servers. To be made and closed in a running loop.

    Attributes:
        received_bytes: of bodies, from all servers.
    """

    def __init__(
        self, allowed: AllowList, allowance: Allowance, *, stall_s: float = STALL_S, meter: Meter | None = None
    ) -> None:
        """Make it; meter: what all traffic obeys and is counted in, None for no such thing."""
        self.received_bytes = 0
        self._meter = meter
        self._allowance = allowance
        self._stall_s = stall_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=CheckedResolver(allowed),
                limit=0,
                limit_per_host=MOST_CONNECTIONS,
                ttl_dns_cache=60,
                ssl=_authorities(),
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_S, sock_read=stall_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": "volunteer-cloud", "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    @asynccontextmanager
    async def open(
        self, wanted: Wanted, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask a server. Redirects come back as they are: nobody is sent to another place.

        Raises:
            Away: the server does not answer, or may not be asked now.
        """
        if self._meter is not None and self._meter.look(clock_ns()) and self._meter.closed:
            raise Away(_CLOSED)
        try:
            response = await self._session.request(method, wanted.url, headers=headers, allow_redirects=False)
        except FAULTS as error:
            raise Away(f"{wanted.server.base}: {error or type(error).__name__}") from error
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Away("a body in another form than was asked for")
            yield response
        finally:
            response.release()

    async def body(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body in pieces, as fast as is allowed.

        Raises:
            Away: it stops before its end, or comes too slowly to be meant, or may not come any more.
        """
        loop = asyncio.get_running_loop()
        waited_s, came = 0.0, 0
        share = Share(self._meter, DOWN) if self._meter is not None else None
        try:
            while True:
                most = await _leave(share, response)
                began = loop.time()
                try:
                    piece = await response.content.read(most)
                except FAULTS as error:
                    raise Away(f"the body broke off: {error or type(error).__name__}") from error
                if not piece:
                    return
                waited_s, came = waited_s + loop.time() - began, came + len(piece)
                if waited_s > PATIENCE_S and came < waited_s * LEAST_BYTES_S:
                    raise Away("it sends too slowly")
                self.received_bytes += len(piece)
                if share is not None:
                    share.moved(len(piece), clock_ns())
                await self._allowance.take(len(piece))
                yield piece
        finally:
            if share is not None:
                share.enter(clock_ns())

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _leave(share: Share | None, response: aiohttp.ClientResponse) -> int:
    """Wait until more of a body may come; how many bytes.

    Raises:
        Away: nothing may move now.
    """
    while True:
        now = clock_ns()
        if share is None:
            return _BLOCK_BYTES
        most = share.most(now)
        if share.is_closed(now):
            raise Away(_CLOSED)
        if share.limit:
            _narrow(response, share.limit)
        if most:
            return most if share.limit else _BLOCK_BYTES
        await asyncio.sleep(max(0.001, share.wait_s(now)))


def _narrow(response: aiohttp.ClientResponse, limit: int) -> None:
    """Have the system take in no more ahead of us than the limit is worth."""
    connection = response.connection
    transport = connection.transport if connection is not None else None
    narrow = transport.get_extra_info("socket") if transport is not None else None
    if narrow is not None:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes(limit))


def _authorities() -> ssl.SSLContext:
    """The system's certificate authorities, or certifi's where it has none."""
    context = ssl.create_default_context()
    if not context.get_ca_certs():
        import certifi

        context.load_verify_locations(certifi.where())
    return context
