"""Which job goes out next from a SQLite queue: lanes, and the fair share of submitters.

A lane is the waiting jobs of one submitter, priority and requirement. Handing out looks at lanes and at the first job
of one of them, so a million waiting jobs cost no more than one; what counts is how many lanes of the highest priority
there are.
"""

import itertools
import sqlite3
from collections.abc import Iterator
from typing import Final

from client.copilot.queue.agents import QueueAgents
from client.copilot.queue.queue import Host
from client.copilot.requirements import parse_requirements

#: What a hand-out costs a submitter of whom none has ended yet, in seconds.
FIRST_COST_S: Final = 60.0
#: Jobs that end at once must count too, or their submitter would be served for ever.
_LEAST_COST_S: Final = 0.001

_FIRST: Final = (
    "SELECT * FROM jobs WHERE lane = ? AND state = 'waiting' AND came_back = ? AND place >= ? AND NOT EXISTS"
    " (SELECT 1 FROM holders WHERE job = jobs.unit_of AND owner = ? AND unit <> jobs.place) ORDER BY place LIMIT 1"
)


class QueueLanes(QueueAgents):
    """Chooses jobs; all inside a transaction."""

    def _choose(self, owner: str, host: Host) -> sqlite3.Row | None:
        """The waiting job that is this owner's next."""
        for priority in self._priorities():
            lanes = self._db.execute(
                "SELECT lanes.id, requirements, replicated, spent FROM lanes JOIN submitters ON name = submitter"
                " WHERE waiting > 0 AND priority = ? ORDER BY spent",
                (priority,),
            ).fetchall()
            fit = [lane for lane in lanes if parse_requirements(lane["requirements"]).met_by(host)]
            for _, equal in itertools.groupby(fit, lambda lane: lane["spent"]):
                firsts = [found for lane in equal if (found := self._first(lane, owner)) is not None]
                if firsts:
                    return min(firsts, key=lambda row: int(row["place"]))
        return None

    def _priorities(self) -> Iterator[int]:
        """Those of waiting jobs, the highest first; one at a time, since there may be one for each job."""
        ask = "SELECT max(priority) FROM lanes WHERE waiting > 0"
        priority: int | None = self._db.execute(ask).fetchone()[0]
        while priority is not None:
            yield priority
            priority = self._db.execute(f"{ask} AND priority < ?", (priority,)).fetchone()[0]

    def _first(self, lane: sqlite3.Row, owner: str) -> sqlite3.Row | None:
        """The first job of a lane that this owner may have."""
        found: sqlite3.Row | None
        if not lane["replicated"]:
            ask = "SELECT * FROM jobs WHERE lane = ? AND state = 'waiting' ORDER BY came_back, place LIMIT 1"
            found = self._db.execute(ask, (lane["id"],)).fetchone()
            return found
        back: sqlite3.Row | None = self._db.execute(_FIRST, (lane["id"], 1, 0, owner)).fetchone()
        fresh = self._first_fresh(lane["id"], owner)
        return min((row for row in (back, fresh) if row is not None), key=lambda row: int(row["place"]), default=None)

    def _first_fresh(self, lane: int, owner: str) -> sqlite3.Row | None:
        """The first unit that never went out and whose job the owner had no unit of.

        An owner who had one of a job may never have another, so what he has passed he need not look at again. (Units
        that come back are not passed for good, and stand apart.) Without this a single owner's every question would
        walk over the second copies of all his jobs.
        """
        looked = self._db.execute("SELECT place FROM looked WHERE owner = ? AND lane = ?", (owner, lane)).fetchone()
        start = looked["place"] if looked else 0
        found: sqlite3.Row | None = self._db.execute(_FIRST, (lane, 0, start, owner)).fetchone()
        place = found["place"] if found else self._db.execute("SELECT max(place) + 1 FROM jobs").fetchone()[0]
        if place != start:
            self._db.execute("INSERT OR REPLACE INTO looked VALUES (?, ?, ?)", (owner, lane, place))
        return found

    def _lane(self, submitter: str, priority: int, requirements: str, replicated: bool) -> int:
        """The number of a lane; made when it is not there."""
        key = (submitter, priority, requirements, replicated)
        ask = "SELECT id FROM lanes WHERE submitter = ? AND priority = ? AND requirements = ? AND replicated = ?"
        self._db.execute("INSERT OR IGNORE INTO submitters (name) VALUES (?)", (submitter,))
        self._db.execute(
            "INSERT OR IGNORE INTO lanes (submitter, priority, requirements, replicated) VALUES (?, ?, ?, ?)", key
        )
        return int(self._db.execute(ask, key).fetchone()[0])

    def _wake(self, submitter: str) -> None:
        """To be called before a job of a submitter begins to wait: who had none waiting has saved nothing up."""
        self._db.execute(
            "UPDATE submitters SET spent = max(spent, coalesce((SELECT min(spent) FROM submitters WHERE name IN"
            " (SELECT submitter FROM lanes WHERE waiting > 0)), 0))"
            " WHERE name = ? AND NOT EXISTS (SELECT 1 FROM lanes WHERE submitter = ? AND waiting > 0)",
            (submitter, submitter),
        )

    def _charge(self, submitter: str) -> None:
        """A job of this submitter goes out."""
        row = self._db.execute("SELECT ended, held_s FROM submitters WHERE name = ?", (submitter,)).fetchone()
        cost_s = max(row["held_s"] / row["ended"], _LEAST_COST_S) if row["ended"] else FIRST_COST_S
        cost_s /= self._terms.shares.get(submitter, 1.0)
        self._db.execute("UPDATE submitters SET spent = spent + ? WHERE name = ?", (cost_s, submitter))

    def _ended(self, row: sqlite3.Row, now: float) -> None:
        """A hand-out ends, if the job is out (and not the row of one that has units)."""
        if row["state"] == "leased" and row["lane"] is not None:
            held_s = max(0.0, now - row["leased_at"])
            self._db.execute(
                "UPDATE submitters SET ended = ended + 1, held_s = held_s + ? WHERE name = ?",
                (held_s, row["submitter"]),
            )
