"""Another account, and a fresh connection, for a transport that is at work."""

import asyncio
from typing import Any, cast

import pytest

from client.copilot import transport as transport_module
from client.copilot.stream import Stream
from client.copilot.transport import Account, Incoming, XmppTransport


class FakeStream:
    """Breaks down at the second abort, as a TLS connection does under CPython 3.11.2."""

    def __init__(self) -> None:
        self.aborts = 0

    def abort(self) -> None:
        self.aborts += 1
        assert self.aborts == 1


async def on_info(_: Incoming) -> None:
    """Nothing is expected."""


def transport_on(stream: Any) -> XmppTransport:
    account = Account("agent-1@localhost", "old", "127.0.0.1", 5222, "", "agent-x")
    transport = XmppTransport(account, on_info, resend=True)
    transport._stream = cast(Stream, stream)
    return transport


async def test_a_connection_is_dropped_once_however_often_a_new_one_is_asked_for() -> None:
    stream = FakeStream()
    transport = transport_on(stream)
    transport.reset()
    transport.reset()
    transport.renew("agent-2@localhost", "new")
    assert stream.aborts == 1


async def test_a_message_is_confirmed_when_it_is_not_sent_again_any_more() -> None:
    transport = XmppTransport(Account("agent@localhost", "x", "127.0.0.1", 5222, ""), on_info, resend=True)
    first, second = [await transport.send("jm@localhost/1", {"command": name}) for name in ("a", "b")]
    waiting = asyncio.create_task(transport.confirmed(second))
    await asyncio.sleep(0)
    transport.forget(first)
    await transport.confirmed(first)
    await transport.confirmed("never sent")
    assert not waiting.done()
    transport.forget(second)
    await waiting


async def test_who_waits_for_a_message_of_which_there_were_too_many_waits_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "MAX_UNCONFIRMED", 2)
    transport = XmppTransport(Account("agent@localhost", "x", "127.0.0.1", 5222, ""), on_info, resend=True)
    oldest = await transport.send("jm@localhost/1", {"command": "a"})
    waiting = asyncio.create_task(transport.confirmed(oldest))
    await asyncio.sleep(0)
    for name in ("b", "c"):
        await transport.send("jm@localhost/1", {"command": name})
    async with asyncio.timeout(5):
        await waiting
    assert transport.unconfirmed == 2


async def test_another_account_has_the_same_resource_and_server() -> None:
    transport = transport_on(FakeStream())
    transport.renew("agent-2@localhost", "new")
    assert transport._account == Account("agent-2@localhost", "new", "127.0.0.1", 5222, "", "agent-x")
