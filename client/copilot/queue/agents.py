"""What a SQLite queue remembers of agents: who asked, how their jobs ended, who is drained."""

import json
from collections.abc import Sequence
from typing import Final

from client.copilot.account import owner_of
from client.copilot.queue.file import QueueFile
from client.copilot.queue.queue import NO_HOST, AgentRecord, Host, SeenAgent

_FORGOTTEN_AFTER_S: Final = 90 * 86400.0
#: Columns that are in no `AgentRecord`.
_UNTOLD: Final = frozenset({"failed_at", "host"})
_MAX_TEXT_CHARS: Final = 100
_MAX_NUMBER: Final = 2**53


class QueueAgents(QueueFile):
    """See `client.copilot.queue.queue.AgentBook` for the verbs."""

    def may_work(self, agent: str, now: float) -> bool:
        """Whether the agent is not drained and need not pause for its failures."""
        owner = owner_of(agent)
        with self._reading() as db:
            if db.execute("SELECT 1 FROM drained WHERE owner IN ('', ?) LIMIT 1", (owner,)).fetchone():
                return False
            row = db.execute("SELECT in_a_row, failed_at FROM agents WHERE owner = ?", (owner,)).fetchone()
        if row is None or not row["in_a_row"]:
            return True
        pause_s = min(self._terms.longest_pause_s, 2.0 ** min(row["in_a_row"] - 1, 30))
        # A clock that was set back must not lock anybody out.
        return not 0 <= now - row["failed_at"] < pause_s

    def note_agents(self, seen: Sequence[SeenAgent], now: float) -> None:
        """Remember agents that asked."""
        if not seen:
            return
        rows = [
            (owner_of(one.agent), one.agent, *facts_of(one.host), one.at, one.at, write_host(one.host)) for one in seen
        ]
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO agents (owner, agent, version, platform, memory_mib, cpus, first_seen, last_seen,"
                " host) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (owner) DO UPDATE SET agent = excluded.agent,"
                " version = excluded.version, platform = excluded.platform, memory_mib = excluded.memory_mib,"
                " cpus = excluded.cpus, last_seen = excluded.last_seen, host = excluded.host",
                rows,
            )
            db.execute("DELETE FROM agents WHERE last_seen < ?", (now - _FORGOTTEN_AFTER_S,))

    def agents(self, limit: int = 1000) -> list[AgentRecord]:
        """Owners of agents, the last seen first."""
        drained = self.drained()
        with self._reading() as db:
            leased = db.execute("SELECT id, agent FROM jobs WHERE state = 'leased' AND lane IS NOT NULL")
            held = {owner_of(row["agent"]): row["id"] for row in leased}
            rows = db.execute("SELECT * FROM agents ORDER BY last_seen DESC, owner LIMIT ?", (limit,)).fetchall()
        found = []
        for row in rows:
            facts = {name: row[name] for name in row.keys() if name not in _UNTOLD}  # noqa: SIM118 (a Row has values)
            on = "" in drained or row["owner"] in drained
            found.append(AgentRecord(**facts, job_id=held.get(row["owner"], ""), drained=on))
        return found

    def hosts(self, since: float, limit: int = 10_000) -> list[Host]:
        """What the owners seen since then said of their computers, the last seen first."""
        ask = "SELECT host FROM agents WHERE last_seen >= ? AND host <> '' ORDER BY last_seen DESC LIMIT ?"
        with self._reading() as db:
            return [read_host(row["host"]) for row in db.execute(ask, (since, limit))]

    def set_drained(self, owner: str, on: bool, now: float) -> None:
        """Let an owner's agents get no more jobs, or get them again."""
        with self._transaction(synced=True) as db:
            if on:
                db.execute("INSERT OR IGNORE INTO drained VALUES (?, ?)", (owner, now))
            else:
                db.execute("DELETE FROM drained WHERE owner = ?", (owner,))

    def drained(self) -> set[str]:
        """Owners that are drained."""
        with self._reading() as db:
            return {row["owner"] for row in db.execute("SELECT owner FROM drained")}

    # -- inside a transaction

    def _credit(self, agent: str, now: float) -> None:
        self._count(agent, now, "accepted")
        self._db.execute("UPDATE agents SET in_a_row = 0 WHERE owner = ?", (owner_of(agent),))

    def _blame(self, agent: str, now: float, ended: str) -> None:
        """A failure. ended: `refused` or `failed`."""
        self._count(agent, now, ended)
        self._pause(agent, now)

    def _pause(self, agent: str, now: float) -> None:
        """The agent gets nothing for a while, longer each time."""
        self._db.execute(
            "INSERT INTO agents (owner, agent, first_seen, last_seen, in_a_row, failed_at) VALUES (?, ?, ?, ?, 1, ?)"
            " ON CONFLICT (owner) DO UPDATE SET in_a_row = in_a_row + 1, failed_at = excluded.failed_at",
            (owner_of(agent), agent, now, now, now),
        )

    def _count(self, agent: str, now: float, ended: str) -> None:
        self._db.execute(
            f"INSERT INTO agents (owner, agent, first_seen, last_seen, {ended}) VALUES (?, ?, ?, ?, 1)"
            f" ON CONFLICT (owner) DO UPDATE SET {ended} = {ended} + 1",
            (owner_of(agent), agent, now, now),
        )


def write_host(host: Host) -> str:
    """A computer's description as text; not empty."""
    return json.dumps(dict(host), separators=(",", ":"))


def read_host(said: str) -> Host:
    """What `write_host` wrote; nothing at all where it cannot be read."""
    try:
        found = json.loads(said)
    except ValueError:
        return NO_HOST
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else NO_HOST


def facts_of(host: Host) -> tuple[str, str, int, int]:
    """Version, platform, memory in MiB and processors as an agent says them."""
    texts = [host.get(name, "")[:_MAX_TEXT_CHARS] for name in ("Version", "Platform")]
    memory_mib, cpus = (_count_of(host.get(name, "")) for name in ("Memory", "Cpus"))
    return texts[0], texts[1], memory_mib, cpus


def _count_of(text: str) -> int:
    return min(int(text), _MAX_NUMBER) if text.isascii() and text.isdigit() and len(text) < 19 else 0
