"""What was seen to work on this computer, and what was not: remembered for a while, so that proof is not sought anew.

A verdict is on a subject by name: an accelerator (`kvm`) or a whole driver (`virtualbox`). It holds for the host it was
seen on; another version of the hypervisor or of the system deserves a new trial, and so does whoever asks for one.
"""

import contextlib
import json
import platform
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.paths import write_atomic

VERDICT_HOLDS: Final = timedelta(days=7)
#: What may be over soon is tried again after this.
PASSING_HOLDS: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Verdict:
    """What was seen of a subject on this computer.

    Attributes:
        works: a guest lived under it.
        seen_at: aware UTC, ISO 8601.
        host: what it was seen on, see `host_identity`.
        cause: why it does not work, as an error code of `client.messages`; empty when it works or nobody knows.
        is_passing: believed for `PASSING_HOLDS` only.
    """

    works: bool
    seen_at: str
    host: str
    cause: str = ""
    is_passing: bool = False


def host_identity(program: str, version: str) -> str:
    """What a verdict depends on: the hypervisor's program and version, and this computer's system."""
    return f"{program} {version}, {platform.system()} {platform.release()} {platform.machine()}"


class Verdicts:
    """The remembered verdicts, in one small file.

    Args:
        path: the file; it need not exist.
        holds: how long a verdict is believed.
    """

    def __init__(self, path: Path, clock: Clock, holds: timedelta = VERDICT_HOLDS) -> None:
        self._path = path
        self._clock = clock
        self._holds = holds

    def verdict(self, subject: str, host: str) -> Verdict | None:
        """What was seen; None: nothing, on another host, or too long ago."""
        seen = self._read().get(subject)
        return None if seen is None or seen.host != host or self._is_old(seen) else seen

    def works(self, subject: str, host: str) -> bool | None:
        """Whether it works here; None: not known."""
        seen = self.verdict(subject, host)
        return None if seen is None else seen.works

    def remember(self, subject: str, host: str, *, works: bool, cause: str = "", is_passing: bool = False) -> None:
        """Write a verdict down. One that cannot be written costs a new trial later, and nothing else."""
        known = self._read()
        known[subject] = Verdict(works, self._clock.now().isoformat(), host, "" if works else cause, is_passing)
        self._write(known)

    def forget(self, *subjects: str) -> None:
        """Test again: forget what was seen of these subjects, of all of them if none is named."""
        known = self._read()
        left = {name: one for name, one in known.items() if subjects and name not in subjects}
        if left != known:
            self._write(left)

    def _is_old(self, seen: Verdict) -> bool:
        age = self._clock.now() - datetime.fromisoformat(seen.seen_at)
        # A verdict from the future means that the clock was wrong: not to be trusted either.
        holds = min(self._holds, PASSING_HOLDS) if seen.is_passing else self._holds
        return not timedelta(0) <= age < holds

    def _write(self, verdicts: dict[str, Verdict]) -> None:
        text = json.dumps({name: asdict(one) for name, one in verdicts.items()}, indent=1)
        with contextlib.suppress(OSError):
            write_atomic(self._path, text.encode())

    def _read(self) -> dict[str, Verdict]:
        try:
            plain = json.loads(self._path.read_text(encoding="utf-8"))
            known = {str(name): Verdict(**one) for name, one in plain.items()}
            for verdict in known.values():
                datetime.fromisoformat(verdict.seen_at)
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        return known
