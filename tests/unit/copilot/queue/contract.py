"""What every queue keeps to, whatever it is made of.

A module that tests a queue defines the fixture `make_queue` (see `MakeQueue`) and a class that inherits QueueContract.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from client.copilot.queue.errors import JobExists
from client.copilot.queue.queue import JobQueue, JobState, Lease, Lost, Taken, Terms
from tests.unit.copilot.queue.jobs import new_job

#: Opens a queue by its terms; called again, the same queue once more, as another process does.
MakeQueue = Callable[[Terms], JobQueue]

A, B = "a@x/1", "b@x/1"
TERMS = Terms(lease_s=100, silent_lease_s=1000, hold_limit_s=5000, max_attempts=3, max_resends=2)


def hand_out(queue: JobQueue, agent: str = A, now: float = 0, *, extends: bool = True) -> Lease:
    lease = queue.hand_out(agent, now, extends=extends)
    assert lease is not None
    return lease


def state(queue: JobQueue, job_id: str) -> JobState:
    job = queue.get(job_id)
    assert job is not None
    return job.state


class QueueContract:
    @pytest.fixture
    def queue(self, make_queue: MakeQueue) -> Iterator[JobQueue]:
        with closing(make_queue(TERMS)) as queue:
            yield queue

    def test_jobs_go_out_in_order_of_priority_then_submission(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two"), new_job("urgent", priority=5)], 0)
        agents = [f"agent{n}@x/1" for n in range(3)]
        assert [hand_out(queue, agent).job.id for agent in agents] == ["urgent", "one", "two"]
        assert queue.hand_out(B, 0, extends=True) is None
        assert not queue.has_work()

    def test_an_order_comes_back_as_it_was_submitted(self, queue: JobQueue) -> None:
        order = new_job("one", validator="pythia8", expected={"events": 5, "reference": {"a": 1.5}}, time_limit_s=60)
        queue.submit([order], 7)
        job = queue.get("one")
        assert job is not None
        assert (job.new, job.submitted_at, job.state) == (order, 7, JobState.WAITING)

    def test_all_jobs_are_submitted_or_none(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        with pytest.raises(JobExists):
            queue.submit([new_job("two"), new_job("one")], 0)
        assert queue.get("two") is None

    @pytest.mark.parametrize(("extends", "limit", "lasts"), [(True, 60, 100), (False, 60, 60), (False, None, 1000)])
    def test_a_lease_lasts_as_the_agent_needs(
        self, queue: JobQueue, extends: bool, limit: int | None, lasts: int
    ) -> None:
        queue.submit([new_job("one", time_limit_s=limit)], 0)
        assert hand_out(queue, extends=extends).lease_s == lasts
        assert queue.expire(lasts - 1) == []
        assert queue.expire(lasts) == ["one"]
        assert state(queue, "one") is JobState.WAITING

    def test_an_extended_lease_goes_on(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        lease = hand_out(queue)
        assert isinstance(queue.extend("one", lease.lease_id, A, 90), Lease)
        assert queue.expire(150) == []
        assert queue.expire(190) == ["one"]

    def test_a_lease_is_not_extended_for_ever(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        lease = hand_out(queue)
        answers = [isinstance(queue.extend("one", lease.lease_id, A, now), Lease) for now in range(90, 6000, 90)]
        assert answers.index(False) * 90 > 4800
        assert not any(answers[answers.index(False) :])
        assert state(queue, "one") is JobState.WAITING

    def test_a_job_that_was_not_confirmed_is_sent_again_to_the_same_agent(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two")], 0)
        first = hand_out(queue)
        again = hand_out(queue, now=50)
        assert (again.job.id, again.lease_id, again.job.attempts) == ("one", first.lease_id, 1)
        assert queue.expire(120) == []
        hand_out(queue, now=60)
        assert hand_out(queue, now=70).job.attempts == 2, "given back after two times, which counts"

    def test_a_confirmed_job_is_not_sent_again(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two")], 0)
        hand_out(queue)
        queue.confirm("one", A, 1)
        assert hand_out(queue, now=2).job.id == "two"

    def test_a_lapsed_lease_is_claimed_while_the_job_waits_and_claiming_twice_does_no_harm(
        self, queue: JobQueue
    ) -> None:
        queue.submit([new_job("one")], 0)
        lease = hand_out(queue)
        queue.expire(500)
        for _ in range(2):
            claimed = queue.claim("one", lease.lease_id, "a@x/other", 600)
            assert isinstance(claimed, Lease)
            assert (claimed.lease_id, claimed.lease_s) == (lease.lease_id, 100)
        job = queue.get("one")
        assert job is not None
        assert (job.state, job.agent, job.attempts) == (JobState.LEASED, "a@x/other", 1)

    def test_a_job_that_another_agent_has_is_not_claimed(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        old = hand_out(queue)
        queue.expire(500)
        hand_out(queue, B, 501)
        assert queue.claim("one", old.lease_id, A, 502) == Lost("another computer does the job")
        assert queue.extend("one", old.lease_id, A, 502) == Lost("another computer does the job")

    def test_a_job_held_for_too_long_is_taken_away_but_a_late_result_is_still_known_as_its_agents(
        self,
        queue: JobQueue,
    ) -> None:
        queue.submit([new_job("one")], 0)
        lease = hand_out(queue)
        for now in range(90, 5000, 90):
            assert isinstance(queue.extend("one", lease.lease_id, A, now), Lease)
        assert queue.extend("one", lease.lease_id, A, 5030) == Lost("the job was held for too long")
        assert queue.claim("one", lease.lease_id, A, 5031) == Lost("there is no such lease")
        assert (state(queue, "one"), queue.has_lease("one", A)) == (JobState.WAITING, True)

    @pytest.mark.parametrize("lease_id", ["", "made-up"])
    def test_an_unknown_lease_is_lost(self, queue: JobQueue, lease_id: str) -> None:
        queue.submit([new_job("one")], 0)
        hand_out(queue)
        assert isinstance(queue.claim("one", lease_id, B, 1), Lost)
        assert isinstance(queue.claim("none", lease_id, B, 1), Lost)
        assert not queue.fail("one", lease_id, B, "spite", 1)
        assert state(queue, "one") is JobState.LEASED

    def test_a_failing_job_is_dead_after_its_attempts_and_tells_why(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        for now in range(3):
            assert queue.fail("one", hand_out(queue, now=now).lease_id, A, "time limit", now)
        job = queue.get("one")
        assert job is not None
        assert (job.state, job.finished_at) == (JobState.DEAD, 2)
        assert job.reason == "3 attempts; the last: failed: time limit"
        assert queue.hand_out(A, 9, extends=True) is None
        queue.submit([new_job("once", max_attempts=1)], 9)
        assert queue.fail("once", hand_out(queue, now=9).lease_id, A, "time limit", 9)
        once = queue.get("once")
        assert once is not None and once.reason == "1 attempt; the last: failed: time limit"

    def test_a_late_result_is_taken_while_another_agent_works_and_a_second_is_not(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        hand_out(queue)
        queue.expire(500)
        second = hand_out(queue, B, 501)
        assert queue.accept("one", A, "", 502) is Taken.ACCEPTED
        assert queue.extend("one", second.lease_id, B, 503) == Lost("the job is done")
        assert queue.accept("one", B, "", 504) is Taken.SECOND
        assert queue.accept("none", B, "", 504) is Taken.UNKNOWN

    def test_a_late_result_is_taken_when_the_job_was_given_up(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        for now in range(0, 3000, 1000):
            hand_out(queue, now=now)
            queue.expire(now + 500)
        assert state(queue, "one") is JobState.DEAD
        assert queue.accept("one", A, "", 5000) is Taken.ACCEPTED
        assert state(queue, "one") is JobState.DONE

    def test_a_refused_output_returns_the_job_only_if_its_sender_has_it(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        hand_out(queue)
        queue.refuse("one", B, "bad", 1)
        assert state(queue, "one") is JobState.LEASED
        queue.refuse("one", "a@x/after-a-reconnect", "bad", 2)
        job = queue.get("one")
        assert job is not None
        assert (job.state, job.reason) == (JobState.WAITING, "output refused: bad")

    def test_a_cancelled_job_is_dead_for_good_until_it_is_put_back(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        lease = hand_out(queue)
        assert queue.cancel("one", 1)
        assert not queue.cancel("one", 1)
        assert queue.accept("one", A, "", 2) is Taken.CANCELLED
        assert queue.extend("one", lease.lease_id, A, 2) == Lost("the job was cancelled")
        assert queue.retry("one", 3)
        assert not queue.retry("one", 3)
        assert hand_out(queue, B, 4).job.attempts == 1

    def test_agents_are_known_by_account_for_what_they_announced(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two")], 0)
        hand_out(queue, A, extends=True)
        hand_out(queue, B, extends=False)
        assert queue.has_lease("one", "a@x/reconnected") is True
        assert queue.has_lease("two", B) is False
        assert queue.has_lease("two", A) is None

    def test_an_agent_whose_jobs_fail_pauses_longer_and_longer_until_one_is_accepted(self, queue: JobQueue) -> None:
        queue.submit([new_job(f"job-{number}") for number in range(5)], 0)
        assert queue.may_work(A, 0)
        for number, pause_s in enumerate([1, 2, 4]):
            lease = hand_out(queue, f"a@x/{number}", 100)
            queue.refuse(lease.job.id, f"a@x/{number}", "bad", 100)
            assert not queue.may_work(A, 100 + pause_s - 0.5)
            assert queue.may_work(A, 100 + pause_s)
        assert queue.may_work(B, 100)
        assert queue.may_work(A, 50), "the clock was set back"
        queue.accept("job-4", A, "", 101)
        assert queue.may_work(A, 101)

    def test_every_step_is_in_the_history(self, queue: JobQueue) -> None:
        queue.submit([new_job("one", submitter="me")], 0)
        lease = hand_out(queue, now=1)
        queue.expire(500)
        queue.claim("one", lease.lease_id, A, 501)
        queue.accept("one", A, "3 files", 502)
        events = [(event.at, event.what, event.agent, event.detail) for event in queue.history("one")]
        assert events == [
            (0, "submitted", "", "me"),
            (1, "handed out", A, "for 100 s"),
            (500, "returned", A, "the lease ended"),
            (501, "claimed", A, "for 100 s"),
            (502, "done", A, "3 files"),
        ]

    def test_two_on_one_queue_never_hand_out_the_same_job(self, queue: JobQueue, make_queue: MakeQueue) -> None:
        with closing(make_queue(TERMS)) as second:
            queue.submit([new_job(f"job-{number}") for number in range(20)], 0)
            got = [hand_out((queue, second)[n % 2], f"agent{n}@x/1").job.id for n in range(20)]
        assert sorted(got) == sorted({f"job-{number}" for number in range(20)})
