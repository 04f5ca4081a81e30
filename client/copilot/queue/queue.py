"""The queue of jobs: what it promises, and the plain values that go in and out.

    waiting --hand_out--> leased --accept--> done
       ^                    |  ^
       |   lease ended,     |  | claim
       +-- failed, refused -+--+        after the last attempt: dead (with the reason); cancelled: dead

No job can be lost: whatever happens in whatever order, a submitted job is waiting, leased, done or dead, and it has at
most one accepted result. A late valid result is taken as long as there is none; a second one is refused quietly.

A replicated job is handed out as several units, each to another owner, and is done when enough of their results agree;
agents know only units, operators only jobs. A job of its own is its one unit.

Times are seconds since the epoch, given by the caller: all processes on one queue share the computer's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from client.copilot.messages import JobDescription

#: What an agent says of its computer: attribute -> value, as `client.copilot.jdl.parse_jdl` reads it.
Host: TypeAlias = Mapping[str, str]
#: An attribute that job managers add: "yes" for agents that ask for tokens of outside services.
PILOT_ATTRIBUTE: Final = "Pilot"
#: In the reason why a job came back, what stands before the last lines that it printed.
PRINTED: Final = "; it printed last: "
NO_HOST: Final[Host] = MappingProxyType({})


class JobState(StrEnum):
    """Where a job is."""

    #: nobody works on it
    WAITING = "waiting"
    #: handed out; returns when its lease ends
    LEASED = "leased"
    #: has its one accepted result
    DONE = "done"
    #: given up after its attempts, or cancelled; `Job.reason` says why
    DEAD = "dead"


@dataclass(frozen=True)
class Replication:
    """How often a job is done, because volunteers are not trusted.

    Attributes:
        copies: units made at first; more are made when they do not agree. At least `quorum`.
        quorum: so many results must agree; 1: the first valid one is taken, and there is one unit only.
        compare: the project's comparison (`client.copilot.managers.compare`); empty: equal bytes.
    """

    copies: int = 1
    quorum: int = 1
    compare: str = ""


@dataclass(frozen=True)
class NewJob:
    """A job as it is submitted.

    Attributes:
        description: what agents get; its chirp_url is filled in by the job manager.
        validator: name of the check that its output must pass; empty: exit code 0 and readable output.
        expected: what the validator compares with; JSON data.
        priority: higher goes first; equal ones in the order of submission.
        submitter: who asked for it; those of equal priority get their share each.
        requirements: expression over the agent's description (`client.copilot.requirements`); empty: any agent.
        replication: how many results must agree.
        output: False: the exit code is the result, nothing is uploaded and nothing validated.
        max_attempts: hand-outs of a unit before it is given up; None: as the queue's terms say.
    """

    description: JobDescription
    validator: str = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    submitter: str = ""
    requirements: str = ""
    replication: Replication = field(default_factory=Replication)
    output: bool = True
    max_attempts: int | None = None


@dataclass(frozen=True)
class Job:
    """A job in the queue.

    Attributes:
        attempts: how often it was handed out.
        agent: full JID of the last agent that had it; empty for none.
        lease_ends_at: epoch seconds; 0 unless leased.
        reason: why it is dead, or why it came back last; empty for none.
        finished_at: epoch seconds when it became done or dead; 0 before.
        group: the job that this is a unit of; empty for a job. A unit is done when its valid result is kept.
    """

    new: NewJob
    state: JobState
    attempts: int
    agent: str
    lease_id: str
    lease_ends_at: float
    submitted_at: float
    finished_at: float
    reason: str
    cancelled: bool
    group: str = ""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.new.description.id


@dataclass(frozen=True)
class Lease:
    """A job handed out. lease_s: how long from now."""

    job: Job
    lease_id: str
    lease_s: int


@dataclass(frozen=True)
class Lost:
    """A lease that cannot be had; reason: one line for the agent."""

    reason: str


class Taken(StrEnum):
    """What became of a result."""

    #: it is the job's one accepted result
    ACCEPTED = "accepted"
    #: it is kept until enough others agree with it, or with another one
    KEPT = "kept"
    #: others came meanwhile that it was not compared with: nothing was noted
    STALE = "stale"
    #: the job, or this unit of it, has a result already, or this owner has given one
    SECOND = "second"
    #: the job was cancelled
    CANCELLED = "cancelled"
    #: there is no such job
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Event:
    """A line of a job's history. what: submitted, handed out, extended, ..., in the past tense."""

    job_id: str
    at: float
    what: str
    agent: str
    detail: str


