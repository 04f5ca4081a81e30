"""Jobs as rows of the SQLite queue: values to rows and back."""

import json
import sqlite3
from typing import Any, Final

from client.copilot.messages import JobDescription
from client.copilot.queue.queue import Job, JobState, NewJob, Replication

_write: Final = json.JSONEncoder(separators=(",", ":")).encode


def write_order(new: NewJob) -> str:
    """The submitted part of a job as JSON."""
    # dataclasses.asdict copies everything, which takes longer than all else in submitting a million jobs.
    return _write(vars(new) | {"description": vars(new.description), "replication": vars(new.replication)})


def read_order(text: str) -> NewJob:
    """What `write_order` wrote, in this version or an earlier one."""
    said: dict[str, Any] = json.loads(text)
    description = said.pop("description")
    description["input_files"] = tuple(description["input_files"])
    replication = Replication(**said.pop("replication", {}))
    return NewJob(description=JobDescription(**description), replication=replication, **said)


def read_job(row: sqlite3.Row, group: str = "") -> Job:
    """A row of the table `jobs`. group: id of the job that it is a unit of."""
    state = JobState(row["state"])
    return Job(
        new=read_order(row["order_json"]),
        state=state,
        attempts=row["attempts"],
        agent=row["agent"],
        lease_id=row["lease_id"],
        lease_ends_at=row["lease_ends_at"] if state is JobState.LEASED else 0.0,
        submitted_at=row["submitted_at"],
        finished_at=row["finished_at"],
        reason=row["reason"],
        cancelled=bool(row["cancelled"]),
        group=group,
    )
