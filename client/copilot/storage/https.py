"""Files over HTTPS: the output to where an upload service said (XEP-0363), input from where a job manager said.

What does the work (`client.copilot.storage.exchange`) runs in a thread and is loaded with the first file.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from client.copilot.errors import TransferFailed
from client.copilot.storage.pace import USUAL, Pace, PaceLimits

if TYPE_CHECKING:  # a guest's start is counted in tenths of a second
    from client.copilot.storage.exchange import Exchange

DEFAULT_PORT: Final = 443
#: How long a cancelled transfer is waited for; its connection is cut, so it ends by itself.
_END_S: Final = 1.0
#: Most between two looks at how fast a file moves.
_LOOK_S: Final = 5.0
#: Parts of files that may be gone on with; a job has as many at most.
_MAX_ETAGS: Final = 1000


class HttpsTransfer:
    """Moves files between this computer and one HTTPS server, one at a time.

    Args:
        server: `host[:port]`; only addresses of it are used, whatever managers say.
        ca_pem: certificates that vouch for it; empty for the computer's own collection.
        reach: server as it is stated -> server as it is reached from here.
        idle_limit_s: longest silence of the server.
        keep_s: how long a connection that is not in use may be used again.
        pace: how fast files must move, and answers come.
    """

    def __init__(
        self,
        server: str,
        ca_pem: str,
        reach: Mapping[str, str] | None = None,
        idle_limit_s: float = 60.0,
        keep_s: float = 20.0,
        pace: PaceLimits = USUAL,
    ) -> None:
        self._pace = pace
        self._server = _split(server)
        self._reached = _split((reach or {}).get(server, server))
        self._ca_pem = ca_pem
        self._idle_limit_s = idle_limit_s
        self._keep_s = keep_s
        self._context: ssl.SSLContext | None = None
        self._kept: tuple[Exchange, float] | None = None
        self._etags: dict[Path, str] = {}

    def reaches(self, url: str) -> bool:
        """Whether an address is one of this server."""
        try:
            found = urlsplit(url)
            return found.scheme == "https" and (found.hostname, found.port or DEFAULT_PORT) == self._server
        except ValueError:
            return False

    async def get(self, url: str, name: str, local: Path, *, limit_bytes: int) -> int:
        """Fetches `<url>/<name>` and returns its size in bytes. Idempotent; goes on where an earlier trial ended.

        Raises:
            TransferFailed: the server cannot be reached, refused or went silent.
            FileTooBig: it is larger than the limit.
            OSError: the local file cannot be written.
        """
        part = local.with_name(local.name + ".part")
        path = f"{self._path(url).rstrip('/')}/{quote(name)}"
        etag = self._etags.pop(part, "")
        exchange = self._exchange()
        try:
            size = await self._run(exchange, lambda: exchange.get(path, part, etag, limit_bytes))
            part.replace(local)
        except TransferFailed:
            # Those of jobs that are over went with their folders.
            self._etags = {known: mark for known, mark in self._etags.items() if known.exists()}
            if len(self._etags) < _MAX_ETAGS:
                self._etags[part] = exchange.etag or etag
            raise
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._kept = (exchange, asyncio.get_running_loop().time())
        return size

    async def put(self, url: str, headers: Iterable[tuple[str, str]], local: Path) -> int:
        """Stores a file and returns its size in bytes.

        Raises:
            TransferFailed, OSError: as for `get`.
        """
        path = self._path(url)
        exchange = self._exchange()
        size = await self._run(exchange, lambda: exchange.put(path, headers, local))
        exchange.close()
        return size

    async def close(self) -> None:
        """Closes what is open; idempotent."""
        kept, self._kept = self._kept, None
        if kept:
            kept[0].close()

    def _path(self, url: str) -> str:
        if not self.reaches(url):
            raise TransferFailed(url[:200], "", "this is not the project's HTTPS server", True)
        found = urlsplit(url)
        return found.path + (f"?{found.query}" if found.query else "")

    def _exchange(self) -> "Exchange":
        """The connection of the last file if it is fresh, else another."""
        from client.copilot.storage.exchange import Exchange

        kept, self._kept = self._kept, None
        if kept:
            if asyncio.get_running_loop().time() - kept[1] < self._keep_s:
                return kept[0]
            kept[0].close()
        if self._context is None:
            self._context = ssl.create_default_context(cadata=self._ca_pem or None)
        return Exchange(self._server, self._reached, self._context, self._idle_limit_s)

    async def _run(self, exchange: "Exchange", work: Callable[[], int]) -> int:
        from client.copilot.storage.exchange import LocalTrouble

        thread = asyncio.ensure_future(asyncio.to_thread(work))
        watch = asyncio.create_task(self._watch(exchange))
        try:
            return await asyncio.shield(thread)
        except LocalTrouble as trouble:
            raise trouble.error from trouble
        except asyncio.CancelledError:
            exchange.abort()
            thread.add_done_callback(_see)
            await asyncio.wait([thread], timeout=_END_S)
            raise
        finally:
            watch.cancel()

    async def _watch(self, exchange: "Exchange") -> None:
        """Ends what is too slow; to be cancelled at its end."""
        now = asyncio.get_running_loop().time
        while True:
            phase, begin, pace = exchange.phase, exchange.moved, Pace(self._pace, now())
            while phase == exchange.phase:
                await asyncio.sleep(min(_LOOK_S, self._pace.window_s / 4))
                trouble = pace.trouble(exchange.moved - begin, now())
                if trouble and phase == exchange.phase:
                    exchange.why_aborted = trouble
                    exchange.abort()
                    return


def _see(thread: "asyncio.Future[int]") -> None:
    """Whatever a cancelled transfer ends with is of no interest."""
    if not thread.cancelled():
        thread.exception()


def _split(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not colon or port.endswith("]"):
        return server.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port)
