"""The queue over a real redis-server: all that every queue keeps to."""

import contextlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.copilot.queue.errors import JobExists, RedisUnusable
from client.copilot.queue.queue import JobState, Replication, Terms
from client.copilot.queue.redis import RedisQueue
from client.copilot.queue.redis_place import RedisPlace
from tests.integration.redis_server import RedisServer, running_server
from tests.unit.copilot.queue import machine, machine_copies
from tests.unit.copilot.queue.contract import MakeQueue, QueueContract
from tests.unit.copilot.queue.contract_copies import CopiesContract
from tests.unit.copilot.queue.contract_past import PastContract
from tests.unit.copilot.queue.contract_shares import SharesContract
from tests.unit.copilot.queue.jobs import new_job

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def make_queue(server: RedisServer) -> MakeQueue:
    server.command("FLUSHALL")
    return lambda terms: RedisQueue(server.place, terms)


class TestRedisQueue(QueueContract):
    pass


class TestShares(SharesContract):
    pass


class TestCopies(CopiesContract):
    pass


class TestPast(PastContract):
    pass


class RedisMachine(machine.QueueMachine):
    server: RedisServer
    _made = False

    def open_queue(self, terms: Terms) -> RedisQueue:
        if not self._made:
            self.server.command("FLUSHALL")
            self._made = True
        return RedisQueue(self.server.place, terms)


class RedisCopiesMachine(machine_copies.CopiesMachine):
    server: RedisServer
    _made = False
    open_queue = RedisMachine.open_queue


@pytest.mark.parametrize(
    ("kind", "steps"), [(RedisMachine, machine.SETTINGS), (RedisCopiesMachine, machine_copies.SETTINGS)]
)
def test_no_job_is_lost(kind: type[RedisMachine], steps: settings, server: RedisServer) -> None:
    kind.server = server
    test = kind.TestCase()
    # Each step is several round trips; the same steps are run more often without a server.
    test.settings = settings(steps, max_examples=3, stateful_step_count=25)
    test.runTest()


@settings(deadline=None, max_examples=15, derandomize=True, database=None)
@given(st.dictionaries(st.sampled_from("abc"), st.tuples(st.sampled_from([0.5, 1.0, 2.5]), st.integers(1, 12))))
def test_shares_are_fair_at_every_hand_out(server: RedisServer, asked: dict[str, tuple[float, int]]) -> None:
    server.command("FLUSHALL")
    weights = {name: weight for name, (weight, _) in asked.items()}
    with closing(RedisQueue(server.place, Terms(shares=weights))) as queue:
        machine_copies.check_fair_shares(queue, weights, {name: number for name, (_, number) in asked.items()})


def test_very_many_jobs_are_taken_all_or_none_and_in_order(make_queue: MakeQueue) -> None:
    ids = [f"job-{number:04}" for number in range(1300)]
    with closing(make_queue(Terms())) as queue:
        queue.submit([new_job("job-1234")], 0)
        with pytest.raises(JobExists):
            queue.submit([new_job(job_id) for job_id in ids], 1)
        assert [job.id for job in queue.jobs()] == ["job-1234"]
        queue.submit([new_job(f"other-{job_id}") for job_id in ids], 2)
        assert [job.id for job in queue.jobs(limit=2000)] == ["job-1234", *(f"other-{job_id}" for job_id in ids)]
        assert {job.submitted_at for job in queue.jobs(limit=2000, after="job-1234")} == {2}
        with pytest.raises(JobExists):
            queue.submit([new_job(f"other-{job_id}") for job_id in ids], 3)


class BreaksOff(RedisQueue):
    """Loses Redis at a verb, as a process that is killed there."""

    def __init__(self, place: RedisPlace, verb: str) -> None:
        super().__init__(place)
        ask = self._link.ask

        def ask_until(asked: str, *more: Any) -> Any:
            if asked == verb:
                raise RedisUnusable(place.name, "broken off")
            return ask(asked, *more)

        self._link.ask = ask_until  # type: ignore[method-assign]


def test_requirements_that_were_lost_are_judged_anew(server: RedisServer, make_queue: MakeQueue) -> None:
    small, large = {"Memory": "1000"}, {"Memory": "4000"}
    with closing(make_queue(Terms())) as queue:
        queue.submit([new_job("one", requirements="other.Memory < 2000")], 0)
        assert queue.has_work(small)
        # As when a copy takes over that did not have the last changes yet.
        server.command("FLUSHALL")
        queue.submit([new_job("two", requirements="other.Memory > 2000")], 1)
        assert not queue.has_work(small)
        assert queue.hand_out("a@x/1", 2, extends=True, host=small) is None
        lease = queue.hand_out("a@x/1", 3, extends=True, host=large)
        assert lease is not None
        assert lease.job.id == "two"


class IsHeldUp(RedisQueue):
    """Does not come to the end of its submitting before a manager has lost patience."""

    def __init__(self, place: RedisPlace, manager: RedisQueue) -> None:
        super().__init__(place)
        ask = self._link.ask

        def ask_late(asked: str, *more: Any) -> Any:
            if asked == "commit":
                manager.expire(5000)
            return ask(asked, *more)

        self._link.ask = ask_late  # type: ignore[method-assign]


