"""The host's end of the guest link: keeps a stream to the guest open, and turns bytes into messages and back.

The guest is untrusted: its bytes pass `client.link`'s checks, and are taken at a bounded rate, so that a guest that
writes garbage costs it time and not the volunteer. What is written to it is bounded too: answers wait until it reads.
"""

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from client.clock import Clock
from client.errors import ClientError
from client.link import LinkEnd, Message
from client.log import logger

PING_INTERVAL_S: Final = 5.0
RETRY_S: Final = 0.25
CHUNK_BYTES: Final = 8192
#: what a guest may say per second, over a short while; more is left in the channel
RATE_BYTES_PER_S: Final = 4_000_000
#: after its words have cost so much time the guest has to wait REST times as long, so it has a tenth of the loop
TURN_S: Final = 0.005
REST: Final = 9.0
#: unwritten bytes towards a guest that does not read, after which nothing is added: reliable messages are kept anyhow
BACKLOG_BYTES: Final = 65536
#: a guest that asks and does not read the answers for so long is cut off
DRAIN_LIMIT_S: Final = 10.0
#: a guest gets all that it has not confirmed at most so often
RESEND_INTERVAL_S: Final = 1.0
#: what a guest leaves unconfirmed for so long is said again unasked; twice as long each time
UNCONFIRMED_S: Final = 5.0
UNCONFIRMED_MOST_S: Final = 80.0
CLOSE_LIMIT_S: Final = 1.0

OpenLink = Callable[[], Awaitable[tuple[StreamReader, StreamWriter]]]


