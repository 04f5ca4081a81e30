"""The XMPP transport against the real prosody."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from client.copilot import transport as module
from client.copilot.errors import TransportDown
from client.copilot.transport import Account, Incoming, XmppTransport
from tests.helpers.old_client import OldClient
from tests.helpers.servers import Xmpp, serving, xmpp_server

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[Xmpp]:
    with xmpp_server("agent", "jm") as running:
        yield running


class Peer:
    def __init__(self, server: Xmpp, user: str, resource: str = "", *, resend: bool = False) -> None:
        account = Account(f"{user}@localhost", "pw", "127.0.0.1", server.port, server.ca_pem, resource)
        self.received: asyncio.Queue[Incoming] = asyncio.Queue()
        self.transport = XmppTransport(account, self.received.put, resend=resend)

    async def next(self) -> Incoming:
        async with asyncio.timeout(60):
            return await self.received.get()


@asynccontextmanager
async def session(server: Xmpp, user: str, resource: str = "", *, resend: bool = False) -> AsyncIterator[Peer]:
    peer = Peer(server, user, resource, resend=resend)
    await peer.transport.connect(60)
    try:
        yield peer
    finally:
        await peer.transport.close()


async def test_a_map_arrives_once_and_is_confirmed(server: Xmpp) -> None:
    async with session(server, "jm", "jobs-1") as manager, session(server, "agent", resend=True) as agent:
        info = {"command": "runJob", "job": {"id": "a", "arguments": "<&'\"\n\tü" * 30}}
        message_id = await agent.transport.send("jm@localhost", info)
        got = await manager.next()
        assert (got.info, got.message_id) == (info, message_id)
        assert got.sender == agent.transport.full_jid
        async with asyncio.timeout(60):
            await agent.transport.drained()
        assert manager.received.empty()


async def test_both_resources_of_an_account_hear_a_broadcast_and_answer_by_name(server: Xmpp) -> None:
    async with (
        session(server, "jm", "jobs-1") as one,
        session(server, "jm", "storage-1") as other,
        session(server, "agent", resend=True) as agent,
    ):
        await agent.transport.send("jm@localhost", {"command": "want"})
        for manager in (one, other):
            await manager.transport.send((await manager.next()).sender, {"command": "have"})
        assert {(await agent.next()).sender for _ in range(2)} == {"jm@localhost/jobs-1", "jm@localhost/storage-1"}


async def test_a_message_sent_without_a_session_goes_out_at_the_next_one(
    server: Xmpp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RESEND_S", 1.0)
    server.server.stop()
    agent = Peer(server, "agent", resend=True)
    await agent.transport.connect(timeout_s=0)
    await agent.transport.send("jm@localhost", {"command": "want"})
    assert agent.transport.unconfirmed == 1
    server.server.start()
    async with session(server, "jm", "jobs-1") as manager:
        assert (await manager.next()).info == {"command": "want"}
    await agent.transport.close()


async def test_a_manager_without_a_session_is_told(server: Xmpp) -> None:
    server.server.stop()
    manager = Peer(server, "jm", "jobs-1")
    with pytest.raises(TransportDown):
        await manager.transport.connect(timeout_s=0.2)
    with pytest.raises(TransportDown):
        await manager.transport.send("agent@localhost", {"command": "have"})
    await manager.transport.close()


async def test_sessions_come_back_after_the_servers_restart(server: Xmpp) -> None:
    async with session(server, "jm", "jobs-1") as manager, session(server, "agent", resend=True) as agent:
        states: list[bool] = []
        agent.transport.on_state = states.append
        server.server.stop()
        async with asyncio.timeout(60):
            while not states:
                await asyncio.sleep(0.02)
        server.server.start()
        async with asyncio.timeout(60):
            await asyncio.gather(agent.transport.connect(), manager.transport.connect())
        await agent.transport.send("jm@localhost", {"command": "want"})
        assert (await manager.next()).info == {"command": "want"}
        assert states == [False, True]


async def test_reset_opens_a_fresh_session_at_once(server: Xmpp) -> None:
    async with session(server, "agent", resend=True) as agent:
        before = agent.transport.full_jid
        agent.transport.reset()
        async with asyncio.timeout(30):
            while agent.transport.full_jid == before or not agent.transport.connected:
                await asyncio.sleep(0.01)


async def test_a_dead_connection_is_noticed(server: Xmpp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_INTERVAL_S", 1.0)
    gate = asyncio.Event()
    gate.set()
    pieces = 0

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        nonlocal pieces
        while data := await source.read(65536):
            pieces += 1
            await gate.wait()
            sink.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server.port)
        pipes = [asyncio.create_task(pipe(reader, to_server)), asyncio.create_task(pipe(from_server, writer))]
        await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for task in pipes:
            task.cancel()
        for end in (writer, to_server):
            end.transport.abort()
        await asyncio.gather(*pipes, return_exceptions=True)

    async with (
        serving(relay) as port,
        session(Xmpp(port, server.ca_pem, server.server), "agent", resend=True) as agent,
    ):
        states: list[bool] = []
        agent.transport.on_state = states.append
        async with asyncio.timeout(60):
            # Three pings and what answers them.
            before = pieces
            while pieces < before + 6:
                await asyncio.sleep(0.05)
            assert states == [], "a live connection is left alone"
            gate.clear()
            while not states:
                await asyncio.sleep(0.05)
        assert states == [False]
        gate.set()
        await agent.transport.connect(60)


@pytest.mark.parametrize("fault", ["password", "certificate"])
async def test_who_does_not_prove_himself_gets_no_session(server: Xmpp, fault: str) -> None:
    password = "wrong" if fault == "password" else "pw"
    ca_pem = "" if fault == "certificate" else server.ca_pem
    account = Account("agent@localhost", password, "127.0.0.1", server.port, ca_pem)
    transport = XmppTransport(account, asyncio.Queue[Incoming]().put, resend=True)
    with pytest.raises(TransportDown):
        await transport.connect(1.0)
    await transport.close()


_ONLY_PLAIN = "disable_sasl_mechanisms = { 'SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256-PLUS' }\n"
_NO_TLS = "modules_disabled = { 'tls' }\nc2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n"


async def refused_to_log_in(server: Xmpp, port: int) -> None:
    account = Account("agent@localhost", "pw", "127.0.0.1", port, server.ca_pem)
    transport = XmppTransport(account, asyncio.Queue[Incoming]().put, resend=True)
    with pytest.raises(TransportDown):
        await transport.connect(2.0)
    await transport.close()


async def test_no_password_is_said_even_inside_tls() -> None:
    with xmpp_server("agent", host=_ONLY_PLAIN) as server:
        who_says_it = OldClient("localhost", "agent", "pw")
        await who_says_it.connect(server.port)
        assert who_says_it.mechanisms == ["PLAIN"]
        await who_says_it.close()
        await refused_to_log_in(server, server.port)


@pytest.mark.parametrize("mechanisms", ["", _ONLY_PLAIN])
async def test_nothing_is_proved_to_a_server_without_tls(mechanisms: str) -> None:
    said = bytearray()

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            said.extend(data)
            sink.write(data)
        sink.close()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pipe(reader, to_server), pipe(from_server, writer), return_exceptions=True)

    with xmpp_server("agent", host=_NO_TLS + mechanisms) as server:
        async with serving(listen) as port:
            await refused_to_log_in(server, port)
    assert (b"<mechanism>PLAIN" if mechanisms else b"<mechanism>SCRAM") in said
    assert b"<auth" not in said


@pytest.mark.alone
async def test_an_answer_takes_less_than_ten_milliseconds_even_with_nagle() -> None:
    with xmpp_server("agent", "jm", nagle=True) as server:
        async with session(server, "jm", "jobs-1") as manager, session(server, "agent", resend=True) as agent:
            times = []
            for _ in range(100):
                started = time.perf_counter()
                await agent.transport.send("jm@localhost", {"command": "want"})
                await manager.transport.send((await manager.next()).sender, {"command": "have"})
                await agent.next()
                times.append(time.perf_counter() - started)
            # A server that waits does so each time; a busy computer now and then.
            assert statistics.median(times) < 0.010


async def test_nothing_is_left_behind(server: Xmpp) -> None:
    async with session(server, "agent", resend=True):
        pass
    async with asyncio.timeout(60):
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0.05)
