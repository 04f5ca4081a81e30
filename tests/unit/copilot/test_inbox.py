"""What a transport does with more messages than it can deliver."""

import asyncio
import logging
from typing import Any

import pytest

from client.copilot import transport as module
from client.copilot.stanza import Kind, Received
from client.copilot.transport import Account, XmppTransport


async def test_a_full_inbox_refuses_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_INBOX", 2)
    written: list[str] = []
    delivered: asyncio.Queue[Any] = asyncio.Queue()
    transport = XmppTransport(Account("jm@x", "pw", "127.0.0.1", 1, ""), delivered.put, resend=False)
    monkeypatch.setattr(transport, "_write", lambda text: written.append(text) or True)

    def arrive(message_id: str) -> None:
        transport._accept(Received(Kind.INFO, message_id, "agent@x/1", "jm@x", {"command": "x"}))

    with caplog.at_level(logging.WARNING):
        for message_id in ("1", "2", "3", "4"):
            arrive(message_id)
    assert len(written) == 2, "what was not taken is not confirmed, so that it comes again"
    assert len(caplog.records) == 1
    transport._inbox.get_nowait()
    arrive("3")
    assert len(written) == 3