class LinkChannel:
    """A guest's link as seen from the host.

    Attributes:
        heard_at: monotonic seconds of the last well-formed message; None before the first since `expect_boot`.
        longest_gap_s: the longest silence between two messages so far, while the guest was meant to speak.
        share: of its processors' time that the guest gets, above 0 and at most 1; it is told with each ping.
        is_held: the guest stands still, and would find all pings of that time at once when it goes on.
    """

    def __init__(self, open_link: OpenLink, on_message: Callable[[Message], None], clock: Clock) -> None:
        """Args: on_message: called in the event loop for each message, in order."""
        self.heard_at: float | None = None
        self.longest_gap_s = 0.0
        self.share = 1.0
        self.is_held = False
        self._open_link = open_link
        self._on_message = on_message
        self._clock = clock
        self._end = LinkEnd(os.urandom(8).hex())
        self._writer: StreamWriter | None = None
        self._reported_noise = 0
        self._resent_at = float("-inf")
        self._tell_resumed = False
        self._withheld = False
        self._oldest, self._oldest_since, self._patience_s = 0, 0.0, UNCONFIRMED_S

    @property
    def peer(self) -> str:
        """Names the boot of the guest that spoke last; empty before its first word. The guest's own choice."""
        return self._end.peer_boot_id

    @property
    def noise(self) -> int:
        """Lines received that are no messages."""
        return self._end.dropped.noise

    @property
    def connected(self) -> bool:
        """Whether a stream to the guest is open."""
        return self._writer is not None

    def expect_boot(self) -> None:
        """The guest was (re)started: what it said before counts no more."""
        self.heard_at = None

    def expect_resume(self) -> None:
        """The guest was held and goes on: the time in between was no silence, and it is told the time.

        A restored guest has the entropy of its twin from before: fresh bytes go with the time.
        """
        if self.heard_at is not None:
            self.heard_at = self._clock.monotonic()
        self._tell_resumed = True
        if self._writer is not None:
            self._say_resumed(self._writer)

    def send(self, kind: str, **fields: Any) -> None:
        """Send, or keep until the guest can be reached if the kind is a reliable one."""
        line = self._end.send(kind, **fields)
        if self._writer is not None and _has_room(self._writer):
            self._writer.write(line)
        else:
            self._withheld = True

    async def run(self) -> None:
        """Keep the link open until cancelled."""
        while True:
            try:
                reader, writer = await self._open_link()
            except (ClientError, OSError):
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await self._converse(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                self._writer = None
                await _close(writer)
            await asyncio.sleep(RETRY_S)

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writer = writer
        self._resent_at = self._clock.monotonic()
        self._withheld = False
        writer.write(self._end.hello(peer="host", wall_clock=self._clock.now().timestamp()))
        if self._tell_resumed:
            self._say_resumed(writer)
        pings = asyncio.ensure_future(self._ping())
        try:
            while data := await reader.read(CHUNK_BYTES):
                await self._take(data)
                await self._reply(writer)
                await asyncio.sleep(len(data) / RATE_BYTES_PER_S)
        finally:
            pings.cancel()

    async def _reply(self, writer: StreamWriter) -> None:
        """Answer, and hear nothing more until the guest has read; TimeoutError (an OSError) when it does not."""
        self._answer(writer)
        async with asyncio.timeout(DRAIN_LIMIT_S):
            await writer.drain()

    def _answer(self, writer: StreamWriter) -> None:
        now = self._clock.monotonic()
        may_resend = now - self._resent_at >= RESEND_INTERVAL_S
        due = self._end.replies(resend=may_resend)
        if due:
            writer.write(due)
        if may_resend and len(due) > 0:
            self._resent_at = now

    def _say_resumed(self, writer: StreamWriter) -> None:
        self._tell_resumed = False
        entropy = os.urandom(32).hex()
        writer.write(self._end.send("resumed", wall_clock=self._clock.now().timestamp(), entropy=entropy))

    async def _take(self, data: bytes) -> None:
        began = self._clock.monotonic()
        for message in self._end.receive(data):
            self._note_life()
            self._on_message(message)
            began = await self._rest(began)
        await self._rest(began)
        if self.noise > 10 * max(1, self._reported_noise):
            self._reported_noise = self.noise
            logger("guest").warning("The guest sends garbage on its link: %d lines dropped", self.noise)

    async def _rest(self, began: float) -> float:
        """Wait if the guest has used up its turn since `began`; returns when its turn begins."""
        spent_s = self._clock.monotonic() - began
        if spent_s < TURN_S:
            return began
        await asyncio.sleep(REST * spent_s)
        return self._clock.monotonic()

    def _note_life(self) -> None:
        now = self._clock.monotonic()
        if self.heard_at is not None:
            self.longest_gap_s = max(self.longest_gap_s, now - self.heard_at)
        self.heard_at = now

    async def _ping(self) -> None:
        """Pings, and what a guest asked for too soon after the last time."""
        pinged_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(RESEND_INTERVAL_S)
            writer, now = self._writer, self._clock.monotonic()
            if writer is None or not _has_room(writer):
                continue
            self._answer(writer)
            self._insist(writer, now)
            if now - pinged_at >= PING_INTERVAL_S and not self.is_held:
                pinged_at = now
                self.send("ping", wall_clock=self._clock.now().timestamp(), share=round(self.share, 3))

    def _insist(self, writer: StreamWriter, now: float) -> None:
        """Say again what was not written, and what may have been lost with nothing after it that would show the gap."""
        oldest = self._end.oldest_kept
        if oldest != self._oldest:
            self._oldest, self._oldest_since, self._patience_s = oldest, now, UNCONFIRMED_S
        overdue = oldest > 0 and now - self._oldest_since >= self._patience_s
        if self._withheld or overdue:
            self._withheld, self._oldest_since = False, now
            self._patience_s = min(UNCONFIRMED_MOST_S, 2 * self._patience_s)
            writer.write(self._end.resend())


def _has_room(writer: StreamWriter) -> bool:
    return writer.transport.get_write_buffer_size() < BACKLOG_BYTES


async def _close(writer: StreamWriter) -> None:
    """Close, and give what is unwritten a moment: a guest that does not read must not hold the end up."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()