def test_jobs_of_which_some_were_forgotten_are_not_submitted(server: RedisServer, make_queue: MakeQueue) -> None:
    jobs = [new_job(f"job-{number}") for number in range(1300)]
    with closing(RedisQueue(server.place)) as manager, closing(IsHeldUp(server.place, manager)) as submitter:
        server.command("FLUSHALL")
        with pytest.raises(RedisUnusable, match="too slowly"):
            submitter.submit(jobs, 0)
        for now in (5001, 5002, 5003):
            manager.expire(now)
        assert manager.counts()[JobState.WAITING] == 0
        assert server.command("KEYS", "vc:stag*") == []
        manager.submit(jobs, 6000)
        assert manager.counts()[JobState.WAITING] == 1300


@pytest.mark.parametrize(("verb", "submitted"), [("commit", False), ("publish", True)])
def test_a_submitter_that_breaks_off_has_submitted_all_or_nothing(
    server: RedisServer, make_queue: MakeQueue, verb: str, submitted: bool
) -> None:
    jobs = [new_job(f"job-{number}") for number in range(700)]
    with closing(make_queue(Terms())) as manager, closing(BreaksOff(server.place, verb)) as submitter:
        with contextlib.nullcontext() if submitted else pytest.raises(RedisUnusable):
            submitter.submit(jobs, 0)
        with pytest.raises(JobExists):
            manager.submit([new_job("job-600")], 1)
        for now in (1, 2, 5000, 5001, 5002):
            manager.expire(now)
        assert manager.counts()[JobState.WAITING] == (700 if submitted else 0)
        assert server.command("KEYS", "vc:stag*") == []
        if not submitted:
            manager.submit(jobs, 6000)


def hand_out_to(queue: RedisQueue, agent: str, memory: int) -> str:
    lease = queue.hand_out(f"{agent}@x/1", 5, extends=True, host={"Memory": str(memory)})
    return lease.job.id if lease is not None else ""


def test_requirements_of_forgotten_jobs_are_forgotten_too(server: RedisServer) -> None:
    server.command("FLUSHALL")
    with closing(RedisQueue(server.place)) as one, closing(RedisQueue(server.place)) as two:
        one.submit([new_job("stays", requirements="other.Memory > 7")], 0)
        for turn in range(1, 30):
            needs = f"other.Memory == {turn}"
            copied = new_job(f"{turn}-copied", requirements=f"{needs} && 1 < 2", replication=Replication(2, 2))
            one.submit([new_job(f"{turn}-a", requirements=needs), new_job(f"{turn}-b", requirements=needs), copied], 5)
            # The two learn at different times what a number means now.
            asker = one if turn % 3 else two
            assert hand_out_to(asker, f"wrong-{turn}", -turn) == ""
            got = [hand_out_to(asker, f"{turn}-{n}", turn if turn <= 7 else -turn) for n in range(2)]
            assert got == ([f"{turn}-a", f"{turn}-b"] if turn <= 7 else ["", ""])
            for name in ("a", "b", "copied"):
                one.cancel(f"{turn}-{name}", 5)
            assert one.prune(6, 6) == 3
        kept = {name: server.command(*words) for name, words in _REQUIREMENT_KEYS.items()}
        assert kept == {"texts": 3, "numbers": 1, "uses": 1}
        assert hand_out_to(two, "large", 8) == "stays"


_REQUIREMENT_KEYS = {
    "texts": ("LLEN", "vc:requirement_texts"),
    "numbers": ("HLEN", "vc:requirements"),
    "uses": ("HLEN", "vc:requirement_uses"),
}


def test_numbers_of_a_version_before_are_never_given_anew(server: RedisServer) -> None:
    server.command("FLUSHALL")
    with closing(RedisQueue(server.place)) as queue:
        queue.submit([new_job(name, requirements="other.Memory > 7") for name in ("old", "gone")], 0)
        server.command("DEL", "vc:requirement_uses")
        queue.submit([new_job("new", requirements="other.Memory > 7")], 0)
        for name in ("gone", "new"):
            queue.cancel(name, 1)
        assert queue.prune(2, 2) == 2
        queue.submit([new_job("other", requirements="other.Memory < 0")], 3)
        assert hand_out_to(queue, "a", 8) == "old"


def test_a_job_that_somebody_removed_does_not_hold_up_the_others(server: RedisServer) -> None:
    server.command("FLUSHALL")
    with closing(RedisQueue(server.place, Terms(lease_s=100))) as queue:
        queue.submit([new_job("gone"), new_job("two")], 0)
        assert hand_out_to(queue, "a", 1) == "gone"
        server.command("DEL", "vc:job:gone")
        assert hand_out_to(queue, "a", 1) == "two"
        queue.expire(1000)
        assert server.command("ZCARD", "vc:leased") == 0
        assert hand_out_to(queue, "b", 1) == "two"
