"""A SQLite queue's file: opening it, transactions, and the verbs that only read jobs."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from client.copilot.account import bare, owner_of
from client.copilot.private_database import keep_private
from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import Candidate, Event, Host, Job, JobState, Terms
from client.copilot.queue.records import read_job
from client.copilot.queue.schema import STEPS
from client.copilot.requirements import parse_requirements

#: How long a verb waits for other processes' verbs.
_BUSY_TIMEOUT_S: Final = 10.0
#: The write-ahead log is cut down to this by whoever begins it anew, and begun anew when it is larger.
LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024
#: How long that waits for readers, and others for it.
_CUT_TIMEOUT_S: Final = 1.0
_MAX_REASON_CHARS: Final = 500
_LAST_LETTER: Final = chr(0x10FFFF)
_MOST_EVENTS: Final = 1000
_TRIM_HISTORY: Final = (
    "DELETE FROM history WHERE job_id = ? AND rowid <="
    " (SELECT rowid FROM history WHERE job_id = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?)"
)
#: behind all places
_NO_PLACE: Final = 2**63 - 1


class QueueFile:
    """See `client.copilot.queue.queue.QueueView` for the verbs.

    Args:
        path: the file; made when it is not there.

    Raises:
        QueueUnusable: also raised by every verb when the file or the disk fails.
    """

    def __init__(self, path: Path, terms: Terms | None = None) -> None:
        self._path = path
        self._terms = terms or Terms()
        self._log_limit_bytes = LOG_LIMIT_BYTES
        keep_private(path)
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
        except sqlite3.Error as error:
            raise QueueUnusable(str(path), str(error)) from error
        self._make_tables()

    def has_work(self, host: Host | None = None) -> bool:
        """Whether a job waits that the host may do; None: any job."""
        with self._reading() as db:
            if host is None:
                return db.execute("SELECT 1 FROM lanes WHERE waiting > 0 LIMIT 1").fetchone() is not None
            # One at a time: mostly the first will do.
            asked = db.execute("SELECT requirements FROM lanes WHERE waiting > 0")
            return any(parse_requirements(row[0]).met_by(host) for row in asked)

    def waiting(self, limit: int) -> list[tuple[str, int]]:
        """Requirements of what waits, and the numbers of units, the highest priority first."""
        ask = "SELECT requirements, waiting FROM lanes WHERE waiting > 0 ORDER BY priority DESC LIMIT ?"
        with self._reading() as db:
            return [(row["requirements"], row["waiting"]) for row in db.execute(ask, (limit,))]

    def candidates(self, job_id: str) -> list[Candidate]:
        """Valid results kept so far, oldest first."""
        with self._reading():
            row = self._row(job_id)
            return self._candidates(row["unit_of"] or row["place"]) if row is not None else []

    def get(self, job_id: str) -> Job | None:
        """A job or a unit; None if there is none."""
        with self._reading():
            row = self._row(job_id)
            return self._read(row) if row is not None else None

    def has_lease(self, job_id: str, agent: str) -> bool | None:
        """Whether the agent extends leases; None if it never had this job."""
        with self._reading() as db:
            rows = db.execute("SELECT agent, extends FROM leases WHERE job_id = ?", (job_id,)).fetchall()
        said = [bool(row["extends"]) for row in rows if bare(row["agent"]) == bare(agent)]
        return any(said) if said else None

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Ids of jobs that begin so, in order."""
        ask = "SELECT id FROM jobs WHERE unit_of = 0 AND id >= ? AND id < ? ORDER BY id LIMIT ?"
        with self._reading() as db:
            return [row["id"] for row in db.execute(ask, (prefix, prefix + _LAST_LETTER, limit))]

    def jobs(
        self,
        state: JobState | None = None,
        limit: int = 1000,
        *,
        submitter: str = "",
        after: str = "",
        newest: bool = False,
    ) -> list[Job]:
        """Jobs in the order of submission, or the newest first."""
        behind, order = ("<", "DESC") if newest else (">", "ASC")
        place = f"place {behind} coalesce((SELECT place FROM jobs WHERE id = ?), {_NO_PLACE if newest else 0})"
        which, values = ["unit_of = 0", place], [after]
        if state:
            which.append("state = ?")
            values.append(state.value)
        if submitter:
            which.append("submitter = ?")
            values.append(submitter)
        with self._reading() as db:
            ask = f"SELECT * FROM jobs WHERE {' AND '.join(which)} ORDER BY place {order} LIMIT ?"
            return [read_job(row) for row in db.execute(ask, (*values, limit))]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with self._reading() as db:
            rows = db.execute("SELECT state, count(*) AS number FROM jobs WHERE unit_of = 0 GROUP BY state").fetchall()
        return dict.fromkeys(JobState, 0) | {JobState(row["state"]): row["number"] for row in rows}

    def history(self, job_id: str) -> list[Event]:
        """What happened to a job and its units, oldest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT * FROM history WHERE job_id = :id OR job_id IN (SELECT id FROM jobs WHERE unit_of > 0"
                " AND unit_of = (SELECT place FROM jobs WHERE id = :id)) ORDER BY rowid",
                {"id": job_id},
            ).fetchall()
        return [Event(row["job_id"], row["at"], row["what"], row["agent"], row["detail"]) for row in rows]

    def close(self) -> None:
        """Close it; idempotent."""
        self._db.close()

    # -- for those who write

    def _row(self, job_id: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return found

    def _at(self, place: int) -> sqlite3.Row:
        found: sqlite3.Row = self._db.execute("SELECT * FROM jobs WHERE place = ?", (place,)).fetchone()
        return found

    def _read(self, row: sqlite3.Row) -> Job:
        return read_job(row, self._at(row["unit_of"])["id"] if row["unit_of"] else "")

    def _candidates(self, place: int) -> list[Candidate]:
        rows = self._db.execute("SELECT * FROM candidates WHERE job = ? ORDER BY number", (place,))
        return [Candidate(row["unit_id"], row["agent"], row["agreement"]) for row in rows]

    def _change(self, statement: str, values: tuple[Any, ...]) -> Job:
        """Run an UPDATE of one row; the job as it is then."""
        return self._read(self._db.execute(statement, values).fetchone())

    def _note(self, job_id: str, at: float, what: str, agent: str, detail: str) -> None:
        values = (job_id, at, what, agent, detail[:_MAX_REASON_CHARS])
        self._db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?)", values)
        if what != "submitted":
            # An agent can claim its job as often as it likes.
            self._db.execute(_TRIM_HISTORY, (job_id, job_id, _MOST_EVENTS))

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
                    # A full disk has ended the transaction already, and must not be hidden by an error of this.
                    if db.in_transaction:
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

    def _bound_log(self) -> None:
        """Begin the write-ahead log anew when it has grown. Of itself it is while nobody reads, which may be never."""
        size_bytes = 0
        with contextlib.suppress(OSError):
            size_bytes = Path(f"{self._path}-wal").stat().st_size
        if size_bytes <= self._log_limit_bytes:
            return
        try:
            self._db.execute(f"PRAGMA busy_timeout = {_CUT_TIMEOUT_S * 1000:.0f}")
            is_busy = bool(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        except sqlite3.Error:
            # A full disk; the next verb that needs room will say so.
            is_busy = True
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1000:.0f}")
        # Somebody who reads on and on, or died in a debugger, must not hold everybody up every second.
        self._log_limit_bytes = 2 * size_bytes if is_busy else LOG_LIMIT_BYTES

    def _make_tables(self) -> None:
        with self._transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(STEPS):
                raise QueueUnusable(str(self._path), f"it was made by a newer version ({version})")
            if version == len(STEPS):
                return
            db.create_function("owner_of", 1, owner_of, deterministic=True)
            for step in STEPS[version:]:
                for statement in _statements(step):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(STEPS)}")


def _statements(step: str) -> Iterator[str]:
    """The statements of a step; those of a trigger hold semicolons themselves."""
    found = ""
    for part in step.split(";"):
        found += part + ";"
        if sqlite3.complete_statement(found):
            yield found
            found = ""
