"""When a stream is given up, and that it is then closed at once, whatever state its connection is in."""

import asyncio
from xml.etree import ElementTree

import pytest
from slixmpp import ClientXMPP

from client.copilot import stream as module
from client.copilot.resumption import Resumption
from client.copilot.stream import Stream, tls_context
from client.copilot.transport import Account


class ForgetfulTransport:
    """A TLS transport as CPython 3.11.2 has it: closed twice, it has no protocol any more."""

    def __init__(self) -> None:
        self.closes = 0
        self.unsent = 0
        self.is_aborted = False

    def get_extra_info(self, _name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.unsent += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closes > 0

    def close(self) -> None:
        self.closes += 1

    def abort(self) -> None:
        if self.closes > 1:
            raise AttributeError("'NoneType' object has no attribute '_abort'")
        self.is_aborted = True


def made() -> tuple[Stream, ForgetfulTransport]:
    account = Account("a@localhost", "secret", "127.0.0.1", 1, "")
    stream = Stream(account, tls_context(""), Resumption(), lambda _: None)
    stream.transport = transport = ForgetfulTransport()
    return stream, transport


async def test_a_server_that_sends_an_element_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 100)
    monkeypatch.setattr(ClientXMPP, "data_received", lambda *_: None)
    stream, transport = made()
    for _ in range(3):
        stream.data_received(b"x" * 90)
        stream._spawn_event(ElementTree.Element("{jabber:client}message"))
    assert not transport.is_aborted
    stream.data_received(b"x" * 90)
    stream.data_received(b"x" * 90)
    assert transport.is_aborted
    stream.discard()


async def test_so_is_one_that_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 100)
    stream, transport = made()
    stream.begin()
    await asyncio.sleep(0)
    assert not transport.is_aborted
    stream.send_raw(f"<message>{'x' * 100}</message>")
    await asyncio.sleep(0)
    assert transport.is_aborted
    stream.discard()


@pytest.mark.parametrize("closed", [0, 1, 2])
async def test_a_connection_that_closes_already_is_discarded_too(closed: int) -> None:
    stream, transport = made()
    for _ in range(closed):
        transport.close()
    stream.discard()
    assert transport.is_aborted == (closed < 2)
