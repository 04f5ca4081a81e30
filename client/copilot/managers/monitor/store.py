"""What was told, kept in one SQLite file: by 10 s for a day, by the minute for a month, by the hour for ever.

All three are written at once, so there is no rolling-up that could be interrupted. It is bounded: by the number of
series (at most 500, so the hours take less than 200 MB a year at the worst; a site's usual 60 a tenth of that) and by
the file's greatest size.
"""

import json
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from client.copilot.events import MAX_DETAILS_BYTES, Spread
from client.copilot.managers.monitor.errors import StoreUnusable
from client.copilot.managers.monitor.ledger import CHOSEN, MAX_CHOSEN, MAX_SERIES, Kind, Series
from client.copilot.private_database import keep_private

#: width of a slot -> how long it is kept, in seconds; None: for ever
KEPT_S: Final[Mapping[int, float | None]] = {10: 86400.0, 60: 31 * 86400.0, 3600: None}
MAX_DETAILS: Final = 10_000
#: of the tables, in the file's user_version; files of before it was written there have 0 and the same tables
_VERSION: Final = 1
_PAGE_BYTES: Final = 4096
_MAX_BYTES: Final = 2 * 1024**3
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, component TEXT NOT NULL, event TEXT NOT NULL, kind TEXT NOT NULL,
    UNIQUE (event, kind, component)
) STRICT;
CREATE TABLE IF NOT EXISTS slots (
    width INTEGER NOT NULL, series INTEGER NOT NULL, at INTEGER NOT NULL,
    number INTEGER NOT NULL, total REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
    PRIMARY KEY (width, series, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS details (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, at REAL NOT NULL, said TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS details_of_session ON details (session);
"""
_ADD: Final = """
INSERT INTO slots VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (width, series, at) DO UPDATE SET
    number = number + excluded.number, total = total + excluded.total,
    low = min(low, excluded.low), high = max(high, excluded.high)
"""
_READ: Final = """
SELECT at / ? * ? AS began, sum(number), sum(total), min(low), max(high) FROM slots
WHERE width = ? AND at >= ? AND at < ? AND series IN (SELECT id FROM series WHERE event = ? AND kind = ?)
GROUP BY began ORDER BY began
"""
#: with the series, so that the key is used and not all of that width is looked through
_PRUNE: Final = "DELETE FROM slots WHERE width = ? AND series IN (SELECT id FROM series) AND at < ?"
_BY_EVENT: Final = """
SELECT event, sum(number) FROM slots JOIN series ON series = id
WHERE width = ? AND at >= ? AND at < ? AND kind = 'count' AND event GLOB ?
    AND series IN (SELECT id FROM series WHERE event GLOB ?)
GROUP BY event
"""

#: What the write-ahead log keeps of the disk while it is not needed.
_LOG_BYTES: Final = 8 * 1024 * 1024


class EventStore:
    """The file. Of one thread.

    Raises:
        StoreUnusable: from all methods; the disk fails or is full, or the file is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[Series, int] = {}
        keep_private(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            self._db.execute(f"PRAGMA max_page_count = {_MAX_BYTES // _PAGE_BYTES}")
            self._make_tables()
            self._read_ids()
        except (sqlite3.Error, ValueError) as error:
            raise StoreUnusable(str(path), str(error)) from error

    def _make_tables(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise ValueError(f"it was made by a newer version ({version})")
        if version < _VERSION:
            self._db.executescript(_TABLES)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def write(self, at: float, slots: Mapping[Series, Spread]) -> None:
        """Add what was told around that time; series beyond the greatest number are left out."""
        rows = []
        try:
            with self._db:
                self._db.execute("BEGIN")
                for series, it in slots.items():
                    number = self._id(series)
                    if number is not None:
                        sums = (it.number, it.total, it.low, it.high)
                        rows += [(width, number, int(at) // width * width, *sums) for width in KEPT_S]
                self._db.executemany(_ADD, rows)
        except sqlite3.Error as error:
            self._ids.clear()
            self._read_ids()
            raise StoreUnusable(str(self._path), str(error)) from error

    def prune(self, now: float) -> None:
        """Forget what is older than it is kept; to be called about once an hour."""
        try:
            for width, kept_s in KEPT_S.items():
                if kept_s is not None:
                    self._db.execute(_PRUNE, (width, int(now - kept_s)))
            self._db.execute("DELETE FROM details WHERE id <= (SELECT max(id) FROM details) - ?", (MAX_DETAILS,))
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error

    def read(self, event: str, kind: Kind, since: float, until: float, step_s: int) -> dict[int, Spread]:
        """What all components told of an event: start of a step (epoch seconds) -> numbers; empty steps are left out.

        Args:
            step_s: a multiple of the width of a slot; the widest that divides it is read.
        """
        width = max(width for width in KEPT_S if step_s % width == 0)
        first = int(since) // step_s * step_s
        try:
            rows = self._db.execute(_READ, (step_s, step_s, width, first, int(until), event, kind.value))
            return {began: Spread(number, total, low, high) for began, number, total, low, high in rows}
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error

    def count(self, events: str, since: float, until: float, width: int) -> dict[str, int]:
        """How often each event happened whose name matches a pattern (`*` for anything), in that time."""
        try:
            rows = (width, int(since) // width * width, math.ceil(until), events, events)
            found = self._db.execute(_BY_EVENT, rows)
            return {str(event): int(number) for event, number in found}
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error

    def keep_details(self, session: str, said: dict[str, object], now: float) -> None:
        """Keep a JSON object."""
        try:
            text = json.dumps(said, separators=(",", ":"))
            self._db.execute("INSERT INTO details (session, at, said) VALUES (?, ?, ?)", (session[:200], now, text))
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error

    def update_details(self, session: str, said: dict[str, object], now: float) -> None:
        """Change values of the last object of that session; one that would become too large stays as it is."""
        try:
            row = self._last_details(session)
            if row is not None:
                text = json.dumps({**json.loads(row[1]), **said}, separators=(",", ":"))
                if len(text) <= MAX_DETAILS_BYTES:
                    self._db.execute("UPDATE details SET said = ?, at = ? WHERE id = ?", (text, now, row[0]))
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error

    def details(self, session: str) -> dict[str, object] | None:
        """The last object of that session; None when there is none."""
        try:
            row = self._last_details(session)
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error
        found: dict[str, object] | None = json.loads(row[1]) if row else None
        return found

    def close(self) -> None:
        """Close it; idempotent."""
        self._db.close()

    def _last_details(self, session: str) -> tuple[int, str] | None:
        wanted = "SELECT id, said FROM details WHERE session = ? ORDER BY id DESC LIMIT 1"
        found: tuple[int, str] | None = self._db.execute(wanted, (session[:200],)).fetchone()
        return found

    def _read_ids(self) -> None:
        try:
            for number, *names in self._db.execute("SELECT id, component, event, kind FROM series"):
                self._ids[Series(names[0], names[1], Kind(names[2]))] = number
        except sqlite3.Error as error:
            raise StoreUnusable(str(self._path), str(error)) from error

    def _has_room(self, series: Series) -> bool:
        if series.event.startswith(CHOSEN) and sum(known.event.startswith(CHOSEN) for known in self._ids) >= MAX_CHOSEN:
            return False
        return len(self._ids) < MAX_SERIES

    def _id(self, series: Series) -> int | None:
        found = self._ids.get(series)
        if found is None and self._has_room(series):
            done = self._db.execute("INSERT INTO series (component, event, kind) VALUES (?, ?, ?)", series)
            found = self._ids[series] = int(done.lastrowid or 0)
        return found
