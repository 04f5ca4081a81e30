"""What was asked of a guest and is not settled, on disk: a client that is killed leaves it to the next one.

    <folder>/<errand id>.json               what was asked, of which boot of the guest, and how it ended
    <folder>/<errand id>.stdout, .stderr    what a command said that nobody waited for

Ended errands stay as results for a while: at most MOST_RESULTS of them, for RESULT_LIFE.
"""

import contextlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from client.clock import Clock
from client.paths import write_atomic

MOST_RESULTS: Final = 32
RESULT_LIFE: Final = timedelta(days=7)
#: an errand that no guest was there for is forgotten
WAIT_LIFE: Final = timedelta(days=1)
#: most that is kept of each output of a command without anybody who reads it
MOST_OUTPUT_BYTES: Final = 1 << 20
STREAMS: Final = ("stdout", "stderr")


@dataclass
class Entry:
    """One errand.

    Attributes:
        kind: `exec`, `put` or `get`.
        wants: what was asked, as plain JSON data.
        asked_at: aware UTC.
        boot: the boot of the guest that was told; empty while none was.
        outcome: how it ended, as plain JSON data; None while it has not.
    """

    errand_id: str
    kind: str
    wants: dict[str, Any]
    asked_at: datetime
    boot: str = ""
    outcome: dict[str, Any] | None = None
    marks: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """The errands of one VM."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._entries: dict[str, Entry] = {}

    def load(self) -> tuple[Entry, ...]:
        """Read what is there, throw away what is too old; the open ones, oldest first."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = (_read(path) for path in self.folder.glob("*.json"))
        entries = sorted((entry for entry in found if entry), key=lambda entry: entry.asked_at)
        self._entries = {entry.errand_id: entry for entry in entries}
        self._sweep()
        return tuple(entry for entry in self._entries.values() if entry.outcome is None)

    def open(self, kind: str, wants: dict[str, Any]) -> Entry:
        """Note a new errand; it is on disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        entry = Entry(secrets.token_hex(6), kind, wants, self._clock.now())
        self.save(entry)
        self._entries[entry.errand_id] = entry
        return entry

    def save(self, entry: Entry) -> None:
        """Write an errand after a change."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        plain = {**vars(entry), "asked_at": entry.asked_at.isoformat()}
        write_atomic(self._file(entry.errand_id), json.dumps(plain).encode())

    def settle(self, entry: Entry, outcome: dict[str, Any]) -> None:
        """Note how it ended, for whoever asks later."""
        entry.outcome = outcome
        self.save(entry)
        self._entries[entry.errand_id] = entry
        self._sweep()

    def drop(self, entry: Entry) -> None:
        """Forget it with all that it said. Idempotent."""
        self._entries.pop(entry.errand_id, None)
        for path in (self._file(entry.errand_id), *(self._output(entry.errand_id, name) for name in STREAMS)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def result(self, errand_id: str) -> Entry | None:
        """An errand by its name; None when there is none, or none any more."""
        self._sweep()
        return self._entries.get(errand_id)

    def entries(self) -> tuple[Entry, ...]:
        """All that is noted, oldest first: what is open, and the results that are kept."""
        self._sweep()
        return tuple(self._entries.values())

    def spool(self, entry: Entry, stream: str, data: bytes) -> None:
        """Keep a piece of an output; beyond the bound it is dropped, and `marks` say so."""
        path = self._output(entry.errand_id, stream)
        size = path.stat().st_size if path.exists() else 0
        with path.open("ab") as file:
            file.write(data[: max(0, MOST_OUTPUT_BYTES - size)])
        if size + len(data) > MOST_OUTPUT_BYTES and not entry.marks.get("cut"):
            entry.marks["cut"] = True
            self.save(entry)

    def output(self, entry: Entry, stream: str) -> bytes:
        """What was kept of an output."""
        with contextlib.suppress(FileNotFoundError):
            return self._output(entry.errand_id, stream).read_bytes()
        return b""

    def _file(self, errand_id: str) -> Path:
        return self.folder / f"{errand_id}.json"

    def _output(self, errand_id: str, stream: str) -> Path:
        return self.folder / f"{errand_id}.{stream}"

    def _sweep(self) -> None:
        now = self._clock.now()
        ended = [entry for entry in self._entries.values() if entry.outcome is not None]
        for entry in ended[: max(0, len(ended) - MOST_RESULTS)]:
            self.drop(entry)
        for entry in tuple(self._entries.values()):
            life = RESULT_LIFE if entry.boot or entry.outcome is not None else WAIT_LIFE
            if now - entry.asked_at > life:
                self.drop(entry)


def _read(path: Path) -> Entry | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        asked_at = datetime.fromisoformat(said.pop("asked_at"))
        entry = Entry(asked_at=asked_at, **said)
        fits = entry.errand_id == path.stem and asked_at.tzinfo is not None and isinstance(entry.wants, dict)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if fits else None
