"""What every queue keeps to in choosing jobs: requirements, priorities, shares; and what it remembers of agents."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from client.copilot.errors import NO_MEMORY, BadRequirements
from client.copilot.queue.errors import BadOrder
from client.copilot.queue.queue import JobQueue, JobState, Replication, SeenAgent, Terms
from tests.unit.copilot.queue.contract import TERMS, A, B, MakeQueue, hand_out, state
from tests.unit.copilot.queue.jobs import new_job

LARGE, SMALL = {"Memory": "4000"}, {"Memory": "500"}
OWNER = "0123456789abcdef"
NEEDS = "other.Memory >= 2000"


class SharesContract:
    @pytest.fixture
    def queue(self, make_queue: MakeQueue) -> Iterator[JobQueue]:
        with closing(make_queue(TERMS)) as queue:
            yield queue

    def test_a_job_goes_only_to_a_computer_that_meets_its_requirements(self, queue: JobQueue) -> None:
        queue.submit([new_job("large", requirements=NEEDS, priority=9), new_job("any")], 0)
        assert (queue.has_work(SMALL), queue.has_work({}), queue.has_work()) == (True, True, True)
        assert hand_out(queue, A).job.id == "any"
        assert not queue.has_work(SMALL)
        assert queue.hand_out(B, 0, extends=True, host=SMALL) is None
        lease = queue.hand_out(B, 0, extends=True, host=LARGE)
        assert lease is not None
        assert (lease.job.id, queue.has_work()) == ("large", False)

    @pytest.mark.parametrize(
        ("more", "error"),
        [
            ({"requirements": "other.Memory >="}, BadRequirements),
            ({"replication": Replication(1, 2)}, BadOrder),
            ({"replication": Replication(0, 0)}, BadOrder),
            ({"replication": Replication(10_000, 2)}, BadOrder),
            ({"max_attempts": 0}, BadOrder),
            ({"output": False, "validator": "pythia8"}, BadOrder),
        ],
    )
    def test_what_cannot_be_kept_to_is_not_submitted(
        self, queue: JobQueue, more: dict[str, object], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            queue.submit([new_job("good"), new_job("bad", **more)], 0)
        assert (queue.jobs(), queue.has_work()) == ([], False)

    def test_a_higher_priority_goes_first_whoever_submitted_it(self, queue: JobQueue) -> None:
        queue.submit([new_job("a1", submitter="a"), new_job("b1", submitter="b")], 0)
        queue.submit([new_job(f"urgent{n}", submitter="a", priority=1) for n in range(3)], 0)
        ids = [hand_out(queue, f"{n}@x/1").job.id for n in range(5)]
        assert ids == ["urgent0", "urgent1", "urgent2", "b1", "a1"]

    def test_a_job_is_found_below_very_many_priorities(self, queue: JobQueue) -> None:
        large = [new_job(f"large-{n}", requirements=NEEDS, priority=n + 1) for n in range(250)]
        queue.submit([*large, new_job("any")], 0)
        assert queue.has_work({})
        lease = queue.hand_out(A, 0, extends=True, host={})
        assert lease is not None
        assert lease.job.id == "any"
        assert not queue.has_work({})
        assert queue.hand_out(B, 0, extends=True, host={}) is None

    def test_what_waits_is_counted_by_requirements_the_highest_priority_first(self, queue: JobQueue) -> None:
        assert queue.waiting(9) == []
        queue.submit([new_job(f"a{n}") for n in range(3)], 0)
        queue.submit([new_job("b", requirements=NEEDS, priority=-1)], 0)
        queue.submit([new_job("c", priority=2, replication=Replication(3, 2))], 0)
        waits = [("", 3), ("", 3), ("Memory >= 2000", 1)]
        assert (queue.waiting(9), queue.waiting(2)) == (waits, waits[:2])
        hand_out(queue)
        assert queue.waiting(1) == [("", 2)]

    def test_submitters_of_equal_priority_take_turns_whatever_they_submitted(self, queue: JobQueue) -> None:
        queue.submit([new_job(f"a{n}", submitter="a") for n in range(20)], 0)
        queue.submit([new_job(f"b{n}", submitter="b", requirements=NEEDS if n % 2 else "") for n in range(4)], 0)
        leases = [queue.hand_out(f"{n}@x/1", 0, extends=True, host=LARGE) for n in range(8)]
        ids = [lease.job.id for lease in leases if lease]
        assert sorted(ids) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]
        assert [job_id for job_id in ids if job_id[0] == "b"] == ["b0", "b1", "b2", "b3"]

    def test_shares_are_weighted(self, make_queue: MakeQueue) -> None:
        with closing(make_queue(Terms(shares={"a": 3.0}))) as queue:
            for name in "ab":
                queue.submit([new_job(f"{name}{n}", submitter=name) for n in range(40)], 0)
            got = Counter(hand_out(queue, f"{n}@x/1").job.new.submitter for n in range(40))
        assert 28 <= got["a"] <= 32

    def test_who_has_long_jobs_gets_fewer_out(self, queue: JobQueue) -> None:
        for name in "ab":
            queue.submit([new_job(f"{name}{n}", submitter=name) for n in range(60)], 0)
        lasts = {"a": 30.0, "b": 90.0}
        got: Counter[str] = Counter()
        for number in range(60):
            lease = hand_out(queue, f"{number}@x/1", number * 1000.0)
            name = lease.job.new.submitter
            got[name] += 1
            queue.accept(lease.job.id, f"{number}@x/1", "", number * 1000.0 + lasts[name])
        assert 41 <= got["a"] <= 49, "three times as many, three times as short"

    def test_who_comes_back_after_a_while_has_saved_nothing_up(self, queue: JobQueue) -> None:
        queue.submit([new_job("b0", submitter="b")], 0)
        hand_out(queue, "first@x/1")
        queue.submit([new_job(f"a{n}", submitter="a") for n in range(60)], 1)
        for number in range(30):
            hand_out(queue, f"{number}@x/1", 1)
        queue.submit([new_job(f"b{n}", submitter="b") for n in range(1, 30)], 2)
        got = Counter(hand_out(queue, f"{n}@y/1", 2).job.new.submitter for n in range(20))
        assert 9 <= got["b"] <= 11

    def test_a_returned_job_keeps_its_place(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two"), new_job("three")], 0)
        lease = hand_out(queue, A)
        hand_out(queue, B)
        queue.fail("one", lease.lease_id, A, "test", 1)
        assert hand_out(queue, "c@x/1", 2).job.id == "one"

    def test_a_job_may_have_attempts_of_its_own(self, queue: JobQueue) -> None:
        queue.submit([new_job("one", max_attempts=1)], 0)
        queue.fail("one", hand_out(queue).lease_id, A, "test", 1)
        assert state(queue, "one") is JobState.DEAD

    def test_jobs_are_paged_and_filtered(self, queue: JobQueue) -> None:
        queue.submit([new_job(f"{n}", submitter="ab"[n % 2]) for n in range(10)], 0)
        pages = [queue.jobs(limit=4), queue.jobs(limit=4, after="3"), queue.jobs(limit=4, after="7")]
        assert [[job.id for job in page] for page in pages] == [list("0123"), list("4567"), list("89")]
        assert [job.id for job in queue.jobs(submitter="b", after="3")] == ["5", "7", "9"]
        queue.cancel("8", 1)
        assert [job.id for job in queue.jobs(JobState.DEAD, after="1", submitter="a")] == ["8"]
        assert len(queue.jobs(after="none")) == 10

    def test_agents_are_remembered_by_owner_with_how_their_jobs_ended(self, queue: JobQueue) -> None:
        queue.submit([new_job(f"{n}") for n in range(9)], 0)
        first, second = (f"agent-{n}-{OWNER}-{n}123456789abcdef@x/1" for n in (1, 2))
        host = {"Version": "2.0", "Platform": "Linux-x86_64", "Memory": "2000", "Cpus": "4"}
        queue.note_agents([SeenAgent(first, host, 5), SeenAgent(B, {"Memory": "much", "Cpus": "9" * 30}, 9)], 9)
        queue.note_agents([SeenAgent(second, host, 7)], 9)
        queue.fail("0", hand_out(queue, first, 10).lease_id, first, "test", 11)
        queue.refuse(hand_out(queue, first, 12).job.id, first, "bad", 12)
        queue.accept(hand_out(queue, second, 20).job.id, second, "", 20)
        hand_out(queue, second, 21)
        queue.expire(1000)
        last = hand_out(queue, first, 1001).job.id
        records = {record.owner: record for record in queue.agents()}
        one = records[OWNER]
        assert (one.agent, one.version, one.platform, one.memory_mib, one.cpus) == (
            second,
            "2.0",
            "Linux-x86_64",
            2000,
            4,
        )
        assert (one.first_seen, one.last_seen, one.job_id) == (5, 7, last)
        assert (one.accepted, one.refused, one.failed, one.lost, one.in_a_row) == (1, 1, 1, 1, 0)
        assert one.reliability == pytest.approx(2 / 6)
        assert (records["b@x"].memory_mib, records["b@x"].cpus, records["b@x"].reliability) == (0, 0, 0.5)
        assert [record.owner for record in queue.agents(limit=1)] == ["b@x"]

    def test_a_failure_is_the_owners_whatever_the_account(self, queue: JobQueue) -> None:
        queue.submit([new_job("one")], 0)
        today, tomorrow = (f"agent-{n}-{OWNER}-{n}123456789abcdef@x/1" for n in (1, 2))
        queue.fail("one", hand_out(queue, today, 10).lease_id, today, "test", 10)
        assert not queue.may_work(tomorrow, 10.5)
        assert queue.may_work(A, 10.5)

    @pytest.mark.parametrize("cause", ["time-limit: after 5 s", "memory-limit; it printed last: x", "output-limit"])
    def test_a_job_that_exceeds_its_limits_is_not_its_agents_failure(self, queue: JobQueue, cause: str) -> None:
        queue.submit([new_job("one", max_attempts=2)], 0)
        for now in (0, 1000):
            assert queue.fail("one", hand_out(queue, now=now).lease_id, A, cause, now + 70)
            assert queue.may_work(A, now + 70)
        job, agents = queue.get("one"), queue.agents()
        assert job is not None
        assert job.reason == f"2 attempts; the last: failed: {cause}", "the attempts of the job count"
        assert [(one.failed, one.in_a_row) for one in agents] in ([], [(0, 0)])

    def test_who_ends_jobs_so_at_once_must_pause_all_the_same(self, queue: JobQueue) -> None:
        queue.submit([new_job("one"), new_job("two")], 0)
        for now in (0, 10):
            queue.fail("one", hand_out(queue, now=now).lease_id, A, "memory-limit: 5 MiB", now)
        assert [(one.failed, one.in_a_row, one.reliability) for one in queue.agents()] == [(0, 2, 0.5)]
        assert (queue.may_work(A, 11.5), queue.may_work(A, 12.5)) == (False, True)

    @pytest.mark.parametrize(
        ("said", "pauses"),
        [(f": {NO_MEMORY}; it printed last: x", True), (f": 5 MiB; it printed last: {NO_MEMORY}", False)],
    )
    def test_who_has_too_little_memory_must_pause_however_long_it_took(
        self, queue: JobQueue, said: str, pauses: bool
    ) -> None:
        queue.submit([new_job("one")], 0)
        queue.fail("one", hand_out(queue).lease_id, A, f"memory-limit{said}", 70)
        assert queue.may_work(A, 70.5) is not pauses
        assert [one.failed for one in queue.agents()] in ([], [0])

    @pytest.mark.parametrize("cause", ["", "time-limits", "input: time-limit", "start"])
    def test_other_causes_are_its_failure(self, queue: JobQueue, cause: str) -> None:
        queue.submit([new_job("one")], 0)
        queue.fail("one", hand_out(queue).lease_id, A, cause, 70)
        assert [(one.failed, one.in_a_row) for one in queue.agents()] == [(1, 1)]

    def test_agents_not_seen_for_long_are_forgotten(self, queue: JobQueue) -> None:
        queue.note_agents([SeenAgent(A, {}, 0)], 0)
        queue.note_agents([SeenAgent(B, {}, 91 * 86400.0)], 91 * 86400.0)
        assert [record.owner for record in queue.agents()] == ["b@x"]

    def test_what_agents_say_of_their_computers_is_remembered_by_owner(self, queue: JobQueue) -> None:
        big, small = {"Memory": "4000", "WNHost": 'h"\n\u00e9'}, {"Memory": "100"}
        queue.note_agents([SeenAgent(A, small, 5), SeenAgent(B, small, 6)], 6)
        queue.note_agents([SeenAgent("a@x/2", big, 7), SeenAgent("c@x/1", {}, 3)], 7)
        assert queue.hosts(0) == [big, small, {}]
        assert queue.hosts(6) == [big, small]
        assert queue.hosts(0, limit=1) == [big]
        queue.submit([new_job("one")], 8)
        queue.fail("one", hand_out(queue, "d@x/1", 8).lease_id, "d@x/1", "test", 8)
        assert len(queue.agents()) == 4
        assert queue.hosts(0) == [big, small, {}], "of who did not ask here nothing is known"

    def test_a_drained_owner_gets_no_jobs_and_nobody_does_when_all_are(self, queue: JobQueue) -> None:
        queue.note_agents([SeenAgent(A, {}, 0), SeenAgent(B, {}, 0)], 0)
        queue.set_drained("a@x", True, 0)
        queue.set_drained("a@x", True, 1)
        assert (queue.may_work(A, 1), queue.may_work(B, 1), queue.drained()) == (False, True, {"a@x"})
        assert {record.owner: record.drained for record in queue.agents()} == {"a@x": True, "b@x": False}
        queue.set_drained("", True, 2)
        assert (queue.may_work(B, 2), queue.drained()) == (False, {"a@x", ""})
        queue.set_drained("", False, 3)
        queue.set_drained("a@x", False, 3)
        assert (queue.may_work(A, 3), queue.drained()) == (True, set())
