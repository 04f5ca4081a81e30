"""The queue in one SQLite file, shared by several processes.

A verb is one transaction that holds the write lock from its start (BEGIN IMMEDIATE), so verbs of different processes
happen one after the other. In WAL mode a killed process loses nothing; what must survive a power cut too (submitting,
accepting, cancelling) is synced, the rest is not: it is only handed out again then. Verbs take tenths of a
millisecond, so they are called on the event loop; the synced ones wait for the disk.
"""

import sqlite3
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Final

from client.copilot.account import bare, owner_of
from client.copilot.queue.causes import soon_s
from client.copilot.queue.errors import JobExists
from client.copilot.queue.order import check_order
from client.copilot.queue.prune import QueuePruning
from client.copilot.queue.queue import NO_HOST, Host, JobState, Lease, Lost, NewJob, Taken
from client.copilot.queue.records import write_order
from client.copilot.requirements import parse_requirements

_MAX_REASON_CHARS: Final = 500
_HELD_TOO_LONG: Final = "the job was held for too long"
_INSERT_JOB: Final = (
    "INSERT INTO jobs (id, state, priority, order_json, time_limit_s, submitted_at, submitter, lane, quorum,"
    " max_attempts, confirmed) VALUES (?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_ENDED: Final = "FROM jobs WHERE state = 'leased' AND lane IS NOT NULL AND lease_ends_at <= ?"


class SqliteQueue(QueuePruning):
    """See `client.copilot.queue.queue.JobQueue` for the verbs."""

    def submit(self, jobs: Sequence[NewJob], now: float) -> None:
        """Take all jobs or none."""
        is_replicated = False
        for new in jobs:
            check_order(new)
            is_replicated = is_replicated or new.replication.quorum > 1
        with self._transaction(synced=True):
            for submitter in {new.submitter for new in jobs}:
                self._wake(submitter)
            lanes: dict[tuple[str, int, str], int] = {}
            waiting: Counter[int] = Counter()
            names = frozenset(new.description.id for new in jobs) if is_replicated else frozenset()
            for new in jobs:
                if new.replication.quorum > 1:
                    place = self._insert(new, None, now)
                    self._make_units(place, new.replication.copies, now, names)
                    continue
                key = (new.submitter, new.priority, new.requirements)
                if key not in lanes:
                    lanes[key] = self._lane(*key[:2], parse_requirements(key[2]).text, False)
                self._insert(new, lanes[key], now)
                waiting[lanes[key]] += 1
            self._db.executemany(
                "UPDATE lanes SET waiting = waiting + ? WHERE id = ?",
                [(number, lane) for lane, number in waiting.items()],
            )

    def hand_out(self, agent: str, now: float, *, extends: bool, host: Host = NO_HOST) -> Lease | None:
        """Lease the next job, or again the one that the agent has not confirmed."""
        with self._transaction() as db:
            self._expire(now)
            row = db.execute(
                "SELECT * FROM jobs WHERE state = 'leased' AND confirmed = 0 AND agent = ? LIMIT 1", (agent,)
            ).fetchone()
            if row is not None and row["resends"] < self._terms.max_resends:
                return self._resend(row, now)
            if row is not None:
                self._return(row, agent, f"not confirmed after {row['resends']} times", now)
            row = self._choose(owner_of(agent), host)
            return self._lease(row, uuid.uuid4().hex, agent, extends, now) if row is not None else None

    def confirm(self, job_id: str, agent: str, now: float) -> None:
        """Note that the agent has the job. A silent agent that hands its output in gets the time for that."""
        with self._transaction() as db:
            least = now + self._terms.lease_s
            db.execute(
                "UPDATE jobs SET confirmed = 1, lease_ends_at = max(lease_ends_at, ?)"
                " WHERE id = ? AND agent = ? AND state = 'leased'",
                (least, job_id, agent),
            )

    def extend(self, job_id: str, lease_id: str, agent: str, now: float) -> Lease | Lost:
        """Prolong a lease."""
        with self._transaction():
            self._expire(now)
            row = self._row(job_id)
            lost = self._why_lost(row, job_id, lease_id, agent)
            if lost or row is None:
                return Lost(lost)
            if row["state"] != JobState.LEASED:
                return self._renew(row, lease_id, agent, now)
            if self._end_hold(row, lease_id, agent, now):
                return Lost(_HELD_TOO_LONG)
            lease_s = self._terms.lease_s
            self._set_agent(row, lease_id, agent)
            changed = self._change(
                "UPDATE jobs SET lease_ends_at = ?, confirmed = 1 WHERE place = ? RETURNING *",
                (now + lease_s, row["place"]),
            )
            return Lease(changed, lease_id, lease_s)

    def claim(self, job_id: str, lease_id: str, agent: str, now: float) -> Lease | Lost:
        """Take a job up again."""
        with self._transaction():
            self._expire(now)
            row = self._row(job_id)
            lost = self._why_lost(row, job_id, lease_id, agent)
            if lost or row is None:
                return Lost(lost)
            if self._end_hold(row, lease_id, agent, now):
                return Lost(_HELD_TOO_LONG)
            return self._renew(row, lease_id, agent, now)

    def fail(self, job_id: str, lease_id: str, agent: str, cause: str, now: float) -> bool:
        """The holder gives the job back."""
        with self._transaction():
            row = self._row(job_id)
            if row is None or not _is_out(row) or row["lease_id"] != lease_id:
                return False
            soon = soon_s(cause)
            if soon is None:
                self._blame(agent, now, "failed")
            elif now - row["leased_at"] < soon:
                self._pause(agent, now)
            self._return(row, agent, f"failed: {cause}", now)
            return True

    def accept(self, job_id: str, agent: str, detail: str, now: float, *, agreement: str = "", seen: int = 0) -> Taken:
        """A valid result has been stored."""
        with self._transaction(synced=True) as db:
            row = self._row(job_id)
            if row is None or (row["lane"] is None and row["state"] != JobState.DONE and not row["cancelled"]):
                return Taken.UNKNOWN
            if row["unit_of"]:
                return self._take_result(row, agent, detail, now, agreement, seen)
            if row["cancelled"] or row["state"] == JobState.DONE:
                taken = Taken.CANCELLED if row["cancelled"] else Taken.SECOND
                self._note(job_id, now, "result not needed", agent, taken)
                return taken
            self._ended(row, now)
            db.execute(
                "UPDATE jobs SET state = 'done', finished_at = ?, agent = ?, reason = '' WHERE place = ?",
                (now, agent, row["place"]),
            )
            self._credit(agent, now)
            self._note(job_id, now, "done", agent, detail)
            return Taken.ACCEPTED

    def refuse(self, job_id: str, agent: str, reason: str, now: float) -> None:
        """The agent's result is not valid."""
        with self._transaction():
            row = self._row(job_id)
            if row is None:
                return
            self._blame(agent, now, "refused")
            if _is_out(row) and bare(row["agent"]) == bare(agent):
                self._return(row, agent, f"output refused: {reason}", now)
            else:
                self._note(job_id, now, "late output refused", agent, reason)

    def expire(self, now: float) -> list[str]:
        """Take back all jobs whose lease has ended; now and then the file is cleared up."""
        self._bound_log()
        with self._reading() as db:
            found = db.execute(f"SELECT 1 {_ENDED} LIMIT 1", (now,)).fetchone()
        if found is None:
            return []
        with self._transaction():
            return self._expire(now)

    def cancel(self, job_id: str, now: float) -> bool:
        """Have nobody do the job."""
        with self._transaction(synced=True) as db:
            row = self._row(job_id)
            if row is None or row["unit_of"] or row["state"] == JobState.DONE or row["cancelled"]:
                return False
            self._end_units(row["place"], "cancelled", now)
            self._ended(row, now)
            db.execute(
                "UPDATE jobs SET state = 'dead', cancelled = 1, reason = 'cancelled', finished_at = ? WHERE place = ?",
                (now, row["place"]),
            )
            self._note(job_id, now, "cancelled", "", "")
            return True

    def retry(self, job_id: str, now: float) -> bool:
        """Let a dead job wait again."""
        with self._transaction(synced=True):
            row = self._row(job_id)
            if row is None or row["unit_of"] or row["state"] != JobState.DEAD:
                return False
            self._wake(row["submitter"])
            self._start_again(row)
            self._reset(row)
            self._note(job_id, now, "put back by the operator", "", row["reason"])
            return True

    # -- inside a transaction

    def _insert(self, new: NewJob, lane: int | None, now: float) -> int:
        """A job's row; returns its place. lane: None for a job that has units."""
        job = new.description
        values = (job.id, new.priority, write_order(new), job.time_limit_s, now, new.submitter, lane)
        # A row without a lane is never out, so it is not to be found among those that wait to be confirmed.
        more = (new.replication.quorum, new.max_attempts, lane is None)
        try:
            place = self._db.execute(_INSERT_JOB, values + more).lastrowid
        except sqlite3.IntegrityError as error:
            raise JobExists(job.id) from error
        self._note(job.id, now, "submitted", "", new.submitter)
        return int(place or 0)

    def _lease(self, row: sqlite3.Row, lease_id: str, agent: str, extends: bool, now: float) -> Lease:
        """Hand a waiting job out; it counts as an attempt."""
        lease_s = self._terms.lease_s if extends else row["time_limit_s"] or self._terms.silent_lease_s
        changed = self._change(
            "UPDATE jobs SET state = 'leased', attempts = attempts + 1, resends = 0, agent = ?, extends = ?,"
            " confirmed = 0, lease_id = ?, leased_at = ?, lease_ends_at = ? WHERE place = ? RETURNING *",
            (agent, extends, lease_id, now, now + lease_s, row["place"]),
        )
        self._db.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (lease_id, row["id"], agent, extends))
        self._charge(row["submitter"])
        if row["unit_of"]:
            self._note_holder(row, agent)
            count = "UPDATE jobs SET attempts = attempts + 1, agent = ? WHERE place = ?"
            self._db.execute(count, (agent, row["unit_of"]))
            self._settle(row["unit_of"], now)
        self._note(row["id"], now, "handed out", agent, f"for {lease_s} s")
        return Lease(changed, lease_id, lease_s)

    def _end_hold(self, row: sqlite3.Row, lease_id: str, agent: str, now: float) -> bool:
        """Take a job away that one agent has had for too long; whether it was."""
        if row["state"] != JobState.LEASED or now - row["leased_at"] <= self._terms.hold_limit_s:
            return False
        # No agent can name it any more, ids have no blanks; that the agent had the job stays known.
        self._db.execute("UPDATE leases SET lease_id = 'ended ' || lease_id WHERE lease_id = ?", (lease_id,))
        self._count(agent, now, "lost")
        self._return(row, agent, "held for too long", now)
        return True

    def _renew(self, row: sqlite3.Row, lease_id: str, agent: str, now: float) -> Lease:
        """Give a job back to an agent that had it. The lease keeps its id, so that asking twice does no harm."""
        lease_s = self._terms.lease_s
        # Claiming again and again is holding it, too.
        since = row["leased_at"] if row["state"] == JobState.LEASED else now
        self._set_agent(row, lease_id, agent)
        changed = self._change(
            "UPDATE jobs SET state = 'leased', extends = 1, confirmed = 1, lease_id = ?, leased_at = ?,"
            " lease_ends_at = ?, finished_at = 0 WHERE place = ? RETURNING *",
            (lease_id, since, now + lease_s, row["place"]),
        )
        self._note(row["id"], now, "claimed", agent, f"for {lease_s} s")
        self._settle(row["unit_of"], now)
        return Lease(changed, lease_id, lease_s)

    def _set_agent(self, row: sqlite3.Row, lease_id: str, agent: str) -> None:
        if row["agent"] != agent or row["lease_id"] != lease_id:
            self._db.execute("UPDATE jobs SET agent = ? WHERE place = ?", (agent, row["place"]))
            self._db.execute("UPDATE leases SET agent = ? WHERE lease_id = ?", (agent, lease_id))
            self._note_holder(row, agent)

    def _resend(self, row: sqlite3.Row, now: float) -> Lease:
        lease_s = self._terms.lease_s if row["extends"] else row["time_limit_s"] or self._terms.silent_lease_s
        changed = self._change(
            "UPDATE jobs SET resends = resends + 1, lease_ends_at = ? WHERE place = ? RETURNING *",
            (now + lease_s, row["place"]),
        )
        self._note(row["id"], now, "sent again", row["agent"], f"for {lease_s} s")
        return Lease(changed, row["lease_id"], lease_s)

    def _return(self, row: sqlite3.Row, agent: str, reason: str, now: float) -> None:
        """Put a leased job back, or give it up after its last attempt."""
        given_up = row["attempts"] >= (row["max_attempts"] or self._terms.max_attempts)
        self._ended(row, now)
        if not given_up:
            self._wake(row["submitter"])
        state, finished_at = ("dead", now) if given_up else ("waiting", 0.0)
        tried = f"{row['attempts']} attempt{'s' if row['attempts'] != 1 else ''}"
        reason = f"{tried}; the last: {reason}" if given_up else reason
        self._db.execute(
            "UPDATE jobs SET state = ?, finished_at = ?, reason = ?, came_back = unit_of > 0 WHERE place = ?",
            (state, finished_at, reason[:_MAX_REASON_CHARS], row["place"]),
        )
        self._note(row["id"], now, "given up" if given_up else "returned", agent, reason)
        self._settle(row["unit_of"], now)

    def _expire(self, now: float) -> list[str]:
        rows = self._db.execute(f"SELECT * {_ENDED}", (now,)).fetchall()
        for row in rows:
            self._count(row["agent"], now, "lost")
            self._return(row, row["agent"], "the lease ended", now)
        return [row["id"] for row in rows]

    def _why_lost(self, row: sqlite3.Row | None, job_id: str, lease_id: str, agent: str) -> str:
        """Why a lease cannot go on; empty when it can."""
        if row is None:
            return "there is no such job"
        if row["cancelled"]:
            # A unit that is not needed any more tells why.
            return "the job was cancelled" if row["reason"] == "cancelled" else row["reason"]
        if row["state"] == JobState.DONE:
            return "the job is done"
        known = self._db.execute("SELECT 1 FROM leases WHERE lease_id = ? AND job_id = ?", (lease_id, job_id))
        if known.fetchone() is None:
            return "there is no such lease"
        if row["state"] == JobState.LEASED and row["lease_id"] != lease_id:
            return "another computer does the job"
        return "another computer of this owner had the same job" if self._has_another(row, agent) else ""


def _is_out(row: sqlite3.Row) -> bool:
    """Whether an agent has it. The row of a job with units says it of them, and is nobody's itself."""
    return row["state"] == JobState.LEASED and row["lane"] is not None
