"""The queue of jobs: what it promises, and the plain values that go in and out.

    waiting --hand_out--> leased --accept--> done
       ^                    |  ^
       |   lease ended,     |  | claim
       +-- failed, refused -+--+        after the last attempt: dead (with the reason); cancelled: dead

No job can be lost: whatever happens in whatever order, a submitted job is waiting, leased, done or dead, and it has at
most one accepted result. A late valid result is taken as long as there is none; a second one is refused quietly.

Times are seconds since the epoch, given by the caller: all processes on one queue share the computer's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from client.copilot.messages import JobDescription


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
class NewJob:
    """A job as it is submitted.

    Attributes:
        description: what agents get; its chirp_url is filled in by the job manager.
        validator: name of the check that its output must pass; empty: exit code 0 and readable output.
        expected: what the validator compares with; JSON data.
        priority: higher goes first; equal ones in the order of submission.
        submitter: who asked for it.
    """

    description: JobDescription
    validator: str = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    submitter: str = ""


@dataclass(frozen=True)
class Job:
    """A job in the queue.

    Attributes:
        attempts: how often it was handed out.
        agent: full JID of the last agent that had it; empty for none.
        lease_ends_at: epoch seconds; 0 unless leased.
        reason: why it is dead, or why it came back last; empty for none.
        finished_at: epoch seconds when it became done or dead; 0 before.
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
    #: the job has a result already
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
    """

    lease_s: int = 120
    silent_lease_s: int = 3600
    hold_limit_s: int = 7 * 86400
    max_attempts: int = 5
    max_resends: int = 5
    longest_pause_s: float = 600.0


class JobQueue(Protocol):
    """What managers and operators ask of a queue. Each verb is one transaction; several processes may share one."""

    def submit(self, jobs: Sequence[NewJob], now: float) -> None:
        """Take all jobs or none; they survive a power cut from here on. Raises JobExists."""

    def has_work(self) -> bool:
        """Whether a job waits."""

    def may_work(self, agent: str, now: float) -> bool:
        """Whether the agent need not pause for its failures. `hand_out` does not ask."""

    def hand_out(self, agent: str, now: float, *, extends: bool) -> Lease | None:
        """Lease the next job to an agent, or again the one that it has not confirmed; None when there is none.

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

    def accept(self, job_id: str, agent: str, detail: str, now: float) -> Taken:
        """A valid result has been stored; at most one is accepted, and that survives a power cut."""

    def refuse(self, job_id: str, agent: str, reason: str, now: float) -> None:
        """The agent's result is not valid: the job returns to the queue if that agent holds it."""

    def expire(self, now: float) -> list[str]:
        """Take back all jobs whose lease has ended; returns their ids."""

    def cancel(self, job_id: str, now: float) -> bool:
        """Have nobody do the job; False if it is finished or not there."""

    def retry(self, job_id: str, now: float) -> bool:
        """Let a dead job wait again with no attempt counted; False if it is not dead."""

    def get(self, job_id: str) -> Job | None:
        """A job; None if there is none."""

    def has_lease(self, job_id: str, agent: str) -> bool | None:
        """Whether the agent extends leases, as it said when it had this job; None if it never had it."""

    def jobs(self, state: JobState | None = None, limit: int = 1000) -> list[Job]:
        """Jobs in the order of submission."""

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; every state has a number."""

    def history(self, job_id: str) -> list[Event]:
        """What happened to a job, oldest first."""

    def close(self) -> None:
        """Close it; idempotent."""
