"""Everything killed at random over 2,000 jobs and 20 agents: each job has one accepted result, or a reason why not."""

import secrets

import pytest

from tests.chaos.play import Plan, play

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2 * 3600)]


@pytest.mark.parametrize("queue", ["sqlite", "redis"])
@pytest.mark.parametrize("time", ["first", "second"])
async def test_nothing_is_lost(queue: str, time: str) -> None:
    seed = secrets.randbelow(1_000_000)
    plan = Plan(seed, jobs=2000, agents=20, queue=queue, kill_every_s=0.7, limit_s=3000)
    outcome = await play(plan)
    print(f"\n{queue}, seed {seed}, {time} time: {outcome}")
    assert outcome.faults == [], seed
    assert outcome.done + outcome.dead == plan.jobs
