"""What heartbeats tell of a computer, in the words of the original's: load, disks, memory, processes.

Lists of one name belong together by place. Only processes of the agent's own user are told: the others are none of the
project's business. Linux; elsewhere what cannot be read is left out.

Source: proc(5); the names are those of answers caught from the original.
"""

import contextlib
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from client.copilot.fields import printable
from client.copilot.jdl import read_meminfo

#: Most entries of a list, and letters of one.
MAX_ENTRIES: Final = 100
MAX_LETTERS: Final = 80
Lists = Mapping[str, list[str]]


def system_load() -> Lists:
    """Load averages."""
    try:
        one, five, fifteen = os.getloadavg()
    except OSError:
        return {}
    return {"1min": [f"{one:.2f}"], "5min": [f"{five:.2f}"], "15min": [f"{fifteen:.2f}"]}


def disk_usage() -> Lists:
    """File systems on devices in MiB, as the original has them of df: the total with its unit, % of what can be had."""
    found: dict[str, list[str]] = {
        name: [] for name in ("path", "totalBlocks", "used", "available", "used%", "mountpoint")
    }
    for device, mountpoint in _mounts().items():
        with contextlib.suppress(OSError):
            status = os.statvfs(mountpoint)
            mib = status.f_frsize / 1024**2
            used, available = (status.f_blocks - status.f_bfree) * mib, status.f_bavail * mib
            percent = math.ceil(100 * used / (used + available)) if used + available else 0
            sizes = (f"{status.f_blocks * mib:.0f}M", f"{used:.0f}", f"{available:.0f}", f"{percent}%")
            row = (device, *sizes, mountpoint)
            for name, value in zip(found, row, strict=True):
                found[name].append(value)
    return found


def memory_usage() -> Lists:
    """Memory and swap in MiB."""
    kib = read_meminfo()
    rows = []
    for name, total, free in (("mem", "MemTotal", "MemFree"), ("swap", "SwapTotal", "SwapFree")):
        left = kib.get(free, 0)
        rows.append((name, (kib.get(total, 0) - left) // 1024, left // 1024))
    return {
        "memory": [name for name, _, _ in rows],
        "used": [str(used) for _, used, _ in rows],
        "available": [str(available) for _, _, available in rows],
    }


def running_processes() -> Lists:
    """Processes of the user that this one runs as, those with the most memory first; rss in KiB, CPU time as m:ss."""
    total_kib = read_meminfo().get("MemTotal", 0)
    rows = []
    for folder in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if folder.name.isdigit() and folder.stat().st_uid == os.getuid():
                rows.append(_process(folder, total_kib))
    rows.sort(key=lambda row: -row[1])
    rows = rows[:MAX_ENTRIES]
    return {
        "%cpu": [f"{row[4]:.1f}" for row in rows],
        "%mem": [f"{row[2]:.1f}" for row in rows],
        "rss": [str(row[1]) for row in rows],
        "time": [f"{int(row[3]) // 60}:{int(row[3]) % 60:02d}" for row in rows],
        "command": [row[0] for row in rows],
    }


#: what getStatus may ask for
COMPONENTS: Final[Mapping[str, Callable[[], Lists]]] = {
    "systemLoad": system_load,
    "diskUsage": disk_usage,
    "memoryUsage": memory_usage,
    "runningProcesses": running_processes,
}


def build_status(lists: Lists) -> str:
    """The flat text of an answer: `name=value::::value####`."""
    return "".join(f"{name}={'::::'.join(map(_plain, values[:MAX_ENTRIES]))}####" for name, values in lists.items())


def parse_status(text: str) -> dict[str, list[str]]:
    """The lists of an answer, of whoever wrote it; at most 100 names of 100 values."""
    pairs = [piece.partition("=") for piece in text.split("####")[:MAX_ENTRIES] if piece]
    return {
        printable(name): [printable(value)[:MAX_LETTERS] for value in said.split("::::")[:MAX_ENTRIES]]
        for name, _, said in pairs
    }


def _process(folder: Path, total_kib: int) -> tuple[str, int, float, float, float]:
    """Command, rss in KiB, % of memory, CPU seconds, % of one CPU over its life."""
    before, _, after = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
    fields = after.split()
    ticks = os.sysconf("SC_CLK_TCK")
    cpu_s = (int(fields[11]) + int(fields[12])) / ticks
    age_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]) - int(fields[19]) / ticks
    rss_kib = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024
    share = 100 * rss_kib / total_kib if total_kib else 0.0
    return before.partition("(")[2], rss_kib, share, cpu_s, 100 * cpu_s / age_s if age_s > 0 else 0.0


def _mounts() -> dict[str, str]:
    """Devices and where each is mounted first."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            device, mountpoint, *_ = line.split(" ")
            if device.startswith("/dev/"):
                found.setdefault(device, mountpoint)
    return found


def _plain(value: str) -> str:
    # Nothing can be escaped: the two separators must not be in a value, nor come about where it meets one.
    return re.sub(":{2,}", ":", printable(value)[:MAX_LETTERS].replace("#", "_")).strip(":")
