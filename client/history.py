"""Finished jobs, kept in SQLite: one row per job, the last word on it wins."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.snapshot import Totals

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY, project TEXT NOT NULL, ended_at TEXT NOT NULL, state TEXT NOT NULL,
    accepted INTEGER, units INTEGER NOT NULL, unit TEXT NOT NULL, cpu_s REAL NOT NULL, cause TEXT NOT NULL)
"""


@dataclass(frozen=True)
class FinishedJob:
    """One row: accepted is None while the project has not judged; cpu_s in seconds of guest CPU."""

    job_id: str
    project: str
    ended_at: datetime
    state: str
    accepted: bool | None
    units: int
    unit: str
    cpu_s: float
    cause: str = ""


class History:
    """The table of finished jobs. Calls are short (one row); safe to make in the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file; a damaged one is set aside as `.broken` and a new one begun."""
        try:
            self._database = self._connect()
        except sqlite3.DatabaseError:
            self._path.replace(self._path.with_suffix(".broken"))
            self._database = self._connect()

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def put(self, job: FinishedJob) -> None:
        """Add or replace a job's row."""
        accepted = None if job.accepted is None else int(job.accepted)
        values = (job.job_id, job.project, job.ended_at.isoformat(), job.state, accepted, job.units, job.unit)
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?)", (*values, job.cpu_s, job.cause))

    def jobs(self, limit: int = 100) -> tuple[FinishedJob, ...]:
        """The latest jobs, newest first."""
        rows = self._open().execute("SELECT * FROM jobs ORDER BY ended_at DESC LIMIT ?", (limit,))
        return tuple(
            FinishedJob(r[0], r[1], datetime.fromisoformat(r[2]), r[3], None if r[4] is None else bool(r[4]), *r[5:])
            for r in rows
        )

    def totals(self) -> Totals:
        """Sums over all jobs."""
        row = self._open().execute(
            "SELECT COALESCE(SUM(accepted = 1), 0), COALESCE(SUM(state = 'failed' OR accepted = 0), 0),"
            " COALESCE(SUM(CASE WHEN accepted = 1 THEN units END), 0), COALESCE(SUM(cpu_s), 0) FROM jobs"
        )
        return Totals(*row.fetchone())

    def _open(self) -> sqlite3.Connection:
        assert self._database is not None, "History.open() first"
        return self._database

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(_SCHEMA)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database