@dataclass(frozen=True)
class Candidate:
    """A valid result of a replicated job. agreement: the class of results that it equals."""

    unit_id: str
    agent: str
    agreement: str


@dataclass(frozen=True)
class SeenAgent:
    """An agent that asked. agent: full JID; host: its description, parsed; at: epoch seconds."""

    agent: str
    host: Host
    at: float


@dataclass(frozen=True)
class AgentRecord:
    """What is remembered of an owner's agents.

    Attributes:
        owner: see `client.copilot.account.owner_of`.
        agent: full JID of the last one.
        memory_mib, cpus: 0 when unknown.
        first_seen, last_seen: epoch seconds.
        job_id: a unit that one of them has now; empty for none.
        accepted, refused, failed, lost: results that counted, results that did not, jobs given back, leases ended.
        in_a_row: failures since the last accepted result.
        drained: whether the owner gets no jobs by the operator's wish.
    """

    owner: str
    agent: str
    version: str = ""
    platform: str = ""
    memory_mib: int = 0
    cpus: int = 0
    first_seen: float = 0.0
    last_seen: float = 0.0
    job_id: str = ""
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    lost: int = 0
    in_a_row: int = 0
    drained: bool = False

    @property
    def reliability(self) -> float:
        """Expected part of hand-outs that end well, between 0 and 1; a half when nothing is known (Laplace's rule)."""
        return (self.accepted + 1) / (self.accepted + self.refused + self.failed + self.lost + 2)


@dataclass(frozen=True)
class Terms:
    """The rules of handing out.

    Attributes:
        lease_s: lease of agents that extend it.
        silent_lease_s: lease of agents that say nothing while they work, for jobs without a time limit.
        hold_limit_s: longest time that one agent may extend a lease.
        max_attempts: hand-outs before a job is dead.
        max_resends: how often an agent that seems not to have got its job is given the same again.
        longest_pause_s: an agent whose jobs fail one after the other gets the next after 1, 2, 4, ... s, at most this;
            otherwise one broken computer would use up the attempts of all jobs.
        shares: weight of a submitter, above 0; 1 where it is not named.
        max_copies: units of a replicated job that are made at most while their results do not agree.
    """

    lease_s: int = 120
    silent_lease_s: int = 3600
    hold_limit_s: int = 7 * 86400
    max_attempts: int = 5
    max_resends: int = 5
    longest_pause_s: float = 600.0
    shares: Mapping[str, float] = field(default_factory=dict)
    max_copies: int = 8


class AgentBook(Protocol):
    """What a queue remembers of agents, by their owner: a guest's account is new every day."""

    def may_work(self, agent: str, now: float) -> bool:
        """Whether the agent is not drained and need not pause for its failures. `hand_out` does not ask."""

    def note_agents(self, seen: Sequence[SeenAgent], now: float) -> None:
        """Remember agents that asked; to be called with many at once. Who was not seen for 90 days is forgotten."""

    def agents(self, limit: int = 1000) -> list[AgentRecord]:
        """Owners of agents, the last seen first."""

    def hosts(self, since: float, limit: int = 10_000) -> list[Host]:
        """What the owners seen since then said last of their computers, the last seen first."""

    def set_drained(self, owner: str, on: bool, now: float) -> None:
        """Let an owner's agents get no more jobs, or get them again; an empty owner is everybody. Idempotent."""

    def drained(self) -> set[str]:
        """Owners that are drained; with an empty text when all are."""


