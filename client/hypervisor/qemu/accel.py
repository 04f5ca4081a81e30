"""Which accelerator a VM gets: by proof, not by presence.

A device file says little: on some computers `/dev/kvm` opens and every guest hangs in it. So a guest under a hardware
accelerator must show a sign of life in time; if it does not, the accelerator is put aside for a week on this computer.
"""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.hypervisor.qemu.cmdline import TCG
from client.hypervisor.qemu.folder import write_whole

LIFE_LIMIT_S: Final = 20.0
VERDICT_HOLDS: Final = timedelta(days=7)
#: For choosing among drivers: a guest under TCG computes about 17 times slower than on the processor itself.
SPEED: Final = {"kvm": 100, "hvf": 100, "whpx": 80, TCG: 6}
_KVM: Final = "/dev/kvm"


@dataclass(frozen=True)
class Verdict:
    """What was seen of an accelerator on this computer.

    Attributes:
        works: a guest lived under it.
        seen_at: aware UTC, ISO 8601.
        host: what it was seen on, see `host_identity`.
    """

    works: bool
    seen_at: str
    host: str


def present(system: str = sys.platform) -> tuple[str, ...]:
    """Accelerators that this computer seems to have, fastest first; TCG is always the last."""
    if system == "linux":
        return ("kvm", TCG) if _opens(_KVM) else (TCG,)
    hardware = {"darwin": "hvf", "win32": "whpx"}.get(system)
    return (hardware, TCG) if hardware else (TCG,)


def host_identity(qemu_version: str) -> str:
    """What a verdict depends on: another QEMU or another kernel deserves a new trial."""
    return f"qemu {qemu_version}, {platform.system()} {platform.release()} {platform.machine()}"


class Verdicts:
    """The remembered verdicts, in one small file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def usable(self, accelerators: tuple[str, ...], host: str) -> tuple[str, ...]:
        """Those that have not failed here lately, in the given order."""
        return tuple(one for one in accelerators if one == TCG or self.works(one, host) is not False)

    def works(self, accelerator: str, host: str) -> bool | None:
        """What was seen; None: nothing, on another host, or too long ago."""
        verdict = self._read().get(accelerator)
        if verdict is None or verdict.host != host or self._is_old(verdict):
            return None
        return verdict.works

    def remember(self, accelerator: str, host: str, works: bool) -> None:
        """Write a verdict down."""
        known = self._read()
        known[accelerator] = Verdict(works, self._clock.now().isoformat(), host)
        write_whole(self._path, json.dumps({name: asdict(one) for name, one in known.items()}, indent=1))

    def _is_old(self, verdict: Verdict) -> bool:
        age = self._clock.now() - datetime.fromisoformat(verdict.seen_at)
        # A verdict from the future means that the clock was wrong: not to be trusted either.
        return not timedelta(0) <= age < VERDICT_HOLDS

    def _read(self) -> dict[str, Verdict]:
        try:
            plain = json.loads(self._path.read_text(encoding="utf-8"))
            known = {str(name): Verdict(**one) for name, one in plain.items()}
            for verdict in known.values():
                datetime.fromisoformat(verdict.seen_at)
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        return known


class LifeWatch:
    """How long a guest has run without a sign of life; time in which it does not run does not count."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._silent_s = 0.0

    def tick(self, elapsed_s: float, *, runs: bool) -> bool:
        """Count time; True once the guest has been silent for too long."""
        if runs:
            self._silent_s += elapsed_s
        return self._silent_s >= self._limit_s


def _opens(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | getattr(os, "O_CLOEXEC", 0)))
    except OSError:
        return False
    return True
