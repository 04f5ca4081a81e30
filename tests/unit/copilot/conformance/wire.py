"""A stream in memory in place of the real one: raw XML goes in, raw XML comes out; the transport is the real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from client.clock import SystemClock
from client.copilot import transport
from client.copilot.agent import Agent, AgentSettings
from client.copilot.managers.config import ProcessSettings
from client.copilot.managers.process import Desk, ManagerProcess
from client.copilot.stanza import Kind, Received, parse_message
from client.copilot.transport import Account, Incoming, XmppTransport
from tests.helpers.copilot import FakeFiles, FakeReport, FakeRunner

#: in the loop's time, which jumps
PATIENCE_S = 5000.0


class Wire:
    """The server's end of the one stream of a role. sent: message stanzas of the role that nobody has looked at yet."""

    def __init__(self, full_jid: str) -> None:
        self.full_jid = full_jid
        self.stream: WireStream | None = None
        self.sent: list[Received] = []
        self.texts: list[str] = []
        self.greetings: list[str] = []
        self._news = asyncio.Event()

    def take(self, text: str) -> None:
        """The role wrote something; only messages are kept."""
        if text.startswith("<message"):
            self.texts.append(text)
            self.sent.append(parse_message(ElementTree.fromstring(text)))
            self._news.set()
        elif text.startswith("<presence"):
            self.greetings.append(text)

    def feed(self, stanza: str | ElementTree.Element) -> None:
        """The server delivers a message to the role."""
        element = ElementTree.fromstring(stanza) if isinstance(stanza, str) else stanza
        assert self.stream is not None
        self.stream.deliver(element)

    async def next(self, kind: Kind, command: str = "") -> Received:
        """The next ack, or the next message (with that command), that the role sends; it is taken off the list."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for one in self.sent:
                    if one.kind is kind and command in {"", one.info.get("command")}:
                        self.sent.remove(one)
                        return one
                self._news.clear()
                await self._news.wait()

    async def ack_of(self, message_id: str) -> Received:
        found = await self.next(Kind.ACK)
        assert found.message_id == message_id
        return found

    async def command(self, command: str) -> Received:
        return await self.next(Kind.INFO, command)

    async def settle(self) -> None:
        """Lets everything happen that needs no time."""
        for _ in range(50):
            await asyncio.sleep(0)

    def drop(self) -> None:
        """The connection is lost."""
        assert self.stream is not None
        self.stream.fire("disconnected", "cut")


class WireStream:
    """What the transport uses of its stream; the rest of XMPP is left out."""

    def __init__(self, wire: Wire, on_message: Callable[[ElementTree.Element], None]) -> None:
        self.boundjid = wire.full_jid
        self.received_count = 0
        self.deliver = on_message
        self._wire = wire
        self._handlers: dict[str, list[Callable[[Any], Any]]] = {}
        self._open = False
        wire.stream = self

    def add_event_handler(self, event: str, handler: Callable[[Any], Any]) -> None:
        self._handlers.setdefault(event, []).append(handler)

    def connect(self, host: str, port: int) -> None:
        self._open = True
        asyncio.get_running_loop().call_soon(self.fire, "session_start", None)

    def begin(self) -> None:
        """The session begins."""

    def sign_of_life(self, ping_id: str) -> None:
        self.received_count += 1

    def is_connected(self) -> bool:
        return self._open

    def send_raw(self, text: str) -> None:
        self._wire.take(text)

    def fire(self, event: str, about: Any) -> None:
        for handler in self._handlers.get(event, []):
            handler(about)

    def discard(self) -> None:
        self._open = False

    abort = discard

    def disconnect(self, *_: Any, **__: Any) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def put_on_wire(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    """Has all transports made from now on use the wire."""

    def stream(
        account: Account, context: object, resumption: object, on_message: Any, *_: Any, **__: Any
    ) -> WireStream:
        return WireStream(wire, on_message)

    monkeypatch.setattr(transport, "Stream", stream)


async def at_once(function: Callable[..., Any], *args: Any) -> Any:
    """What `asyncio.to_thread` does, without a thread."""
    return function(*args)


def account_of(wire: Wire) -> Account:
    bare, _, resource = wire.full_jid.partition("/")
    return Account(bare, "pw", "localhost", 5222, "", resource)


@asynccontextmanager
async def agent_on_wire(
    monkeypatch: pytest.MonkeyPatch, folder: Path, full_jid: str, manager: str, runner: FakeRunner | None = None
) -> AsyncIterator[tuple[Wire, Agent]]:
    """Our agent, with its real transport, on a stream in memory; runner and files are fakes."""
    wire = Wire(full_jid)
    put_on_wire(monkeypatch, wire)
    # Jumping time passes while a thread works.
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    agent: Agent

    async def on_info(incoming: Incoming) -> None:
        await agent.on_info(incoming)

    link = XmppTransport(account_of(wire), on_info, resend=True)
    settings = AgentSettings(manager, folder, "vm", durable=False)
    agent = Agent(settings, link, FakeFiles(), runner or FakeRunner(folder), FakeReport(), SystemClock())
    link.on_state, link.on_bounce = agent.on_state, agent.on_bounce
    await link.connect()
    work = asyncio.create_task(agent.run())
    try:
        yield wire, agent
    finally:
        await agent.suspend(0.1)
        await work
        await link.close()


@asynccontextmanager
async def manager_on_wire(monkeypatch: pytest.MonkeyPatch, full_jid: str, *desks: Desk) -> AsyncIterator[Wire]:
    """A manager of ours, with its real process and transport, on a stream in memory."""
    wire = Wire(full_jid)
    put_on_wire(monkeypatch, wire)
    process = ManagerProcess(account_of(wire), ProcessSettings(None, None))
    for desk in desks:
        process.add(desk)
    async with running(process, wire):
        yield wire


@asynccontextmanager
async def running(process: ManagerProcess, wire: Wire) -> AsyncIterator[None]:
    """The process with its session, until the context ends."""
    stop = asyncio.Event()
    work = asyncio.create_task(process.run(stop))
    while wire.stream is None or not wire.stream.is_connected():
        await asyncio.sleep(0)
    await wire.settle()
    try:
        yield
    finally:
        stop.set()
        await work
