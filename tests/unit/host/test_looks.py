"""What is looked at on intervals, and what hangs."""

import asyncio
import logging
import threading

import pytest

from client.host import looks
from client.host.looks import Look, Looks
from client.host.part import Facts
from client.host.probe import Probe


class Asked:
    """Answers in turn; an exception is raised."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self) -> Facts:
        self.count += 1
        answer = self.answers[min(self.count, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return {"free_memory_mib": answer}


async def run_until(look: Look, told: list[Facts], count: int) -> None:
    enough = asyncio.Event()

    def tell(facts: Facts) -> None:
        told.append(facts)
        if len(told) == count:
            enough.set()

    task = asyncio.create_task(Looks([look]).run(tell))
    await enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "TICK_S", 0.005)


async def test_what_fails_is_not_known_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    asked, told = Asked(OSError("gone"), OSError("gone"), 5), []
    with caplog.at_level(logging.INFO):
        await run_until(Look("memory", 1, asked, {"free_memory_mib": None}), told, 3)
    assert told == [{"free_memory_mib": None}, {"free_memory_mib": None}, {"free_memory_mib": 5}]
    assert len([record for record in caplog.records if "memory" in record.getMessage()]) == 1


async def test_what_nobody_wants_is_not_asked_and_forgotten() -> None:
    wanted, told, asked = [True], [], Asked(5)
    task = asyncio.create_task(
        Looks([Look("m", 1, asked, {"free_memory_mib": None}, lambda: wanted[0])]).run(told.append)
    )
    while not told:
        await asyncio.sleep(0.001)
    wanted[0] = False
    while told[-1] != {"free_memory_mib": None}:
        await asyncio.sleep(0.001)
    count = asked.count
    await asyncio.sleep(0.03)
    assert asked.count == count
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_hangs_is_not_asked_again_before_it_answers() -> None:
    answer, begun = threading.Event(), []

    def hang() -> int:
        begun.append(1)
        answer.wait(10)
        return 3

    probe = Probe(hang, limit_s=0.02)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await probe.answer()
    assert begun == [1]
    answer.set()
    probe._thread.join(10)
    assert await probe.answer() == 3


async def test_a_probe_hands_errors_on() -> None:
    def fail() -> int:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await Probe(fail).answer()
