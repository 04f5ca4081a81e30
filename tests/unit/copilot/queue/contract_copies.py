"""What every queue keeps to with replicated jobs: units for different owners, and one result when enough agree."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from client.copilot.queue.errors import JobExists
from client.copilot.queue.queue import Candidate, JobQueue, JobState, Lease, Lost, Replication, Taken, Terms
from tests.unit.copilot.queue.contract import A, B, MakeQueue, hand_out, state
from tests.unit.copilot.queue.jobs import new_job

C, D = "c@x/1", "d@x/1"
TWICE = Replication(2, 2)
TERMS = Terms(lease_s=100, max_attempts=2, max_copies=4)


def give(queue: JobQueue, unit: str, agent: str, agreement: str, now: float = 10) -> Taken:
    return queue.accept(unit, agent, "1 file", now, agreement=agreement, seen=len(queue.candidates(unit)))


def reason(queue: JobQueue, job_id: str) -> str:
    job = queue.get(job_id)
    assert job is not None
    return job.reason


class CopiesContract:
    @pytest.fixture
    def queue(self, make_queue: MakeQueue) -> Iterator[JobQueue]:
        with closing(make_queue(TERMS)) as queue:
            queue.submit([new_job("one", replication=TWICE)], 0)
            yield queue

    def test_agents_see_units_and_operators_jobs(self, queue: JobQueue) -> None:
        queue.submit([new_job("plain")], 1)
        assert [job.id for job in queue.jobs()] == ["one", "plain"]
        assert queue.counts()[JobState.WAITING] == 2
        lease = hand_out(queue)
        assert (lease.job.id, lease.job.new.description.id, lease.job.group) == ("one.1", "one.1", "one")
        unit, job = queue.get("one.2"), queue.get("one")
        assert unit is not None
        assert job is not None
        assert (unit.state, unit.group, job.state, job.group) == (JobState.WAITING, "one", JobState.LEASED, "")
        assert (job.attempts, job.agent, job.new.replication) == (1, A, TWICE)
        assert queue.counts() == dict.fromkeys(JobState, 0) | {JobState.WAITING: 1, JobState.LEASED: 1}

    @pytest.mark.parametrize("names", [("two", "two.1"), ("two.1", "two")])
    def test_a_job_named_like_a_unit_of_the_same_call_is_not_taken_for_it(
        self, queue: JobQueue, names: tuple[str, str]
    ) -> None:
        queue.cancel("one", 0)
        queue.submit([new_job(name, replication=TWICE if name == "two" else Replication()) for name in names], 1)
        assert [job.id for job in queue.jobs(JobState.WAITING)] == list(names)
        got = {hand_out(queue, f"{owner}@x/1", 2).job.id for owner in "abc"}
        assert got == {"two.1", "two.2", "two.3"}
        plain = queue.get("two.1")
        assert plain is not None
        assert plain.group == ""
        assert queue.accept("two.1", A, "", 3) is Taken.ACCEPTED

    def test_a_job_with_units_is_not_given_back_as_if_it_was_one(self, queue: JobQueue) -> None:
        hand_out(queue)
        for _ in range(3):
            assert not queue.fail("one", "", A, "spite", 1)
            queue.refuse("one", A, "spite", 1)
        assert (state(queue, "one"), state(queue, "one.1")) == (JobState.LEASED, JobState.LEASED)
        assert reason(queue, "one") == ""

    def test_a_quorum_of_one_is_an_ordinary_job(self, queue: JobQueue) -> None:
        queue.submit([new_job("plain", replication=Replication(3, 1), priority=1)], 0)
        assert hand_out(queue).job.id == "plain"
        assert queue.accept("plain", A, "", 1) is Taken.ACCEPTED

    def test_an_owner_gets_one_unit_of_a_job_and_the_next_job_meanwhile(self, queue: JobQueue) -> None:
        queue.submit([new_job("two", replication=TWICE), new_job("plain", priority=-1)], 1)
        got = []
        for number in range(3):
            lease = hand_out(queue, f"a@x/{number}", number)
            got.append(lease.job.id)
        assert got == ["one.1", "two.1", "plain"]
        assert queue.hand_out("a@x/9", 9, extends=True) is None
        assert [hand_out(queue, f"b@x/{number}", 10).job.id for number in range(2)] == ["one.2", "two.2"]

    def test_a_unit_that_came_back_may_go_to_the_same_owner_but_not_another(self, queue: JobQueue) -> None:
        assert [hand_out(queue, agent).job.id for agent in (A, B)] == ["one.1", "one.2"]
        assert queue.expire(200) == ["one.1", "one.2"]
        assert hand_out(queue, B, 201).job.id == "one.2"
        assert queue.hand_out("b@x/2", 202, extends=True) is None
        assert hand_out(queue, C, 202).job.id == "one.1"

    def test_a_unit_that_comes_back_goes_to_an_owner_who_was_given_a_later_one_meanwhile(self, queue: JobQueue) -> None:
        queue.submit([new_job("two", replication=TWICE)], 0)
        lease = hand_out(queue, A)
        assert [hand_out(queue, agent).job.id for agent in (B, C, D)] == ["one.2", "two.1", "two.2"]
        queue.fail("one.1", lease.lease_id, A, "test", 1)
        assert queue.hand_out("b@x/2", 2, extends=True) is None
        assert hand_out(queue, "c@x/2", 2).job.id == "one.1"

    def test_a_job_that_is_put_back_goes_to_an_owner_who_was_given_a_later_one(self, queue: JobQueue) -> None:
        queue.submit([new_job("two", replication=TWICE)], 0)
        for agent in (A, B):
            hand_out(queue, agent)
        assert hand_out(queue, C).job.id == "two.1"
        queue.cancel("one", 1)
        queue.retry("one", 2)
        assert hand_out(queue, "c@x/2", 3).job.id == "one.1"

    def test_a_unit_is_not_claimed_by_the_owner_of_another(self, queue: JobQueue) -> None:
        first, second = hand_out(queue, A), hand_out(queue, B)
        said = Lost("another computer of this owner had the same job")
        assert queue.claim("one.2", second.lease_id, "a@x/2", 1) == said
        assert queue.extend("one.1", first.lease_id, "b@x/2", 1) == said
        assert isinstance(queue.claim("one.1", first.lease_id, C, 1), Lease)
        assert queue.extend("one.2", second.lease_id, C, 2) == said

    def test_a_job_is_done_when_enough_results_agree_and_others_are_not_needed(self, make_queue: MakeQueue) -> None:
        with closing(make_queue(TERMS)) as queue:
            queue.submit([new_job("one", replication=Replication(4, 2))], 0)
            leases = [hand_out(queue, agent) for agent in (A, B, C, D)]
            assert give(queue, "one.1", A, "good") is Taken.KEPT
            assert (state(queue, "one"), state(queue, "one.1")) == (JobState.LEASED, JobState.DONE)
            assert give(queue, "one.2", B, "bad") is Taken.KEPT
            assert give(queue, "one.3", C, "good") is Taken.ACCEPTED
            assert [(one.unit_id, one.agent, one.agreement) for one in queue.candidates("one.4")] == [
                ("one.1", A, "good"),
                ("one.2", B, "bad"),
                ("one.3", C, "good"),
            ]
            job = queue.get("one")
            assert job is not None
            assert (job.state, job.finished_at, job.agent) == (JobState.DONE, 10, C)
            assert isinstance(queue.extend("one.4", leases[3].lease_id, D, 11), Lost)
            assert give(queue, "one.4", D, "good") is Taken.SECOND
            records = {record.agent: (record.accepted, record.refused, record.in_a_row) for record in queue.agents()}
            assert {records[A], records[C]} == {(1, 0, 0)}
            assert records[B] == (0, 1, 1)
            assert (queue.has_work(), queue.counts()[JobState.DONE]) == (False, 1)

    def test_a_result_is_compared_with_all_or_not_taken(self, queue: JobQueue) -> None:
        hand_out(queue, A)
        hand_out(queue, B)
        assert queue.accept("one.1", A, "", 1, agreement="x", seen=0) is Taken.KEPT
        assert queue.accept("one.2", B, "", 2, agreement="x", seen=0) is Taken.STALE
        assert queue.candidates("one") == [Candidate("one.1", A, "x")]
        assert queue.accept("one.2", B, "", 2, agreement="x", seen=1) is Taken.ACCEPTED

    def test_an_owner_has_one_voice_and_a_unit_too(self, queue: JobQueue) -> None:
        hand_out(queue, A)
        hand_out(queue, B)
        assert give(queue, "one.1", A, "x") is Taken.KEPT
        assert give(queue, "one.2", "a@x/2", "x") is Taken.SECOND
        assert give(queue, "one.1", C, "x") is Taken.SECOND
        assert state(queue, "one") is JobState.LEASED

    def test_more_copies_are_made_while_results_differ_up_to_a_limit(self, queue: JobQueue) -> None:
        for number, agent in enumerate((A, B, C, D)):
            assert hand_out(queue, agent).job.id == f"one.{number + 1}"
            assert state(queue, "one") is JobState.LEASED
            assert give(queue, f"one.{number + 1}", agent, f"class {number}") is Taken.KEPT
        job = queue.get("one")
        assert job is not None
        assert (job.state, job.finished_at) == (JobState.DEAD, 10)
        assert job.reason == "no quorum: 2 of 4 needed, classes 1+1+1+1"
        assert not queue.has_work()

    def test_a_unit_that_is_given_up_is_replaced_and_the_job_dies_when_it_cannot_be_decided(
        self, queue: JobQueue
    ) -> None:
        def give_up(unit: str) -> None:
            for attempt in range(2):
                agent = f"{unit}-{attempt}@x/1"
                lease = hand_out(queue, agent)
                assert lease.job.id == unit
                queue.fail(unit, lease.lease_id, agent, "test", 5)

        give_up("one.1")
        give_up("one.2")
        assert state(queue, "one") is JobState.WAITING
        give_up("one.3")
        assert (state(queue, "one"), queue.has_work()) == (JobState.DEAD, False)
        said = "no quorum: 2 of 4 needed, no valid result; the last: "
        assert reason(queue, "one").startswith(said)

    def test_a_cancelled_job_is_cancelled_with_its_units(self, queue: JobQueue) -> None:
        lease = hand_out(queue)
        assert not queue.cancel("one.1", 1)
        assert queue.cancel("one", 1)
        assert queue.extend("one.1", lease.lease_id, A, 2) == Lost("the job was cancelled")
        assert give(queue, "one.1", A, "x") is Taken.CANCELLED
        assert (queue.has_work(), state(queue, "one")) == (False, JobState.DEAD)

    def test_a_dead_job_is_put_back_as_if_it_was_new(self, queue: JobQueue) -> None:
        for number, agent in enumerate((A, B, C, D)):
            hand_out(queue, agent)
            give(queue, f"one.{number + 1}", agent, f"class {number}")
        assert not queue.retry("one.1", 20)
        assert queue.retry("one", 20)
        assert (queue.candidates("one"), state(queue, "one")) == ([], JobState.WAITING)
        assert hand_out(queue, B, 21).job.id == "one.1"
        assert hand_out(queue, A, 21).job.id == "one.2"
        assert give(queue, "one.1", B, "x", 22) is Taken.KEPT
        assert give(queue, "one.2", A, "x", 22) is Taken.ACCEPTED

    def test_names_of_units_are_not_taken_twice(self, queue: JobQueue) -> None:
        with pytest.raises(JobExists):
            queue.submit([new_job("one.2")], 1)
        queue.submit([new_job("one.3", priority=-1)], 1)
        for agent in (A, B):
            give(queue, hand_out(queue, agent).job.id, agent, agent)
        assert hand_out(queue, C).job.id == "one.4"
        assert hand_out(queue, D).job.id == "one.3"

    def test_the_history_of_a_job_holds_its_units(self, queue: JobQueue) -> None:
        hand_out(queue, A)
        hand_out(queue, B)
        give(queue, "one.1", A, "x")
        give(queue, "one.2", B, "x")
        assert [(event.job_id, event.what) for event in queue.history("one")] == [
            ("one", "submitted"),
            ("one.1", "handed out"),
            ("one.2", "handed out"),
            ("one.1", "result kept"),
            ("one.2", "result kept"),
            ("one", "done"),
        ]

    def test_a_job_itself_is_nobodys_to_have(self, queue: JobQueue) -> None:
        assert give(queue, "one", A, "x") is Taken.UNKNOWN
        assert queue.candidates("none") == []
        assert isinstance(queue.claim("one", "guessed", A, 1), Lost)
        assert not queue.fail("one", "", A, "spite", 1)
        queue.refuse("one", A, "spite", 1)
        assert state(queue, "one") is JobState.WAITING
