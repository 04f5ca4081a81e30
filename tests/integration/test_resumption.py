"""Sessions that outlive their connections, against the real prosody with its stream management."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from client.copilot import transport as module
from client.copilot.transport import Account, Incoming, XmppTransport
from tests.helpers.servers import Xmpp, serving, xmpp_server

pytestmark = pytest.mark.integration

MESSAGES = 200


@pytest.fixture
def server() -> Iterator[Xmpp]:
    with xmpp_server("agent", "jm", modules=("smacks", "volunteer_cloud_resumption")) as running:
        yield running


class Wire:
    """A relay to the server whose connections can be cut, as a network does it: both ends only see silence's end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []
        self.connections = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, to_server]
        pipes = [asyncio.create_task(_pipe(reader, to_server)), asyncio.create_task(_pipe(from_server, writer))]
        await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for task in pipes:
            task.cancel()
        for end in (writer, to_server):
            end.transport.abort()
        await asyncio.gather(*pipes, return_exceptions=True)

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends = []


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while (data := await source.read(700)) and not sink.transport.is_closing():
        # Small pieces in turns of the loop, so that a cut leaves half of what was said on its way.
        sink.write(data)
        await asyncio.sleep(0.001)


class Peer:
    """A transport behind a wire of its own."""

    def __init__(self, server: Xmpp, port: int, user: str, *, resend: bool, wire: Wire) -> None:
        account = Account(f"{user}@localhost", "pw", "127.0.0.1", port, server.ca_pem)
        self.wire = wire
        self.heard: list[str] = []
        self.states: list[bool] = []
        self.transport = XmppTransport(account, self.on_info, resend=resend)
        self.answers = False

    async def on_info(self, incoming: Incoming) -> None:
        self.heard.append(str(incoming.info["number"]))
        if self.answers:
            await self.transport.send(incoming.sender, incoming.info)

    async def has_heard(self, number: int) -> None:
        async with asyncio.timeout(60):
            while len(self.heard) < number:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def peer(server: Xmpp, user: str, *, resend: bool) -> AsyncIterator[Peer]:
    wire = Wire(server.port)
    async with serving(wire.relay) as port:
        found = Peer(server, port, user, resend=resend, wire=wire)
        await found.transport.connect(60)
        found.transport.on_state = found.states.append
        try:
            yield found
        finally:
            await found.transport.close()


@pytest.mark.parametrize("cut", ["agent", "manager", "both"])
async def test_nothing_is_lost_or_doubled_by_cuts_in_the_middle_of_a_conversation(server: Xmpp, cut: str) -> None:
    async with peer(server, "jm", resend=False) as manager, peer(server, "agent", resend=True) as agent:
        manager.answers = True
        names = (agent.transport.full_jid, manager.transport.full_jid)
        for number in range(MESSAGES):
            await agent.transport.send(names[1], {"command": "x", "number": str(number), "padding": "p" * 500})
        for heard in (10, 60, 120):
            await agent.has_heard(heard)
            for one in [agent] * (cut != "manager") + [manager] * (cut != "agent"):
                one.wire.cut()
        await agent.has_heard(MESSAGES)
        expected = [str(number) for number in range(MESSAGES)]
        assert manager.heard == expected, "each once, in order, though managers never send again"
        assert agent.heard == expected
        async with asyncio.timeout(60):
            await agent.transport.drained()
        assert (agent.transport.full_jid, manager.transport.full_jid) == names
        assert agent.states == manager.states == []
        assert agent.wire.connections == (1 if cut == "manager" else 4)


async def test_what_is_said_during_a_cut_goes_out_when_the_session_is_taken_up(server: Xmpp) -> None:
    async with peer(server, "jm", resend=False) as manager, peer(server, "agent", resend=True) as agent:
        manager.wire.cut()
        async with asyncio.timeout(60):
            while manager.transport.connected:
                await asyncio.sleep(0.001)
        await manager.transport.send(agent.transport.full_jid, {"command": "x", "number": "1"})
        await agent.transport.send(manager.transport.full_jid, {"command": "x", "number": "2"})
        await agent.has_heard(1)
        await manager.has_heard(1)
        assert (agent.heard, manager.heard, manager.states) == (["1"], ["2"], [])


async def test_a_server_that_forgot_the_session_gets_a_new_one(server: Xmpp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RESEND_S", 0.5)
    async with peer(server, "jm", resend=False) as manager, peer(server, "agent", resend=True) as agent:
        before = agent.transport.full_jid
        server.server.stop()
        await agent.transport.send("jm@localhost", {"command": "x", "number": "1"})
        server.server.start()
        await manager.has_heard(1)
        async with asyncio.timeout(60):
            while len(agent.states) < 2:
                await asyncio.sleep(0.01)
        assert agent.transport.full_jid != before
        assert agent.states == [False, True]


async def test_a_reset_asks_for_no_old_session(server: Xmpp) -> None:
    async with peer(server, "agent", resend=True) as agent:
        before = agent.transport.full_jid
        agent.transport.reset()
        async with asyncio.timeout(60):
            while len(agent.states) < 2:
                await asyncio.sleep(0.01)
        assert agent.transport.full_jid != before
        assert agent.states == [False, True]
