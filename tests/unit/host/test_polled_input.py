"""Input where the system only answers."""

import asyncio

import pytest

from client.host import polled_input
from client.host.part import Facts, Input
from client.host.polled_input import PolledInput
from tests.helpers.clock import FakeClock


async def told_of(answers: list[float | None], monkeypatch: pytest.MonkeyPatch) -> list[Input | None]:
    """What is told when idle time is so each time that it is asked, a second apart."""
    clock, left, done = FakeClock(), list(answers), asyncio.Event()
    monkeypatch.setattr(polled_input, "USED_S", 0)
    monkeypatch.setattr(polled_input, "UNUSED_S", 0)
    told: list[Input | None] = []

    def ask() -> float | None:
        if not left:
            done.set()
            return answers[-1]
        clock.advance(1)
        return left.pop(0)

    def tell(facts: Facts) -> None:
        if not told or facts["display"] != told[-1]:
            told.append(facts["display"])

    task = asyncio.create_task(PolledInput(clock, ask).run(tell))
    await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told


async def test_input_and_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told_of([0.5, 1.5, 2.5, 3.5, 0.1], monkeypatch) == [Input(None), Input(1000.5), Input(None)]


async def test_input_that_was_missed_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    told = await told_of([10.0, 11.0, 2.5], monkeypatch)
    assert told == [Input(991.0), Input(1000.5)]


async def test_what_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told_of([None, None, 5.0, None], monkeypatch) == [None, Input(998.0), None]
