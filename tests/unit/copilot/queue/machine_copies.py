"""Whatever happens to replicated jobs, matched ones and those of several submitters, none is lost or done twice.

A module that tests a queue inherits CopiesMachine, says how it is opened, and collects its `TestCase`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, invariant, rule

from client.copilot.account import owner_of
from client.copilot.queue.queue import Job, JobQueue, JobState, Lease, Replication, Taken, Terms
from client.copilot.requirements import parse_requirements
from tests.unit.copilot.queue.jobs import new_job
from tests.unit.copilot.queue.machine_base import BaseMachine

HOSTS: Mapping[str, Mapping[str, str]] = {
    "a@x": {"Memory": "4000"},
    "b@x": {"Memory": "4000"},
    "c@x": {"Memory": "500"},
    "d@x": {},
}
AGENTS = st.sampled_from([f"{account}/{resource}" for account in HOSTS for resource in "12"])
ORDERS = st.fixed_dictionaries(
    {
        "replication": st.sampled_from([Replication(), Replication(2, 2), Replication(3, 2), Replication(3, 3)]),
        "priority": st.integers(0, 1),
        "submitter": st.sampled_from(["", "me", "you"]),
        "requirements": st.sampled_from(["", "other.Memory >= 2000", "Memory < 2000"]),
    }
)
MAX_COPIES = 4
TERMS = Terms(
    lease_s=10,
    silent_lease_s=40,
    hold_limit_s=100,
    max_attempts=2,
    max_resends=1,
    max_copies=MAX_COPIES,
    shares={"me": 2},
)


class CopiesMachine(BaseMachine):
    terms = TERMS
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        #: job -> owner -> the unit that the owner had
        self.had: dict[str, dict[str, str]] = {}

    def units(self) -> Iterator[Job]:
        """What agents may get: units, and jobs that have none."""
        for job_id in self.submitted:
            found = [self.queue.get(f"{job_id}.{number}") for number in range(1, MAX_COPIES + 1)]
            yield from (unit for unit in found or [] if unit) if found[0] else [self.job(job_id)]

    def job(self, job_id: str) -> Job:
        job = self.queue.get(job_id)
        assert job is not None
        return job

    def may_have(self, unit: Job, owner: str, host: Mapping[str, str]) -> bool:
        fits = parse_requirements(unit.new.requirements).met_by(host)
        return fits and self.had.get(unit.group, {}).get(owner, unit.id) == unit.id

    @rule(orders=st.lists(ORDERS, min_size=1, max_size=3))
    def submit(self, orders: list[dict[str, object]]) -> None:
        ids = [f"job-{len(self.submitted) + index}" for index in range(len(orders))]
        self.queue.submit([new_job(job_id, **order) for job_id, order in zip(ids, orders, strict=True)], self.now)
        self.submitted += ids

    @rule(target=leases, agent=AGENTS, extends=st.booleans())
    def hand_out(self, agent: str, extends: bool) -> tuple[str, str]:
        owner = owner_of(agent)
        host = HOSTS[owner]
        self.queue.expire(self.now)
        fitting = [unit for unit in self.units() if unit.state is JobState.WAITING and self.may_have(unit, owner, host)]
        lease = self.queue.hand_out(agent, self.now, extends=extends, host=host)
        if lease is None:
            assert not fitting
            return ("nothing", "nothing")
        assert self.may_have(lease.job, owner, host)
        if lease.job.attempts == 1 and lease.job.id in {unit.id for unit in fitting}:
            assert lease.job.new.priority == max(unit.new.priority for unit in fitting)
        self.note(lease, agent)
        assert not self.accepted[lease.job.group or lease.job.id]
        return (lease.job.id, lease.lease_id)

    def note(self, lease: Lease, agent: str) -> None:
        if lease.job.group:
            self.had.setdefault(lease.job.group, {})[owner_of(agent)] = lease.job.id

    @rule(lease=leases, agent=AGENTS, claim=st.booleans())
    def prolong(self, lease: tuple[str, str], agent: str, claim: bool) -> None:
        unit = self.queue.get(lease[0])
        verb = self.queue.claim if claim else self.queue.extend
        answer = verb(*lease, agent, self.now)
        if isinstance(answer, Lease):
            assert unit is not None
            assert self.had.get(unit.group, {}).get(owner_of(agent), unit.id) == unit.id
            self.note(answer, agent)

    @rule(lease=consumes(leases), agent=AGENTS)
    def fail(self, lease: tuple[str, str], agent: str) -> None:
        self.queue.fail(*lease, agent, "test", self.now)

    @rule(lease=leases, agent=AGENTS, agreement=st.sampled_from(["x", "y", "z", ""]), missed=st.integers(0, 1))
    def hand_in(self, lease: tuple[str, str], agent: str, agreement: str, missed: int) -> None:
        if not agreement:
            self.queue.refuse(lease[0], agent, "not valid", self.now)
            return
        before = self.queue.candidates(lease[0])
        seen = max(0, len(before) - missed)
        taken = self.queue.accept(lease[0], agent, "", self.now, agreement=agreement, seen=seen)
        if seen < len(before):
            assert taken not in (Taken.KEPT, Taken.ACCEPTED)
        unit = self.queue.get(lease[0])
        if taken is Taken.ACCEPTED:
            assert unit is not None
            self.accepted[unit.group or unit.id] += 1
        if taken in (Taken.KEPT, Taken.ACCEPTED) and unit is not None and unit.group:
            self.had.setdefault(unit.group, {})[owner_of(agent)] = unit.id

    def begin_again(self, job_id: str) -> None:
        super().begin_again(job_id)
        self.had.pop(job_id, None)

    @invariant()
    def nothing_is_lost(self) -> None:
        jobs = {job.id: job for job in self.queue.jobs()}
        assert list(jobs) == self.submitted
        assert sum(self.queue.counts().values()) == len(self.submitted)
        for job in jobs.values():
            self.check(job)
        assert self.queue.has_work() == any(unit.state is JobState.WAITING for unit in self.units())

    def check(self, job: Job) -> None:
        assert self.accepted[job.id] <= 1
        assert (job.state is JobState.DONE) == (self.accepted[job.id] == 1)
        assert (job.state is not JobState.DEAD) or job.reason
        assert job.cancelled == (job.id in self.cancelled)
        if job.new.replication.quorum > 1:
            self.check_units(job)

    def check_units(self, job: Job) -> None:
        units = [unit for unit in self.units() if unit.group == job.id]
        going = {unit.state for unit in units} & {JobState.WAITING, JobState.LEASED}
        if job.state in (JobState.DONE, JobState.DEAD):
            assert not going
        else:
            assert job.state is (JobState.LEASED if JobState.LEASED in going else JobState.WAITING)
            assert going
        candidates = self.queue.candidates(job.id)
        assert (
            len({owner_of(one.agent) for one in candidates}) == len(candidates) == len({c.unit_id for c in candidates})
        )
        most = max(Counter(one.agreement for one in candidates).values(), default=0)
        assert (most >= job.new.replication.quorum) == (job.state is JobState.DONE)

    def teardown(self) -> None:
        # However it went on: while there are agents enough, every job comes to its end.
        self.now += 1000
        self.queue.expire(self.now)
        hosts = ({"Memory": "4000"}, {"Memory": "500"})
        for number in range(2 * MAX_COPIES * (len(self.submitted) + 1)):
            agent = f"last{number}@x/1"
            lease = self.queue.hand_out(agent, self.now, extends=True, host=hosts[number % 2])
            if lease is None:
                continue
            seen = len(self.queue.candidates(lease.job.id))
            taken = self.queue.accept(lease.job.id, agent, "", self.now, agreement="last", seen=seen)
            assert taken in (Taken.ACCEPTED, Taken.KEPT)
        counts = self.queue.counts()
        assert counts[JobState.DONE] + counts[JobState.DEAD] == len(self.submitted)
        self.queue.close()
        self.store.close()


SETTINGS = settings(
    max_examples=8,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)


def check_fair_shares(queue: JobQueue, weights: Mapping[str, float], numbers: Mapping[str, int]) -> None:
    """See that nobody gets more than one job ahead of his share. queue: empty, with these weights as its shares."""
    for name, number in numbers.items():
        queue.submit([new_job(f"{name}-{index}", submitter=name) for index in range(number)], 0)
    got: Counter[str] = Counter()
    for index in range(sum(numbers.values())):
        before = {name: got[name] / weights[name] for name in numbers if got[name] < numbers[name]}
        lease = queue.hand_out(f"{index}@x/1", 0, extends=True)
        assert lease is not None
        name = lease.job.new.submitter
        assert before[name] <= min(before.values()) + 1e-6
        got[name] += 1
    assert got == Counter(numbers)
