"""How long a process could have executed and got no processor, where the system tells."""

from pathlib import Path


def starved_s(pid: int, proc: Path = Path("/proc")) -> float:
    """Seconds that the thread of it that waited longest has waited for a processor; 0 where that is not told.

    Source: Linux, Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat": the second figure, nanoseconds.
    """
    waits = []
    for place in (proc / str(pid) / "task").glob("*/schedstat"):
        try:
            waits.append(int(place.read_text(encoding="ascii").split()[1]))
        except (OSError, ValueError, IndexError):
            continue
    return max(waits, default=0) / 1e9
