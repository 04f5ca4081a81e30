"""How much memory a job has, and whether the kernel took it away: what tells `memory-limit` from any other end.

A process of a job cannot have more address space than the limit (`client.copilot.sandbox`); this is about all of its
processes together, and about a computer that has less than was promised.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from client.copilot.child import processes_of

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_KILLS: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_SIGKILL: Final = 9
#: A shell says so of a command that was killed by SIGKILL.
_KILLED_EXIT: Final = (128 + _SIGKILL) << 8


def job_processes(session: int, uid: int | None) -> list[Path]:
    """Folders in /proc of a job's processes: those of its user where it has one of its own, else of its session."""
    if uid is not None:
        return [Path(f"/proc/{pid}") for pid in processes_of(uid)]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                words = (entry / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()
                if int(words[3]) == session and words[0] not in {"Z", "X"}:
                    found.append(entry)
    return found


def exceeds(processes: list[Path], limit_bytes: int) -> bool:
    """Whether the processes together have more than the limit.

    Shared memory counts once. To find that out costs the kernel a walk over all pages, so it is done only where a
    quick sum, too high by what they share, is beyond the limit.
    """
    return sum(map(_resident_bytes, processes)) > limit_bytes and sum(map(_own_bytes, processes)) > limit_bytes


def kernel_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started."""
    try:
        found = _KILLS.search(Path("/proc/vmstat").read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) if found else 0


def is_kill(status: int) -> bool:
    """Whether a raw wait status says that SIGKILL ended the process, or what its shell waited for."""
    return status & 0x7F == _SIGKILL or status == _KILLED_EXIT


def _resident_bytes(process: Path) -> int:
    try:
        return int((process / "statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _own_bytes(process: Path) -> int:
    try:
        found = _PSS.search((process / "smaps_rollup").read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
