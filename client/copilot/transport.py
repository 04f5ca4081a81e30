"""The XMPP session of an agent or a manager: Co-Pilot maps out and in, acknowledged, over one account.

Delivery. Each message has an id; the receiver confirms it as soon as it has queued it. Copies of a message that was
delivered are confirmed and dropped. With `resend` (agents), unconfirmed messages are sent again after 10, 20, 40 ...
up to 60 s while there is a session, and once at the start of each new session; managers never resend, the agent's
own timers recover. A lost session is replaced for ever, waiting 1, 2, 4 ... up to 30 s (and up to half of that again)
between trials. A peer that says nothing to two pings 10 s apart is gone.

A session outlives its connection where the server can do that (XEP-0198): the next connection takes it up, as the same
full JID, and nothing is lost or comes twice. What is sent meanwhile waits for that. Nobody hears of it unless the first
trial fails; when the server does not know the session any more, a new one begins as above.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from client.copilot.errors import TransportDown
from client.copilot.resumption import Resumption
from client.copilot.stanza import Kind, Received, build_ack, build_message, parse_message
from client.copilot.stream import Stream, tls_context
from client.errors import ClientError

if TYPE_CHECKING:  # not loaded: a guest's start is counted in tenths of a second
    from xml.etree.ElementTree import Element

    from client.copilot.messages import Info
    from client.copilot.stanza import StanzaCodec

log = logging.getLogger("copilot.transport")

PING_INTERVAL_S: Final = 10.0
SESSION_LIMIT_S: Final = 60.0
FIRST_RESEND_S: Final = 10.0
LONGEST_RESEND_S: Final = 60.0
LONGEST_BACKOFF_S: Final = 30.0
#: between the end of a session and the next one; a server that ends each at once is not asked in a rush
SHORTEST_BACKOFF_S: Final = 0.2
MAX_INBOX: Final = 1000
MAX_REMEMBERED: Final = 20_000
MAX_UNCONFIRMED: Final = 1000


@dataclass(frozen=True)
class Account:
    """Where and as whom to log in.

    Attributes:
        jid: bare; its domain must be the name in the server's certificate.
        ca_pem: certificates that vouch for the server; empty for the computer's own collection.
        resource: empty lets the server choose.
    """

    jid: str
    password: str = field(repr=False)
    host: str
    port: int
    ca_pem: str
    resource: str = ""


def account_of(agent: Mapping[str, Any]) -> Account:
    """The account in the `agent` part of the settings.

    Its resource is new for each call and stays the same over sessions: managers know the holder of a lease by it.
    """
    return Account(
        jid=str(agent["jid"]),
        password=str(agent["password"]),
        host=str(agent["host"]),
        port=int(agent["port"]),
        ca_pem=str(agent.get("ca_pem", "")),
        resource=f"agent-{uuid.uuid4().hex}",
    )


@dataclass(frozen=True)
class Incoming:
    """A delivered map. sender: full JID."""

    sender: str
    info: "Info"
    message_id: str


@dataclass
class _Unconfirmed:
    to: str
    text: str
    due_at: float
    delay_s: float = FIRST_RESEND_S
    over: asyncio.Event = field(default_factory=asyncio.Event)


class XmppTransport:
    """Sends and receives Co-Pilot maps as one account.

    `on_state` is called with True at the start of a session and with False at its end, or when it has no connection
    for longer than one trial takes (True then says that it was taken up again); `on_bounce` with the id of a
    message that the server could not deliver.
    """

    def __init__(
        self,
        account: Account,
        on_info: Callable[[Incoming], Awaitable[None]],
        *,
        resend: bool,
        on_state: Callable[[bool], None] | None = None,
        on_bounce: Callable[[str], None] | None = None,
        codec: "StanzaCodec | None" = None,
    ) -> None:
        self.on_state = on_state
        self.on_bounce = on_bounce
        #: stanzas that are written at the start of each new session, as for entering a room
        self.greeting = ""
        self.full_jid = account.jid
        self._account = account
        self._on_info = on_info
        self._resend = resend
        self._build = codec.build if codec else build_message
        self._parse = codec.parse if codec else parse_message
        self._stream: Stream | None = None
        self._resumption = Resumption()
        self._told_state = False
        self._was_full = False
        self._connected = asyncio.Event()
        self._ended = asyncio.Event()
        self._hurry = asyncio.Event()
        self._inbox: asyncio.Queue[Incoming] = asyncio.Queue(MAX_INBOX)
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._unconfirmed: dict[str, _Unconfirmed] = {}
        self._drained = asyncio.Event()
        self._drained.set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def resource(self) -> str:
        """The resource that it asks for."""
        return self._account.resource

    @property
    def connected(self) -> bool:
        """Whether there is a session now."""
        return self._connected.is_set()

    @property
    def unconfirmed(self) -> int:
        """How many messages the receivers have not confirmed; always 0 without `resend`."""
        return len(self._unconfirmed)

    async def connect(self, timeout_s: float | None = None) -> None:
        """Starts keeping a session and waits for the first one; calling it again only waits.

        Args:
            timeout_s: how long to wait; None waits for ever, 0 not at all. The trials go on in the background.

        Raises:
            TransportDown: no session in that time.
        """
        if not self._tasks:
            duties = [self._keep_session(), self._deliver()]
            if self._resend:
                duties.append(self._send_again())
            self._tasks = [asyncio.create_task(duty) for duty in duties]
        if timeout_s == 0:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
        except TimeoutError as late:
            raise TransportDown(self._account.jid) from late

    async def send(self, to: str, info: "Info", *, noack: bool = False) -> str:
        """Sends a map and returns the message's id.

        Without a session, an account with `resend` keeps the message for the next one.

        Raises:
            TransportDown: no session, and the message will not be sent later.
        """
        message_id = str(uuid.uuid4())
        text = self._build(message_id, self._account.jid, to, info, noack=noack)
        if self._resend and not noack:
            self._remember(message_id, to, text)
        if not self._write(text) and message_id not in self._unconfirmed:
            raise TransportDown(self._account.jid)
        return message_id

    async def ask(self, to: str, request: "Element", timeout_s: float = 10.0) -> "Element":
        """Asks the server, or a service beside it, with an `iq` of type get; returns the answering `iq`.

        Raises:
            TransportDown: no session.
            AskFailed: it was refused, or nothing came in time.
        """
        if not self.connected or self._stream is None:
            raise TransportDown(self._account.jid)
        return await self._stream.ask(to, request, timeout_s)

    def forget(self, message_id: str) -> None:
        """Stops sending a message again; unknown ids are ignored."""
        waiting = self._unconfirmed.pop(message_id, None)
        if waiting is not None:
            waiting.over.set()
        if not self._unconfirmed:
            self._drained.set()

    async def confirmed(self, message_id: str) -> None:
        """Returns when a message does not wait for its confirmation, or does so no more."""
        waiting = self._unconfirmed.get(message_id)
        if waiting is not None:
            await waiting.over.wait()

    async def drained(self) -> None:
        """Returns when no message waits for its confirmation."""
        await self._drained.wait()

    def reset(self) -> None:
        """Drops the connection without a word and opens a new one at once (after a pause of the whole computer)."""
        # The server has given the session up long ago, or is about to.
        self._resumption.forget()
        # Once: CPython 3.11.2 (the guest's) breaks down when a TLS connection is aborted twice, see `Stream.discard`.
        if self._stream is not None and not self._ended.is_set():
            self._stream.abort()
        self._ended.set()
        self._hurry.set()

    def renew(self, jid: str, password: str) -> None:
        """Goes on as another account: a session of that one begins at once, and what is unconfirmed is said in it."""
        self._account = replace(self._account, jid=jid, password=password)
        self.reset()

    async def wait_closed(self) -> None:
        """Returns when the transport was closed; raises what ended it if something unexpected did."""
        for task in asyncio.as_completed(self._tasks):
            await task

    async def close(self, timeout_s: float = 2.0) -> None:
        """Ends the session politely and stops everything; idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        stream = self._stream
        if stream is not None and self.connected:
            await asyncio.wait([stream.disconnect(timeout_s, ignore_send_queue=True)], timeout=timeout_s + 1)
        self._resumption.forget()
        self._drop_stream()
        # The tasks were cancelled by us; what they raise has been seen by wait_closed or the loop's handler.
        await asyncio.gather(*tasks, return_exceptions=True)

    def _remember(self, message_id: str, to: str, text: str) -> None:
        due_at = asyncio.get_running_loop().time() + FIRST_RESEND_S
        self._unconfirmed[message_id] = _Unconfirmed(to, text, due_at)
        self._drained.clear()
        if len(self._unconfirmed) > MAX_UNCONFIRMED:
            self.forget(next(iter(self._unconfirmed)))

    def _write(self, text: str) -> bool:
        if self.connected and self._stream is not None and self._stream.is_connected():
            self._stream.send_raw(text)
            return True
        if self._resumption.is_possible:
            self._resumption.sent(text)
            return True
        return False

    # -- keeping a session

    async def _keep_session(self) -> None:
        context = tls_context(self._account.ca_pem)
        trial = 0
        while True:
            self._hurry.clear()
            lasted = await self._one_session(context)
            trial = 0 if lasted else trial + 1
            if trial:
                self._tell_state(False)
            delay_s = min(LONGEST_BACKOFF_S, 2.0 ** min(trial - 1, 10)) if trial else SHORTEST_BACKOFF_S
            # `reset` does not wait for the end of a pause that was meant for a server that is down.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s * random.uniform(1.0, 1.5)):
                    await self._hurry.wait()

    async def _one_session(self, context: ssl.SSLContext) -> bool:
        """Opens a stream and stays with it to its end; tells whether it became a session."""
        self._ended.clear()
        stream = self._stream = self._new_stream(context)
        # The future that slixmpp returns is its own affair: failures arrive as events.
        _trial = stream.connect(self._account.host, self._account.port)
        started = False
        try:
            await self._wait_session(stream)
            started = self.connected
            if started:
                await self._watch(stream)
        finally:
            self._drop_stream()
        return started

    async def _wait_session(self, stream: Stream) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._connected, self._ended)]
        try:
            await asyncio.wait(waits, timeout=SESSION_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _watch(self, stream: Stream) -> None:
        """Pings until the stream ends or two pings in a row brought no sign of life."""
        silent = 0
        while silent < 2:
            heard = stream.received_count
            if not stream.is_connected():
                return
            stream.sign_of_life(f"p-{uuid.uuid4().hex}")
            try:
                async with asyncio.timeout(PING_INTERVAL_S):
                    await self._ended.wait()
            except TimeoutError:
                silent = silent + 1 if stream.received_count == heard else 0
            else:
                return
        log.warning("no sign of life from %s, connecting anew", self._account.host)
        if stream.has_resumed:
            # It may be the old session that the server is stuck with.
            self._resumption.forget()

    def _new_stream(self, context: ssl.SSLContext) -> Stream:
        stream = Stream(self._account, context, self._resumption, self._take, lambda: self._go_on(stream))

        def ended(reason: object) -> None:
            if stream is self._stream and not self._ended.is_set():
                log.info("stream ended: %s", reason or "no reason given")
                self._ended.set()

        for event in ("disconnected", "connection_failed", "failed_all_auth"):
            stream.add_event_handler(event, ended)
        stream.add_event_handler("session_start", lambda _: self._start_session(stream))
        return stream

    def _start_session(self, stream: Stream) -> None:
        if stream is not self._stream:
            return
        # A session that could not be taken up has ended, and whoever was not told yet must ask again.
        self._tell_state(False)
        stream.begin()
        if self.greeting:
            stream.send_raw(self.greeting)
        self.full_jid = str(stream.boundjid)
        self._connected.set()
        log.info("session as %s", self.full_jid)
        for waiting in list(self._unconfirmed.values()):
            self._write(waiting.text)
        self._tell_state(True)

    def _go_on(self, stream: Stream) -> None:
        if stream is self._stream:
            self._connected.set()
            log.info("session as %s taken up again", self.full_jid)
            self._tell_state(True)

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.discard()
        self._connected.clear()
        if not self._resumption.is_possible:
            self._tell_state(False)

    def _tell_state(self, connected: bool) -> None:
        if connected != self._told_state:
            self._told_state = connected
            if self.on_state:
                self.on_state(connected)

    # -- messages

    def _take(self, element: Any) -> None:
        received = self._parse(element)
        if received.answer:
            self._write(received.answer)
        if received.kind is Kind.ACK:
            self.forget(received.message_id)
        elif received.kind is Kind.BOUNCE:
            log.info("undelivered (%s): %s", received.condition, received.message_id)
            if self.on_bounce:
                self.on_bounce(received.message_id)
        elif received.kind is Kind.INFO:
            self._accept(received)

    def _accept(self, received: Received) -> None:
        key = (received.sender.partition("/")[0], received.message_id)
        if key not in self._seen:
            if self._inbox.full():
                if not self._was_full:
                    log.warning("inbox full, messages are not taken, that of %s first", received.sender)
                self._was_full = True
                return
            self._was_full = False
            self._seen[key] = None
            if len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)
            self._inbox.put_nowait(Incoming(received.sender, received.info, received.message_id))
        if not received.noack:
            self._write(build_ack(received.message_id, received.recipient, received.sender))

    async def _deliver(self) -> None:
        while True:
            incoming = await self._inbox.get()
            try:
                await self._on_info(incoming)
            except ClientError as refused:
                log.warning("message of %s refused: %s", incoming.sender, refused)

    async def _send_again(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            if not self.connected:
                continue
            now = loop.time()
            for waiting in [item for item in self._unconfirmed.values() if item.due_at <= now]:
                waiting.delay_s = min(LONGEST_RESEND_S, waiting.delay_s * 2)
                waiting.due_at = now + waiting.delay_s
                self._write(waiting.text)
