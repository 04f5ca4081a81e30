"""What our VMs use, and what everybody else uses: the computer's counters, with ours subtracted exactly."""

import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import psutil

from client.throttle.counters import Counters, Look, Who, percent_of_all, spent_between
from client.throttle.sampler_linux import LinuxReader

#: Looks that follow each other faster tell nothing new: counters advance in steps of some milliseconds.
SHORTEST_S: Final = 0.2
#: Of times since 1970 as psutil tells them.
_SLACK_S: Final = 0.02


class Reader(Protocol):
    """Where the counters come from."""

    def look(self, own: int, vms: Mapping[str, Iterable[int]]) -> Look:
        """Look now, at our process `own`, the VMs' (vm_id -> pids) and the children of all of them."""


@dataclass(frozen=True)
class VmUse:
    """What a VM's processes use.

    Attributes:
        cpu_s: since the sampler first saw the VM; never goes down.
        cpu_percent: of one processor, over the time since the look before; None at the first.
        memory_bytes: resident now.
        read_bytes, written_bytes: at the disk, since the processes that are there now began.
    """

    cpu_s: float = 0.0
    cpu_percent: float | None = None
    memory_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True)
class Measured:
    """One look, compared with the one before.

    Attributes:
        at: monotonic seconds.
        busy_percent: of all processors together, 0..100, whoever uses them; None at the first look.
        others_percent: the same without our VMs, this process and its children.
        own_percent: this process and its children alone, without the VMs.
        vms: vm_id -> use, of those that were asked for.
    """

    at: float = 0.0
    busy_percent: float | None = None
    others_percent: float | None = None
    own_percent: float | None = None
    vms: Mapping[str, VmUse] = field(default_factory=dict)


class Sampler:
    """Compares each look with the one before. Nothing runs between two calls of `measure`."""

    def __init__(self, reader: Reader | None = None, own: int | None = None) -> None:
        self._reader = reader or system_reader()
        self._own = own or os.getpid()
        self._before: Look | None = None
        self._last = Measured()
        self._cpu_s: dict[str, float] = {}

    def measure(self, vms: Mapping[str, Iterable[int]]) -> Measured:
        """Look now; the last answer again if that was less than SHORTEST_S ago.

        Args:
            vms: vm_id -> pids of its processes.
        """
        now = self._reader.look(self._own, vms)
        before = self._before
        if before is not None and now.at - before.at < SHORTEST_S and vms.keys() == self._last.vms.keys():
            return self._last
        self._before = now
        spent = {} if before is None else spent_between(before, now)
        self._cpu_s = {vm_id: self._cpu_s.get(vm_id, 0.0) for vm_id in vms}
        for pid, vm_id in now.vm_of.items():
            self._cpu_s[vm_id] += spent.get(pid, 0.0)
        of_vm = {vm_id: sum(spent.get(pid, 0.0) for pid in _pids(now, vm_id)) for vm_id in vms}
        uses = {vm_id: self._use(vm_id, now, before, of_vm[vm_id]) for vm_id in vms}
        if before is None:
            self._last = Measured(now.at, vms=uses)
        else:
            ours_s = sum(spent.values())
            busy_s = now.busy_s - before.busy_s
            self._last = Measured(
                now.at,
                percent_of_all(busy_s, before, now),
                percent_of_all(busy_s - ours_s, before, now),
                percent_of_all(ours_s - sum(of_vm.values()), before, now),
                uses,
            )
        return self._last

    def _use(self, vm_id: str, now: Look, before: Look | None, spent_s: float) -> VmUse:
        pids = _pids(now, vm_id)
        processes = [now.processes[pid] for pid in pids]
        known = before is not None and any(before.vm_of.get(pid) == vm_id for pid in pids)
        assert before is not None or not known
        return VmUse(
            self._cpu_s[vm_id],
            100.0 * spent_s / (now.at - before.at) if before is not None and known else None,
            sum(one.memory_bytes for one in processes),
            sum(one.read_bytes for one in processes),
            sum(one.written_bytes for one in processes),
        )


class PsutilReader:
    """Reads the counters where psutil has to translate them: on Windows and macOS. Not run on these yet."""

    def __init__(self) -> None:
        self._looked_at = time.time()

    def look(self, own: int, vms: Mapping[str, Iterable[int]]) -> Look:
        """Look now; see `Reader`."""
        began = time.time()
        processes: dict[int, Counters] = {}
        vm_of: dict[int, str] = {}
        for vm_id, pids in vms.items():
            for one in self._trees(pids):
                if processes.setdefault(one.who.pid, one) is one:
                    vm_of[one.who.pid] = vm_id
        for one in self._trees((own,)):
            processes.setdefault(one.who.pid, one)
        at, times = time.monotonic(), psutil.cpu_times()
        processors = psutil.cpu_count() or 1
        self._looked_at = began
        return Look(at, at * processors - times.idle - getattr(times, "iowait", 0.0), processors, processes, vm_of)

    def _trees(self, roots: Iterable[int]) -> Iterable[Counters]:
        for pid in roots:
            try:
                root = psutil.Process(pid)
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue
            for one in family:
                try:
                    yield self._counters(one)
                except psutil.Error:
                    continue

    def _counters(self, process: psutil.Process) -> Counters:
        with process.oneshot():
            times = process.cpu_times()
            started = process.create_time()
            # macOS does not tell it of processes.
            disk = process.io_counters() if hasattr(process, "io_counters") else None
            return Counters(
                Who(process.pid, started),
                process.ppid(),
                times.user + times.system,
                getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0),
                process.memory_info().rss,
                disk.read_bytes if disk else 0,
                disk.write_bytes if disk else 0,
                started >= self._looked_at - _SLACK_S,
            )


def system_reader() -> Reader:
    """The one for this system."""
    return LinuxReader() if sys.platform == "linux" else PsutilReader()


def _pids(look: Look, vm_id: str) -> list[int]:
    return [pid for pid, whose in look.vm_of.items() if whose == vm_id]
