"""A stream that is not used again is closed at once, whatever state its connection is in."""

import pytest

from client.copilot.resumption import Resumption
from client.copilot.stream import Stream, tls_context
from client.copilot.transport import Account


class ForgetfulTransport:
    """A TLS transport as CPython 3.11.2 has it: closed twice, it has no protocol any more."""

    def __init__(self) -> None:
        self.closes = 0
        self.is_aborted = False

    def is_closing(self) -> bool:
        return self.closes > 0

    def close(self) -> None:
        self.closes += 1

    def abort(self) -> None:
        if self.closes > 1:
            raise AttributeError("'NoneType' object has no attribute '_abort'")
        self.is_aborted = True


@pytest.mark.parametrize("closed", [0, 1, 2])
async def test_a_connection_that_closes_already_is_discarded_too(closed: int) -> None:
    account = Account("a@localhost", "secret", "127.0.0.1", 1, "")
    stream = Stream(account, tls_context(""), Resumption(), lambda _: None)
    stream.transport = transport = ForgetfulTransport()
    for _ in range(closed):
        transport.close()
    stream.discard()
    assert transport.is_aborted == (closed < 2)
