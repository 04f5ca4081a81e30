"""What every queue keeps to about looking jobs up, and about forgetting them."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from client.copilot.queue.queue import JobQueue, JobState, Lease, Lost, Replication, Taken
from tests.unit.copilot.queue.contract import TERMS, A, B, MakeQueue, hand_out
from tests.unit.copilot.queue.jobs import new_job

C = "c@x/1"
TWICE = Replication(2, 2)


def finish(queue: JobQueue, job_id: str, now: float) -> None:
    assert queue.accept(job_id, A, "1 file", now) is Taken.ACCEPTED


class PastContract:
    @pytest.fixture
    def queue(self, make_queue: MakeQueue) -> Iterator[JobQueue]:
        with closing(make_queue(TERMS)) as queue:
            yield queue

    def test_ids_are_found_by_their_beginning(self, queue: JobQueue) -> None:
        queue.submit([new_job(name) for name in ("ab-2", "b", "ab-1", "AB", "ab", "a%")], 0)
        assert queue.find("ab") == ["ab", "ab-1"]
        assert queue.find("ab", limit=9) == ["ab", "ab-1", "ab-2"]
        assert queue.find("ab-2x") == []
        assert queue.find("%") == queue.find("_") == queue.find("[") == []
        assert queue.find("", limit=9) == ["AB", "a%", "ab", "ab-1", "ab-2", "b"]

    def test_units_are_not_found_among_jobs(self, queue: JobQueue) -> None:
        queue.submit([new_job("one", replication=TWICE)], 0)
        assert queue.find("one", limit=9) == ["one"]
        assert queue.find("one.", limit=9) == []

    def test_the_newest_come_first_when_asked_for_and_page_by_page(self, queue: JobQueue) -> None:
        ids = [f"job-{number}" for number in range(7)]
        queue.submit([new_job(job_id, submitter="ab"[n % 2]) for n, job_id in enumerate(ids)], 0)
        finish(queue, "job-5", 1)
        assert [job.id for job in queue.jobs(newest=True)] == ids[::-1]
        assert [job.id for job in queue.jobs(limit=3, newest=True)] == ["job-6", "job-5", "job-4"]
        assert [job.id for job in queue.jobs(limit=3, after="job-4", newest=True)] == ["job-3", "job-2", "job-1"]
        assert queue.jobs(after="job-0", newest=True) == []
        assert [job.id for job in queue.jobs(after="none", newest=True)] == ids[::-1]
        assert [job.id for job in queue.jobs(limit=2, submitter="b", newest=True)] == ["job-5", "job-3"]
        assert [job.id for job in queue.jobs(JobState.WAITING, 2, newest=True)] == ["job-6", "job-4"]

    def test_jobs_that_ended_long_ago_are_forgotten(self, queue: JobQueue) -> None:
        queue.submit([new_job(name) for name in ("done", "later", "dead", "waits", "out")], 0)
        finish(queue, "done", 10)
        finish(queue, "later", 100)
        queue.cancel("dead", 20)
        hand_out(queue)
        assert queue.prune(100, 200) == 2
        assert queue.prune(100, 200) == 0
        assert [job.id for job in queue.jobs()] == ["later", "waits", "out"]
        assert queue.counts() == {
            JobState.WAITING: 1,
            JobState.LEASED: 1,
            JobState.DONE: 1,
            JobState.DEAD: 0,
        }
        assert (queue.get("done"), queue.history("done"), queue.has_lease("done", A)) == (None, [], None)
        assert queue.find("d") == []
        assert queue.accept("done", B, "", 201) is Taken.UNKNOWN

    def test_nothing_is_forgotten_that_ends_in_the_future(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        finish(queue, "one", 50)
        assert queue.prune(1e9, 50) == 0
        assert queue.prune(1e9, 51) == 1

    def test_at_most_1000_are_forgotten_at_once(self, queue: JobQueue) -> None:
        queue.submit([new_job(f"job-{number}") for number in range(1010)], 0)
        for number in range(1005):
            queue.cancel(f"job-{number}", 1)
        assert [queue.prune(2, 3) for _ in range(3)] == [1000, 5, 0]
        assert len(queue.jobs()) == 5

    def test_a_forgotten_id_can_be_used_anew(self, queue: JobQueue) -> None:
        for now in (0, 100):
            queue.submit([new_job("one", replication=TWICE), new_job("two")], now)
            for agent, unit in ((A, "one.1"), (B, "one.2")):
                assert hand_out(queue, agent, now).job.id == unit
                seen = len(queue.candidates(unit))
                queue.accept(unit, agent, "", now + 1, agreement="x", seen=seen)
            finish(queue, "two", now + 1)
            assert queue.prune(now + 50, now + 50) == 2
            assert queue.get("one.1") is None
            assert queue.candidates("one") == []
        assert queue.hand_out(C, 200, extends=True) is None

    def test_who_had_looked_before_still_gets_what_comes_after(self, queue: JobQueue) -> None:
        queue.submit([new_job("one", replication=TWICE), new_job("two", replication=TWICE)], 0)
        for number in range(3):
            queue.hand_out(f"a@x/{number}", number, extends=True)
        queue.cancel("one", 4)
        queue.cancel("two", 4)
        assert queue.prune(5, 5) == 2
        queue.submit([new_job("three", replication=TWICE)], 6)
        assert hand_out(queue, "a@x/9", 7).job.id == "three.1"

    def test_a_history_does_not_grow_for_ever(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two")], 0)
        lease = hand_out(queue)
        for number in range(1100):
            queue.claim("one", lease.lease_id, A, 1 + number / 1000)
        events = queue.history("one")
        assert len(events) == 1000
        assert {event.what for event in events} == {"claimed"}
        assert events[-1].at == 1 + 1099 / 1000
        assert [event.what for event in queue.history("two")] == ["submitted"]

    def test_claiming_does_not_make_a_job_ones_own_for_ever(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        lease = hand_out(queue)
        answers = [queue.claim("one", lease.lease_id, A, now) for now in range(90, 6000, 90)]
        held = [isinstance(answer, Lease) for answer in answers]
        assert held.index(False) * 90 > 4800
        assert answers[held.index(False)] == Lost("the job was held for too long")
        assert not any(held[held.index(False) :])
        job = queue.get("one")
        assert job is not None
        assert job.state is JobState.WAITING
