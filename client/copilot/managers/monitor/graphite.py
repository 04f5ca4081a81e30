"""Feeds Graphite: carbon's plaintext protocol over TCP, with the names that the original's monitor gives.

    copilot.<component>.<event>                          how often in 10 s; or the value
    copilot.<component>.<event>.avg .min .max .count     durations, in minutes, as the original has them

Source: Graphite documentation, "Feeding In Your Data": one `<path> <value> <timestamp>` a line.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from client.copilot.events import Spread
from client.copilot.managers.monitor.ledger import Kind, Series
from client.copilot.managers.monitor.settings import GraphiteSettings
from client.log import logger

log = logger("site")

#: what waits while carbon is away: the oldest goes first
MAX_LINES: Final = 50_000
#: a carbon that takes nothing for that long is gone
STALLED_S: Final = 20.0
LONGEST_PAUSE_S: Final = 60.0
_CONNECT_S: Final = 10.0
_CLOSE_S: Final = 1.0
_LINES_AT_ONCE: Final = 500


def graphite_lines(prefix: str, at: float, slots: Mapping[Series, Spread]) -> Iterator[str]:
    """The lines that tell what was added in the 10 s before."""
    for series, it in slots.items():
        path = f"{prefix}.{series.component}.{series.event}"
        if series.kind is Kind.COUNT:
            yield f"{path} {it.number} {int(at)}\n"
        elif series.kind is Kind.VALUE:
            yield f"{path} {it.total / it.number:.12g} {int(at)}\n"
        else:
            minutes = {"avg": it.total / it.number / 60, "min": it.low / 60, "max": it.high / 60, "count": it.number}
            for name, value in minutes.items():
                yield f"{path}.{name} {value:.12g} {int(at)}\n"
    yield f"{prefix}.monitor.updates {len(slots)} {int(at)}\n"


class GraphiteFeed:
    """Sends lines to carbon, now or when it is back.

    Attributes:
        connected: whether there is a connection now.
        dropped: lines that nobody will get, since there were too many.
        sent: lines that were written.
    """

    def __init__(self, settings: GraphiteSettings) -> None:
        self.settings = settings
        self.connected = False
        self.dropped = 0
        self.sent = 0
        self._lines: deque[str] = deque()
        self._has_lines = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Lines that wait."""
        return len(self._lines)

    def feed(self, at: float, slots: Mapping[Series, Spread]) -> None:
        """Have this sent."""
        for line in graphite_lines(self.settings.prefix, at, slots):
            if len(self._lines) >= MAX_LINES:
                self._lines.popleft()
                self.dropped += 1
            self._lines.append(line)
        self._has_lines.set()

    async def run(self) -> None:
        """Keep a connection and send, for ever."""
        trial = 0
        while True:
            began = self.sent
            try:
                await self._one_connection()
            except (OSError, TimeoutError) as error:
                if not trial:
                    log.warning("Graphite at %s:%d is away: %s", self.settings.host, self.settings.port, error)
            trial = 1 if self.sent > began else trial + 1
            await asyncio.sleep(min(LONGEST_PAUSE_S, 2.0 ** min(trial - 1, 10)) * random.uniform(0.5, 1.0))

    async def _one_connection(self) -> None:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(self.settings.host, self.settings.port)
        self.connected = True
        # Carbon says nothing: what can be read is the end of the connection, which writing alone would notice late.
        ended = asyncio.create_task(reader.read(1))
        try:
            while not ended.done():
                await self._send(writer)
                await self._until_more(ended)
        finally:
            self.connected = False
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            await _close(writer)

    async def _until_more(self, ended: "asyncio.Task[bytes]") -> None:
        more = asyncio.create_task(self._has_lines.wait())
        try:
            await asyncio.wait({ended, more}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while self._lines:
            some = [self._lines.popleft() for _ in range(min(_LINES_AT_ONCE, len(self._lines)))]
            writer.write("".join(some).encode("ascii"))
            try:
                async with asyncio.timeout(STALLED_S):
                    await writer.drain()
            except (OSError, TimeoutError):
                self._lines.extendleft(reversed(some))
                raise
            self.sent += len(some)
        self._has_lines.clear()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close it, without waiting for a carbon that takes nothing: what it did not take would hold this for hours."""
    writer.close()
    try:
        async with asyncio.timeout(_CLOSE_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()
