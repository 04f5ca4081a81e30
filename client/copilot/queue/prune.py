"""Forgetting jobs of a SQLite queue that ended long ago. What they left on the disk is not the queue's."""

import sqlite3
from typing import Final

from client.copilot.queue.copies import QueueCopies
from client.copilot.queue.queue import JobState

_MOST_PRUNED: Final = 1000
_OLD: Final = "SELECT id FROM jobs WHERE unit_of = 0 AND state IN ('done', 'dead') AND finished_at < ? LIMIT ?"


class QueuePruning(QueueCopies):
    """See `client.copilot.queue.queue.JobQueue.prune`."""

    def prune(self, before: float, now: float) -> int:
        """Forget jobs that ended before then; at most 1000."""
        before = min(before, now)
        # Looking for them may take long, so others go on meanwhile.
        with self._reading() as db:
            ids = [row["id"] for row in db.execute(_OLD, (before, _MOST_PRUNED))]
        if not ids:
            return 0
        with self._transaction() as db:
            rows = [row for row in map(self._row, ids) if row is not None and _is_old(row, before)]
            for row in rows:
                self._forget(row, now)
            # Places at the end are given once more, and nobody has looked at the jobs that get them.
            last = "(SELECT coalesce(max(place), 0) + 1 FROM jobs)"
            db.execute(f"UPDATE looked SET place = {last} WHERE place > {last}")
        return len(rows)

    def _forget(self, row: sqlite3.Row, now: float) -> None:
        # An agent may have claimed a unit after the job's end.
        self._end_units(row["place"], "the job is forgotten", now)
        ids = [unit["id"] for unit in self._units(row["place"])] + [row["id"]]
        for table, column in (("leases", "job_id"), ("history", "job_id"), ("jobs", "id")):
            self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(job_id,) for job_id in ids])
        for table in ("candidates", "holders"):
            self._db.execute(f"DELETE FROM {table} WHERE job = ?", (row["place"],))


def _is_old(row: sqlite3.Row, before: float) -> bool:
    return row["state"] in (JobState.DONE, JobState.DEAD) and row["finished_at"] < before
