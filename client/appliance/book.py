"""What is remembered of each file of the store: when it was last used and checked. Losing it costs a check, no more."""

import json
import math
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from client.clock import Clock
from client.log import logger
from client.paths import write_atomic

_MOST_BYTES: Final = 8 * 2**20
#: a check that is said to lie so far ahead was written by a clock that was wrong
_AHEAD_S: Final = 86400.0


@dataclass(frozen=True)
class Entry:
    """Of one file.

    Attributes:
        used: grows with each use of any file; 0: never used.
        used_at, checked_at: seconds since 1970, for people and for what is due; 0.0: never.
        pieces: how many of its first pieces a check that was interrupted has found right.
    """

    used: int = 0
    used_at: float = 0.0
    checked_at: float = 0.0
    pieces: int = 0


class Book:
    """Entries by SHA-256, on disk after each change; for several threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = _load(path)
        #: the user wants nothing to be fetched
        self.held = bool(_read(path).get("held"))

    def entry(self, sha256: str) -> Entry:
        """What is known of a file; an empty entry if nothing is."""
        return self._entries.get(sha256, Entry())

    def used(self, files: Iterable[str]) -> None:
        """These were used just now."""
        with self._lock:
            number = 1 + max((one.used for one in self._entries.values()), default=0)
            now = self._now()
            for sha256 in files:
                self._entries[sha256] = replace(self.entry(sha256), used=number, used_at=now)
            self.save()

    def checked(self, files: Iterable[str]) -> None:
        """All bytes of these were right just now."""
        with self._lock:
            for sha256 in files:
                self._entries[sha256] = replace(self.entry(sha256), checked_at=self._now(), pieces=0)
            self.save()

    def reached(self, sha256: str, pieces: int) -> None:
        """A check that goes on has found so many pieces right."""
        with self._lock:
            self._entries[sha256] = replace(self.entry(sha256), pieces=pieces)
            self.save()

    def is_due(self, sha256: str, interval_s: float) -> bool:
        """Whether a file was not checked for so long, by a clock that may have jumped."""
        age = self._now() - self.entry(sha256).checked_at
        return age > interval_s or age < -_AHEAD_S

    def forget_but(self, files: Iterable[str]) -> None:
        """Forget all others."""
        stay = set(files)
        with self._lock:
            if set(self._entries) - stay:
                self._entries = {sha256: one for sha256, one in self._entries.items() if sha256 in stay}
                self.save()

    def save(self) -> None:
        """Write it; a disk that is full loses a note, nothing else."""
        with self._lock:
            said = {"held": self.held, "files": {sha256: asdict(one) for sha256, one in self._entries.items()}}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self._path, json.dumps(said).encode())
        except OSError as error:
            logger("appliance").warning("When files were used and checked could not be written down: %s", error)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def moment(seconds: float) -> datetime | None:
    """A time of an entry for people, aware UTC; None for never, or what is no time."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _load(path: Path) -> dict[str, Entry]:
    files = _read(path).get("files")
    found = {}
    for sha256, said in files.items() if isinstance(files, dict) else ():
        if isinstance(said, dict):
            found[str(sha256)] = _entry(said)
    return found


def _entry(said: dict[str, Any]) -> Entry:
    used, pieces = (_whole(said.get(key)) for key in ("used", "pieces"))
    used_at, checked_at = (_seconds(said.get(key)) for key in ("used_at", "checked_at"))
    return Entry(used, used_at, checked_at, pieces)


def _whole(said: object) -> int:
    return said if isinstance(said, int) and 0 <= said < 2**53 else 0


def _seconds(said: object) -> float:
    return float(said) if isinstance(said, int | float) and math.isfinite(said) and 0 <= said < 1e12 else 0.0


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}
