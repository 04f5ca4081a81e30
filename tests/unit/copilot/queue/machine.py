"""Whatever happens in whatever order, every job is waiting, leased, done or dead, with at most one accepted result.

A module that tests a queue inherits QueueMachine, says how it is opened, and collects its `TestCase`.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, invariant, rule

from client.copilot.queue.queue import JobState, Lease, Taken, Terms
from tests.unit.copilot.queue.jobs import new_job
from tests.unit.copilot.queue.machine_base import BaseMachine

AGENTS = st.sampled_from([f"{account}@x/{resource}" for account in "abc" for resource in "12"])
TERMS = Terms(lease_s=10, silent_lease_s=40, hold_limit_s=100, max_attempts=2, max_resends=1)


class QueueMachine(BaseMachine):
    terms = TERMS
    leases = Bundle("leases")

    @rule(number=st.integers(1, 3), priority=st.integers(-1, 1))
    def submit(self, number: int, priority: int) -> None:
        ids = [f"job-{len(self.submitted) + index}" for index in range(number)]
        self.queue.submit([new_job(job_id, priority=priority) for job_id in ids], self.now)
        self.submitted += ids

    @rule(target=leases, agent=AGENTS, extends=st.booleans())
    def hand_out(self, agent: str, extends: bool) -> tuple[str, str]:
        could = self.queue.has_work()
        lease = self.queue.hand_out(agent, self.now, extends=extends)
        assert lease is not None or not could
        if lease is None:
            return ("nothing", "nothing")
        assert lease.job.id not in self.cancelled
        assert not self.accepted[lease.job.id]
        return (lease.job.id, lease.lease_id)

    @rule(lease=leases, agent=AGENTS, claim=st.booleans())
    def prolong(self, lease: tuple[str, str], agent: str, claim: bool) -> None:
        verb = self.queue.claim if claim else self.queue.extend
        answer = verb(*lease, agent, self.now)
        if isinstance(answer, Lease):
            job = self.queue.get(lease[0])
            assert job is not None
            assert (job.state, job.agent) == (JobState.LEASED, agent)

    @rule(lease=leases, agent=AGENTS)
    def confirm(self, lease: tuple[str, str], agent: str) -> None:
        self.queue.confirm(lease[0], agent, self.now)

    @rule(lease=consumes(leases), agent=AGENTS)
    def fail(self, lease: tuple[str, str], agent: str) -> None:
        self.queue.fail(*lease, agent, "test", self.now)

    @rule(lease=leases, agent=AGENTS, valid=st.booleans())
    def hand_in(self, lease: tuple[str, str], agent: str, valid: bool) -> None:
        if not valid:
            self.queue.refuse(lease[0], agent, "not valid", self.now)
            return
        wanted = lease[0] in self.submitted and lease[0] not in self.cancelled and not self.accepted[lease[0]]
        taken = self.queue.accept(lease[0], agent, "", self.now)
        assert (taken is Taken.ACCEPTED) == wanted
        self.accepted[lease[0]] += wanted

    @invariant()
    def nothing_is_lost(self) -> None:
        jobs = {job.id: job for job in self.queue.jobs()}
        assert sorted(jobs) == sorted(self.submitted)
        assert sum(self.queue.counts().values()) == len(self.submitted)
        for job in jobs.values():
            self.check(job)

    def check(self, job: Any) -> None:
        assert self.accepted[job.id] <= 1
        assert (job.state is JobState.DONE) == (self.accepted[job.id] == 1)
        assert (job.state is JobState.LEASED) == (job.lease_ends_at > 0)
        assert (job.state is not JobState.DEAD) or job.reason
        assert job.cancelled == (job.id in self.cancelled)
        if job.state is JobState.LEASED:
            assert job.lease_id
            assert job.lease_ends_at <= self.now + TERMS.silent_lease_s

    def teardown(self) -> None:
        # However it went on: when all leases have ended and each job is done once more, none is left over.
        self.now += 1000
        self.queue.expire(self.now)
        for number in range(len(self.submitted)):
            lease = self.queue.hand_out(f"last{number}@x/1", self.now, extends=True)
            if lease is None:
                break
            assert self.queue.accept(lease.job.id, "last@x/1", "", self.now) is Taken.ACCEPTED
        counts = self.queue.counts()
        assert counts[JobState.DONE] + counts[JobState.DEAD] == len(self.submitted)
        self.queue.close()
        self.store.close()


SETTINGS = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