class QueueView(Protocol):
    """What can be read of a queue."""

    def has_work(self, host: Host | None = None) -> bool:
        """Whether a job waits whose requirements the host meets; None: any job."""

    def waiting(self, limit: int) -> list[tuple[str, int]]:
        """What waits, the highest priority first: requirements, and the number of units that have them.

        The same requirements may stand there several times. Costs as much as `limit`, however many jobs wait.

        Args:
            limit: of the list; one of that length may not be all.
        """

    def candidates(self, job_id: str) -> list[Candidate]:
        """Valid results kept so far of the job that a unit belongs to (or of the job itself), oldest first."""

    def get(self, job_id: str) -> Job | None:
        """A job, or a unit of one; None if there is none."""

    def has_lease(self, job_id: str, agent: str) -> bool | None:
        """Whether the agent extends leases, as it said when it had this unit; None if it never had it."""

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Ids of jobs (no units) that begin so, in the order of the alphabet; does not look at other jobs."""

    def jobs(
        self,
        state: JobState | None = None,
        limit: int = 1000,
        *,
        submitter: str = "",
        after: str = "",
        newest: bool = False,
    ) -> list[Job]:
        """Jobs (no units) in the order of submission.

        Args:
            submitter: only theirs; empty: everybody's.
            after: only those behind this job in that order, or from its start on when there is no such job.
            newest: the other way round, the newest first.
        """

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; every state has a number."""

    def history(self, job_id: str) -> list[Event]:
        """What happened to a job and its units, oldest first; of what happened very often the last 1000 events."""


class JobQueue(AgentBook, QueueView, Protocol):
    """What managers and operators ask of a queue. Each verb is one transaction; several processes may share one."""

    def submit(self, jobs: Sequence[NewJob], now: float) -> None:
        """Take all jobs or none; they survive a power cut from here on. Raises JobExists, BadRequirements, BadOrder.

        A replicated job (quorum above 1) is handed out as units `<job>.1`, `<job>.2`, ...
        """

    def hand_out(self, agent: str, now: float, *, extends: bool, host: Host = NO_HOST) -> Lease | None:
        """Lease the next job to an agent, or again the one that it has not confirmed; None when there is none.

        Of the jobs whose requirements the host meets: the highest priority; among equals the submitter that had
        least so far by its share; of its jobs the first submitted. Each hand-out costs a submitter the mean time in
        seconds that its hand-outs lasted (60 until one ended), divided by its weight; one that had nothing waiting
        starts again at the least of those who have. An owner gets at most one unit of a replicated job.

        Args:
            agent: full JID.
            extends: whether it will extend its lease.
        """

    def confirm(self, job_id: str, agent: str, now: float) -> None:
        """Note that the agent has the job; its lease is not shortened by this."""

    def extend(self, job_id: str, lease_id: str, agent: str, now: float) -> Lease | Lost:
        """Prolong a lease; one that has ended is as good as new while nobody else has the job."""

    def claim(self, job_id: str, lease_id: str, agent: str, now: float) -> Lease | Lost:
        """Take a job up again after a pause, maybe as another JID; the lease keeps its id. Idempotent."""

    def fail(self, job_id: str, lease_id: str, agent: str, cause: str, now: float) -> bool:
        """The holder gives the job back; False if the lease is not current."""

    def accept(self, job_id: str, agent: str, detail: str, now: float, *, agreement: str = "", seen: int = 0) -> Taken:
        """A valid result has been stored; at most one is accepted, and that survives a power cut.

        Args:
            agreement: of a unit of a replicated job: the class of results that it equals.
            seen: the number of `candidates` that it was compared with.
        """

    def refuse(self, job_id: str, agent: str, reason: str, now: float) -> None:
        """The agent's result is not valid: the job returns to the queue if that agent holds it."""

    def expire(self, now: float) -> list[str]:
        """Take back all jobs whose lease has ended; returns their ids."""

    def cancel(self, job_id: str, now: float) -> bool:
        """Have nobody do the job; False if it is finished or not there."""

    def retry(self, job_id: str, now: float) -> bool:
        """Let a dead job wait again with no attempt counted; False if it is not dead."""

    def prune(self, before: float, now: float) -> int:
        """Forget all of at most 1000 jobs that became done or dead before then; how many, 0 when there are none left.

        A result of such a job that comes yet is that of an unknown job.
        """

    def close(self) -> None:
        """Close it; idempotent."""
