"""What the scripts of the Redis queue answer, as values."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from client.copilot.queue.queue import AgentRecord, Candidate, Event, Job, JobState
from client.copilot.queue.records import read_order

SEPARATOR: Final = "\x1f"
_TEXTS: Final = ("owner", "agent", "version", "platform", "job_id")
_NUMBERS: Final = ("memory_mib", "cpus", "accepted", "refused", "failed", "lost", "in_a_row")


def fields_of(flat: Sequence[str]) -> dict[str, str]:
    """A flat list of names and values as a map."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def read_job(flat: Sequence[str]) -> Job:
    """A job, or a unit of one, as `answer` in base.lua gives it."""
    row = fields_of(flat)
    new = read_order(row["order"])
    if row.get("group"):
        new = dataclasses.replace(new, description=dataclasses.replace(new.description, id=row["id"]))
    state = JobState(row["state"])
    return Job(
        new=new,
        state=state,
        attempts=int(row.get("attempts", 0)),
        agent=row.get("agent", ""),
        lease_id=row.get("lease_id", ""),
        lease_ends_at=float(row.get("ends_at", 0)) if state is JobState.LEASED else 0.0,
        submitted_at=float(row["submitted_at"]),
        finished_at=float(row.get("finished_at", 0)),
        reason=row.get("reason", ""),
        cancelled=row.get("cancelled") == "1",
        group=row.get("group", ""),
    )


def read_event(line: str) -> Event:
    """A line of a job's history."""
    job_id, at, what, agent, detail = line.split(SEPARATOR, 4)
    return Event(job_id, float(at), what, agent, detail)


def read_candidate(line: str) -> Candidate:
    """A valid result."""
    unit_id, agent, _owner, agreement = line.split(SEPARATOR, 3)
    return Candidate(unit_id, agent, agreement)


def read_agent(flat: Sequence[str]) -> AgentRecord:
    """What is remembered of an owner's agents."""
    row = fields_of(flat)
    said: dict[str, Any] = {name: row.get(name, "") for name in _TEXTS} | {
        name: int(row.get(name, 0)) for name in _NUMBERS
    }
    seen = (float(row.get("first_seen", 0)), float(row.get("last_seen", 0)))
    return AgentRecord(**said, first_seen=seen[0], last_seen=seen[1], drained=row.get("drained") == "1")
