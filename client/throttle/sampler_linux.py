"""The counters of Linux, read where the kernel keeps them: a look at a few processes takes a tenth of a millisecond.

Source: proc(5), Linux 6.18: fs/proc/stat.c, fs/proc/array.c, kernel/time/posix-cpu-timers.c.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from client.throttle.counters import Counters, Look, Who

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
#: The clock that counts what all threads of a process have executed, to the nanosecond. Source: clock_getcpuclockid(3).
_SCHEDULED: Final = 2


class LinuxReader:
    """Reads the counters of our processes and of the whole computer."""

    def __init__(self) -> None:
        self._looked_at = time.clock_gettime(time.CLOCK_BOOTTIME)

    def look(self, own: int, vms: Mapping[str, Iterable[int]]) -> Look:
        """Look now. A process that goes away meanwhile is left out.

        Args:
            own: pid of this program; its children count with it.
            vms: vm_id -> pids; their children count with them.
        """
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        processes: dict[int, Counters] = {}
        vm_of: dict[int, str] = {}
        for vm_id, pids in vms.items():
            for one in self._tree(pids, processes):
                processes[one.who.pid] = one
                vm_of[one.who.pid] = vm_id
        for one in self._tree((own,), processes, reads_disk=False):
            processes[one.who.pid] = one
        at, busy_s, processors = _computer()
        self._looked_at = began
        return Look(at, busy_s, processors, processes, vm_of)

    def _tree(self, roots: Iterable[int], known: Mapping[int, object], reads_disk: bool = True) -> Iterator[Counters]:
        waiting, seen = list(roots), set(known)
        while waiting:
            pid = waiting.pop()
            if pid in seen:
                continue
            seen.add(pid)
            # It has ended between two readings.
            with contextlib.suppress(OSError, ValueError):
                yield self._counters(pid, reads_disk)
                waiting.extend(_children(pid))

    def _counters(self, pid: int, reads_disk: bool) -> Counters:
        stat = _read(f"/proc/{pid}/stat")
        # The name in parentheses may hold anything, so count from its end.
        fields = stat[stat.rindex(b")") + 2 :].split()
        started_s = int(fields[19]) * _TICK_S
        read_bytes, written_bytes = _disk(pid) if reads_disk else (0, 0)
        return Counters(
            who=Who(pid, started_s),
            parent=int(fields[1]),
            # User time has the guest's in it already (KVM); so has the clock.
            cpu_s=executed_s(pid, (int(fields[11]) + int(fields[12])) * _TICK_S),
            reaped_s=(int(fields[13]) + int(fields[14])) * _TICK_S,
            memory_bytes=int(fields[21]) * _PAGE_BYTES,
            read_bytes=read_bytes,
            written_bytes=written_bytes,
            fresh=started_s >= self._looked_at - _TICK_S,
        )


def executed_s(pid: int, otherwise: float = 0.0) -> float:
    """CPU seconds of a process with all threads, ended ones too; `otherwise` when there is none of that pid."""
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return otherwise


def _computer() -> tuple[float, float, int]:
    """When it was looked, CPU seconds that were not idle, and processors that are on.

    The kernel measures idle time, but only estimates the others from where a tick finds it: a process that runs 3 ms
    of each 10 ms, as under a quota, is missed or hit every time. So busy is what is not idle.
    """
    at = time.monotonic()
    lines = _read("/proc/stat").split(b"\n", 1)
    all_of_them = lines[0].split()
    rest = lines[1]
    processors = 0
    while rest.startswith(b"cpu"):
        processors += 1
        rest = rest.partition(b"\n")[2]
    # Waiting for a disk is idle as well; stolen by whoever runs this computer as a guest is nobody's here.
    idle_s = sum(int(all_of_them[column]) for column in (4, 5, 8)) * _TICK_S
    return at, at * processors - idle_s, processors


def _children(pid: int) -> Iterator[int]:
    # Told by thread, for each may have made some.
    with os.scandir(f"/proc/{pid}/task") as tasks:
        for task in tasks:
            with contextlib.suppress(OSError):
                yield from map(int, _read(f"{task.path}/children").split())


def _disk(pid: int) -> tuple[int, int]:
    try:
        said = dict(line.split(b": ") for line in _read(f"/proc/{pid}/io").splitlines())
    except (OSError, ValueError):
        return 0, 0
    return int(said.get(b"read_bytes", 0)), int(said.get(b"write_bytes", 0))


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 65536)
    finally:
        os.close(handle)
