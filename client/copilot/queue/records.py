"""Jobs as rows of the SQLite queue: the tables, and rows to values and back."""

import json
import sqlite3
from dataclasses import asdict
from typing import Any, Final

from client.copilot.messages import JobDescription
from client.copilot.queue.queue import Job, JobState, NewJob

# `place` is the order of submission; a job that returns keeps it, so it goes before younger ones. The partial indexes
# hold only the rows that their question is about, so handing out takes the same time whatever the queue's length.
_JOBS: Final = """
CREATE TABLE jobs (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'done', 'dead')),
    priority INTEGER NOT NULL,
    order_json TEXT NOT NULL,
    time_limit_s INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    resends INTEGER NOT NULL DEFAULT 0,
    agent TEXT NOT NULL DEFAULT '',
    extends INTEGER NOT NULL DEFAULT 0,
    confirmed INTEGER NOT NULL DEFAULT 0,
    lease_id TEXT NOT NULL DEFAULT '',
    leased_at REAL NOT NULL DEFAULT 0,
    lease_ends_at REAL NOT NULL DEFAULT 0,
    submitted_at REAL NOT NULL,
    finished_at REAL NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX jobs_waiting ON jobs (priority DESC, place) WHERE state = 'waiting';
CREATE INDEX jobs_leased ON jobs (lease_ends_at) WHERE state = 'leased';
CREATE INDEX jobs_unconfirmed ON jobs (agent) WHERE state = 'leased' AND confirmed = 0;
CREATE TABLE leases (
    lease_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    extends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_of_job ON leases (job_id);
CREATE TABLE history (
    job_id TEXT NOT NULL,
    at REAL NOT NULL,
    what TEXT NOT NULL,
    agent TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX history_of_job ON history (job_id);
"""
# Accounts whose last jobs failed, one after the other; forgotten with the first that is accepted.
_FAILURES: Final = """
CREATE TABLE failures (
    account TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    last_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""
#: Statements that bring the tables from each version, kept in the file's user_version, to the next.
STEPS: Final = (_JOBS, _FAILURES)


def write_order(new: NewJob) -> str:
    """The submitted part of a job as JSON."""
    return json.dumps(asdict(new), separators=(",", ":"))


def read_order(text: str) -> NewJob:
    """What `write_order` wrote."""
    said: dict[str, Any] = json.loads(text)
    description = said.pop("description")
    description["input_files"] = tuple(description["input_files"])
    return NewJob(description=JobDescription(**description), **said)


def read_job(row: sqlite3.Row) -> Job:
    """A row of the table `jobs`."""
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
    )
