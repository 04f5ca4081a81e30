"""A part that fails is forgotten, said once, and tried again."""

import asyncio
import logging

import pytest

from client.host import keep as keeping
from client.host.board import Board
from client.host.keep import keep
from client.host.part import Tell
from client.host.sample import Sample
from client.host.together import together
from tests.helpers.clock import FakeClock


class MischievousPart:
    """Fails so often, after having told something."""

    name = "mischief"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.well = asyncio.Event()

    async def run(self, tell: Tell) -> None:
        tell({"metered": bool(self.failures)})
        if self.failures:
            self.failures -= 1
            raise ConnectionError("not now")
        self.well.set()
        await asyncio.Event().wait()


async def test_it_is_tried_until_it_works(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(keeping, "FIRST_WAIT_S", 0.001)
    part, samples = MischievousPart(3), []
    board = Board(["mischief"], FakeClock(), lambda: samples.append(board.sample()))
    with caplog.at_level(logging.INFO):
        task = asyncio.create_task(keep(part, board, FakeClock()))
        await part.well.wait()
    assert samples == [Sample(metered=True), Sample()] * 3 + [Sample(metered=False)]
    assert len(caplog.records) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_first_that_ends_ends_the_others() -> None:
    ended = []

    async def fail() -> None:
        raise ConnectionError("first")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    with pytest.raises(ConnectionError, match="first"):
        await together(wait(), fail())
    assert ended == ["other"]
