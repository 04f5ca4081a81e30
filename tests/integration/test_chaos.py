"""Parts killed at random while 100 jobs are done; `make soak` does 2,000 with 20 agents, twice, over both queues."""

import pytest

from tests.chaos.play import Plan, play

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("queue", "seed"), [("sqlite", 1), ("redis", 2)])
async def test_every_job_has_one_result_or_a_reason(queue: str, seed: int) -> None:
    outcome = await play(Plan(seed, jobs=100, agents=5, queue=queue, limit_s=400))
    print(outcome)
    assert outcome.faults == []
    assert outcome.done + outcome.dead == 100
    assert outcome.kills.total() > 0
