"""The journal: what was about to be done, written before it is done, so that a kill loses nothing.

JSON lines, each flushed to disk before `begin` returns. A torn last line (power loss) is dropped at the next start.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

#: entries kept when the file is compacted at start
KEPT = 200


@dataclass(frozen=True)
class Entry:
    """One step. ended_at is None when it was never seen to end; failure is an error's text, empty for success."""

    number: int
    step: str
    about: str
    began_at: datetime
    ended_at: datetime | None = None
    failure: str = ""


class Journal:
    """Append-only list of steps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[int, Entry] = {}
        self._last = 0

    def load(self) -> None:
        """Read what is on disk and compact it; a missing file is an empty journal."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue
        self._entries = dict(sorted(self._entries.items())[-KEPT:])
        temporary = self._path.with_suffix(".new")
        temporary.write_text("".join(_line(entry) for entry in self._entries.values()), encoding="utf-8")
        temporary.replace(self._path)

    def entries(self) -> tuple[Entry, ...]:
        """All entries known, oldest first."""
        return tuple(self._entries.values())

    def open_entries(self) -> tuple[Entry, ...]:
        """Steps that began and were never seen to end."""
        return tuple(entry for entry in self._entries.values() if entry.ended_at is None)

    def begin(self, step: str, about: str, now: datetime) -> int:
        """Note an intention; it is on disk when this returns. Returns its number, for `end`."""
        self._last += 1
        self._append(Entry(self._last, step, about, now))
        return self._last

    def end(self, number: int, now: datetime, failure: str = "") -> None:
        """Note that a step ended; failure: the error's text, or empty."""
        began = self._entries[number]
        self._append(Entry(number, began.step, began.about, began.began_at, now, failure))

    def _append(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        if len(self._entries) > 2 * KEPT:
            self._entries.pop(next(iter(self._entries)))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))
            file.flush()
            os.fsync(file.fileno())

    def _take(self, said: dict[str, str]) -> None:
        number = int(said["number"])
        ended = datetime.fromisoformat(said["ended_at"]) if said["ended_at"] else None
        began = datetime.fromisoformat(said["began_at"])
        self._entries[number] = Entry(number, said["step"], said["about"], began, ended, said["failure"])
        self._last = max(self._last, number)


def _line(entry: Entry) -> str:
    said = {
        "number": entry.number,
        "step": entry.step,
        "about": entry.about,
        "began_at": entry.began_at.isoformat(),
        "ended_at": entry.ended_at.isoformat() if entry.ended_at else "",
        "failure": entry.failure,
    }
    return json.dumps(said) + "\n"
