"""Asking beside the turns."""

import asyncio

import pytest

from client.errors import BadInput
from client.question import Question

LONG_S = 60.0


class Oracle:
    """Answers with a number that grows, when it is let."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.asked = 0
        self.came = asyncio.Event()
        self.question = Question(self._ask, self.came.set)
        self.error: Exception | None = None

    async def _ask(self) -> int:
        self.asked += 1
        number = self.asked
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
async def oracle() -> Oracle:
    return Oracle()


async def test_an_answer_is_waited_for_as_long_as_is_bearable(oracle: Oracle) -> None:
    assert await oracle.question.answer() is None
    oracle.question.put()
    assert await oracle.question.answer(0.01) is None
    oracle.question.put()
    oracle.free.set()
    await oracle.came.wait()
    assert await oracle.question.answer() == 1
    assert await oracle.question.answer() is None


async def test_who_waits_needs_no_call(oracle: Oracle) -> None:
    oracle.free.set()
    oracle.question.put()
    assert await oracle.question.answer(LONG_S) == 1
    assert not oracle.came.is_set()


async def test_an_outdated_answer_is_asked_for_again(oracle: Oracle) -> None:
    oracle.question.outdate()
    oracle.question.put()
    assert await oracle.question.answer(0.01) is None
    oracle.question.outdate()
    oracle.free.set()
    assert await oracle.question.answer(LONG_S) is None
    assert await oracle.question.answer(LONG_S) == 2


async def test_failures_are_passed_on_unless_they_are_outdated(oracle: Oracle) -> None:
    oracle.error = BadInput("x", "y", "z")
    oracle.free.set()
    oracle.question.put()
    with pytest.raises(BadInput):
        await oracle.question.answer(LONG_S)
    oracle.question.put()
    oracle.question.outdate()
    assert await oracle.question.answer(LONG_S) is None
    oracle.error = None
    assert await oracle.question.answer(LONG_S) == 3


async def test_it_ends_what_it_asked(oracle: Oracle) -> None:
    oracle.question.put()
    await asyncio.sleep(0)
    await oracle.question.close()
    assert await oracle.question.answer() is None
    assert oracle.asked == 1
