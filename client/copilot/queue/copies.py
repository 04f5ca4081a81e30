"""Replicated jobs of a SQLite queue: their units, and when enough results agree.

The job has a row that is never handed out, with the sum of what its units do; they are rows too, each with an order
of its own, in which the id is theirs.
"""

import dataclasses
import itertools
import sqlite3
from collections import Counter
from collections.abc import Sequence, Set

from client.copilot.account import owner_of
from client.copilot.queue.lanes import QueueLanes
from client.copilot.queue.queue import Candidate, JobState, NewJob, Taken
from client.copilot.queue.records import read_order, write_order
from client.copilot.requirements import parse_requirements


class QueueCopies(QueueLanes):
    """Units of replicated jobs; all inside a transaction."""

    def _make_units(self, place: int, number: int, now: float, taken: Set[str] = frozenset()) -> None:
        """More units of a job, behind all that wait. taken: names that they must not have."""
        job = self._at(place)
        new = read_order(job["order_json"])
        lane = self._lane(new.submitter, new.priority, parse_requirements(new.requirements).text, True)
        self._wake(new.submitter)
        made = len(self._units(place))
        # Another job may have been given the very name of a unit.
        ids = (f"{job['id']}.{index}" for index in itertools.count(made + 1))
        free = (unit_id for unit_id in ids if unit_id not in taken and self._row(unit_id) is None)
        for unit_id in itertools.islice(free, number):
            self._insert_unit(job, new, unit_id, lane, now)
        self._db.execute("UPDATE lanes SET waiting = waiting + ? WHERE id = ?", (number, lane))

    def _insert_unit(self, job: sqlite3.Row, new: NewJob, unit_id: str, lane: int, now: float) -> None:
        order = dataclasses.replace(new, description=dataclasses.replace(new.description, id=unit_id))
        names = "id, state, priority, order_json, time_limit_s, submitted_at, submitter, lane, unit_of, max_attempts"
        values = (unit_id, "waiting", job["priority"], write_order(order), job["time_limit_s"], now)
        more = (job["submitter"], lane, job["place"], job["max_attempts"])
        self._db.execute(f"INSERT INTO jobs ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values + more)

    def _units(self, place: int) -> Sequence[sqlite3.Row]:
        ask = "SELECT * FROM jobs WHERE unit_of > 0 AND unit_of = ? ORDER BY place"
        return self._db.execute(ask, (place,)).fetchall()

    def _note_holder(self, row: sqlite3.Row, agent: str) -> None:
        if row["unit_of"]:
            self._db.execute(
                "INSERT OR IGNORE INTO holders VALUES (?, ?, ?)", (row["unit_of"], owner_of(agent), row["place"])
            )

    def _has_another(self, row: sqlite3.Row, agent: str) -> bool:
        """Whether the agent's owner has had another unit of the same job."""
        if not row["unit_of"]:
            return False
        ask = "SELECT 1 FROM holders WHERE job = ? AND owner = ? AND unit <> ? LIMIT 1"
        return self._db.execute(ask, (row["unit_of"], owner_of(agent), row["place"])).fetchone() is not None

    def _settle(self, place: int, now: float) -> None:
        """Bring a job to what its units are now: its state, more units, or its end. 0: nothing to do."""
        job = self._at(place) if place else None
        if job is None or job["cancelled"] or job["state"] == JobState.DONE:
            return
        units = self._units(place)
        going = [unit for unit in units if unit["state"] in (JobState.WAITING, JobState.LEASED)]
        classes = Counter(candidate.agreement for candidate in self._candidates(place))
        best = max(classes.values(), default=0)
        room = max(0, self._terms.max_copies - len(units))
        if best + len(going) + room < job["quorum"]:
            self._give_up(job, classes, units, now)
            return
        if not going:
            self._make_units(place, min(job["quorum"] - best, room), now)
            self._note(job["id"], now, "more copies made", "", f"{best} of {job['quorum']} agree")
        leased = any(unit["state"] == JobState.LEASED for unit in going)
        state = JobState.LEASED if leased else JobState.WAITING
        if state != job["state"]:
            ask = "UPDATE jobs SET state = ?, finished_at = 0, reason = '' WHERE place = ?"
            self._db.execute(ask, (state, place))

    def _give_up(self, job: sqlite3.Row, classes: Counter[str], units: Sequence[sqlite3.Row], now: float) -> None:
        if job["state"] == JobState.DEAD:
            return
        sizes = "+".join(str(size) for size in sorted(classes.values(), reverse=True))
        last = next((unit["reason"] for unit in reversed(units) if unit["state"] == JobState.DEAD), "")
        said = f"classes {sizes}" if sizes else f"no valid result; the last: {last}"
        reason = f"no quorum: {job['quorum']} of {len(units)} needed, {said}"
        self._end_units(job["place"], "the job was given up", now)
        self._db.execute(
            "UPDATE jobs SET state = 'dead', finished_at = ?, reason = ? WHERE place = ?", (now, reason, job["place"])
        )
        self._note(job["id"], now, "given up", "", reason)

    def _end_units(self, place: int, reason: str, now: float) -> None:
        """Have nobody do the units that are left."""
        for unit in self._units(place):
            self._ended(unit, now)
        self._db.execute(
            "UPDATE jobs SET state = 'dead', cancelled = 1, reason = ?, finished_at = ?"
            " WHERE unit_of > 0 AND unit_of = ? AND state IN ('waiting', 'leased')",
            (reason, now, place),
        )

    def _take_result(self, unit: sqlite3.Row, agent: str, detail: str, now: float, agreement: str, seen: int) -> Taken:
        """A unit's valid result."""
        job = self._at(unit["unit_of"])
        earlier = self._candidates(job["place"])
        owner = owner_of(agent)
        if job["cancelled"] or unit["cancelled"] or job["state"] == JobState.DONE:
            taken = Taken.CANCELLED if job["cancelled"] or job["state"] != JobState.DONE else Taken.SECOND
        elif unit["state"] == JobState.DONE or any(owner_of(one.agent) == owner for one in earlier):
            taken = Taken.SECOND
        elif len(earlier) > seen:
            return Taken.STALE
        else:
            return self._keep_result(job, unit, [*earlier, Candidate(unit["id"], agent, agreement)], detail, now)
        self._note(unit["id"], now, "result not needed", agent, taken)
        return taken

    def _keep_result(
        self, job: sqlite3.Row, unit: sqlite3.Row, candidates: Sequence[Candidate], detail: str, now: float
    ) -> Taken:
        """The last of the candidates is new."""
        new, place = candidates[-1], job["place"]
        self._ended(unit, now)
        self._note_holder(unit, new.agent)
        self._db.execute(
            "INSERT INTO candidates (job, unit_id, agent, owner, agreement) VALUES (?, ?, ?, ?, ?)",
            (place, new.unit_id, new.agent, owner_of(new.agent), new.agreement),
        )
        done = "UPDATE jobs SET state = 'done', finished_at = ?, agent = ?, reason = '' WHERE place = ?"
        self._db.execute(done, (now, new.agent, unit["place"]))
        self._note(unit["id"], now, "result kept", new.agent, detail)
        agree = sum(one.agreement == new.agreement for one in candidates)
        if agree < job["quorum"]:
            self._settle(place, now)
            return Taken.KEPT
        self._db.execute(done, (now, new.agent, place))
        self._note(job["id"], now, "done", new.agent, f"{agree} of {len(candidates)} results agree")
        self._end_units(place, "others did it", now)
        for one in candidates:
            if one.agreement == new.agreement:
                self._credit(one.agent, now)
            else:
                self._blame(one.agent, now, "refused")
        return Taken.ACCEPTED

    def _reset(self, row: sqlite3.Row) -> None:
        """Let a job or a unit wait as if it was new."""
        self._db.execute(
            "UPDATE jobs SET state = 'waiting', cancelled = 0, attempts = 0, reason = '', finished_at = 0"
            " WHERE place = ?",
            (row["place"],),
        )

    def _start_again(self, job: sqlite3.Row) -> None:
        """Forget all that became of a job; what was made beyond its copies is no more."""
        place, copies = job["place"], read_order(job["order_json"]).replication.copies
        for table in ("candidates", "holders"):
            self._db.execute(f"DELETE FROM {table} WHERE job = ?", (place,))
        for number, unit in enumerate(self._units(place)):
            # Somebody may have passed it, or will pass one that gets its place.
            self._db.execute("DELETE FROM looked WHERE lane = ?", (unit["lane"],))
            if number >= copies:
                self._db.execute("DELETE FROM jobs WHERE place = ?", (unit["place"],))
            else:
                self._reset(unit)
