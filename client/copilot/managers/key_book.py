"""What key managers remember: the keys that were enrolled, and the requests that were already answered.

One SQLite file, shared by all key managers of a project. Who is shut out stands in a file of its own (`revoked`),
since the XMPP server has to read that.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.copilot.private_database import keep_private

_WAIT_S: Final = 10.0
_DAY_S: Final = 86400
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS owners (
    owner TEXT PRIMARY KEY, public_key TEXT NOT NULL, enrolled_at REAL NOT NULL,
    asked_at REAL NOT NULL DEFAULT 0, day INTEGER NOT NULL DEFAULT 0, accounts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonces (nonce TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nonces_until ON nonces (until);
PRAGMA user_version = 1;
"""


@dataclass(frozen=True)
class Owner:
    """Somebody who enrolled.

    Attributes:
        enrolled_at: epoch seconds.
        asked_at: when an account was last given, epoch seconds; 0: never.
        accounts: given on that day (UTC).
    """

    owner: str
    public_key: str
    enrolled_at: float
    asked_at: float
    accounts: int


class KeyBook:
    """See the module. All methods block, for milliseconds, and raise sqlite3.Error when the disk fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        keep_private(path)
        with contextlib.closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_TABLES)

    def enrol(self, owner: str, public_key: str, now: float) -> bool:
        """Remember a key. Returns whether it is new."""
        with self._open() as db:
            added = db.execute(
                "INSERT INTO owners (owner, public_key, enrolled_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (owner, public_key, now),
            )
            return added.rowcount > 0

    def knows(self, owner: str, public_key: str) -> bool:
        """Whether this very key was enrolled."""
        with self._open() as db:
            found = db.execute("SELECT public_key FROM owners WHERE owner = ?", (owner,)).fetchone()
        return found is not None and found[0] == public_key

    def is_first_use(self, nonce: str, now: float, keep_s: float) -> bool:
        """Whether a nonce was never used before; it is used now, and remembered for `keep_s`."""
        with self._open() as db:
            db.execute("DELETE FROM nonces WHERE until < ?", (now,))
            added = db.execute("INSERT INTO nonces VALUES (?, ?) ON CONFLICT DO NOTHING", (nonce, now + keep_s))
            return added.rowcount > 0

    def count_account(self, owner: str, now: float, most_a_day: int) -> bool:
        """Note that an owner gets an account; False: it has had as many as it may have today."""
        day = int(now) // _DAY_S
        with self._open() as db:
            changed = db.execute(
                "UPDATE owners SET asked_at = ?1, accounts = CASE day WHEN ?2 THEN accounts + 1 ELSE 1 END, day = ?2"
                " WHERE owner = ?3 AND (day != ?2 OR accounts < ?4)",
                (now, day, owner, most_a_day),
            )
            return changed.rowcount > 0

    def owners(self) -> list[Owner]:
        """All who enrolled, the newest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT owner, public_key, enrolled_at, asked_at, accounts FROM owners ORDER BY enrolled_at DESC"
            ).fetchall()
        return [Owner(*row) for row in rows]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction. A connection of its own each time: callers are threads, and asked once a day per guest."""
        with contextlib.closing(sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
