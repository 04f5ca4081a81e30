"""A SQLite queue's file: opening it, transactions, and the verbs that only read."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import Event, Job, JobState, Terms
from client.copilot.queue.records import STEPS, read_job

#: How long a verb waits for other processes' verbs.
_BUSY_TIMEOUT_S: Final = 10.0


class QueueFile:
    """See `client.copilot.queue.queue.JobQueue` for the verbs.

    Args:
        path: the file; made when it is not there.

    Raises:
        QueueUnusable: also raised by every verb when the file or the disk fails.
    """

    def __init__(self, path: Path, terms: Terms | None = None) -> None:
        self._path = path
        self._terms = terms or Terms()
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise QueueUnusable(str(path), str(error)) from error
        self._make_tables()

    def has_work(self) -> bool:
        """Whether a job waits."""
        with self._reading() as db:
            found = db.execute("SELECT 1 FROM jobs WHERE state = 'waiting' LIMIT 1").fetchone()
        return found is not None

    def may_work(self, agent: str, now: float) -> bool:
        """Whether the agent need not pause for its failures."""
        with self._reading() as db:
            row = db.execute("SELECT number, last_at FROM failures WHERE account = ?", (bare(agent),)).fetchone()
        if row is None:
            return True
        pause_s = min(self._terms.longest_pause_s, 2.0 ** min(row["number"] - 1, 30))
        # A clock that was set back must not lock anybody out.
        return not 0 <= now - row["last_at"] < pause_s

    def get(self, job_id: str) -> Job | None:
        """A job; None if there is none."""
        with self._reading():
            row = self._row(job_id)
        return read_job(row) if row is not None else None

    def has_lease(self, job_id: str, agent: str) -> bool | None:
        """Whether the agent extends leases; None if it never had this job."""
        with self._reading() as db:
            rows = db.execute("SELECT agent, extends FROM leases WHERE job_id = ?", (job_id,)).fetchall()
        said = [bool(row["extends"]) for row in rows if bare(row["agent"]) == bare(agent)]
        return any(said) if said else None

    def jobs(self, state: JobState | None = None, limit: int = 1000) -> list[Job]:
        """Jobs in the order of submission."""
        which = "WHERE state = ?" if state else ""
        values: tuple[Any, ...] = (state.value, limit) if state else (limit,)
        with self._reading() as db:
            rows = db.execute(f"SELECT * FROM jobs {which} ORDER BY place LIMIT ?", values).fetchall()
        return [read_job(row) for row in rows]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with self._reading() as db:
            rows = db.execute("SELECT state, count(*) AS number FROM jobs GROUP BY state").fetchall()
        return dict.fromkeys(JobState, 0) | {JobState(row["state"]): row["number"] for row in rows}

    def history(self, job_id: str) -> list[Event]:
        """What happened to a job, oldest first."""
        with self._reading() as db:
            rows = db.execute("SELECT * FROM history WHERE job_id = ? ORDER BY rowid", (job_id,)).fetchall()
        return [Event(row["job_id"], row["at"], row["what"], row["agent"], row["detail"]) for row in rows]

    def close(self) -> None:
        """Close it; idempotent."""
        self._db.close()

    # -- for those who write

    def _row(self, job_id: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return found

    @contextlib.contextmanager
    def _transaction(self, *, synced: bool = False) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            if synced:
                db.execute("PRAGMA synchronous = FULL")
            try:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
            finally:
                if synced:
                    db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.rollback()
            raise QueueUnusable(str(self._path), str(error)) from error

    def _make_tables(self) -> None:
        with self._transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(STEPS):
                raise QueueUnusable(str(self._path), f"it was made by a newer version ({version})")
            for step in STEPS[version:]:
                for statement in step.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(STEPS)}")


def bare(jid: str) -> str:
    """A JID without its resource."""
    return jid.partition("/")[0]
