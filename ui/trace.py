"""What the small charts draw: CPU and memory of the last minutes, gathered from snapshots. Pure, no toolkit."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from client.snapshot import ClientSnapshot, VmKind, VmState, VmView

#: Points kept per chart and the least time between two.
POINTS = 120
STEP = timedelta(seconds=1)


@dataclass(frozen=True)
class Sample:
    """One moment of the first VM: percent of one core, MiB on the host."""

    at: datetime
    cpu_percent: float
    memory_mib: float


class Trace:
    """The last `POINTS` samples; a new VM or a clock that went back starts it anew."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=POINTS)
        self._vm_id = ""

    def add(self, snapshot: ClientSnapshot) -> None:
        """Take the snapshot's figures; a second sample within `STEP` is dropped."""
        vms = (vm for vm in snapshot.vms if vm.kind is VmKind.PROJECT)
        vm = next((vm for vm in vms if vm.cpu_percent is not None or vm.memory_mib is not None), None)
        if vm is None:
            return
        if vm.vm_id != self._vm_id or (self._samples and snapshot.taken_at < self._samples[-1].at):
            self._samples.clear()
            self._vm_id = vm.vm_id
        if not self._samples or snapshot.taken_at - self._samples[-1].at >= STEP:
            self._samples.append(_sample(snapshot.taken_at, vm))

    @property
    def cpu_percent(self) -> tuple[float, ...]:
        """Oldest first, percent of one core."""
        return tuple(sample.cpu_percent for sample in self._samples)

    @property
    def memory_mib(self) -> tuple[float, ...]:
        """Oldest first, MiB."""
        return tuple(sample.memory_mib for sample in self._samples)


def cpu_percent(vm: VmView) -> float | None:
    """Percent of one core now. A held guest takes none, though the measured mean of the last seconds says otherwise."""
    return 0.0 if vm.state in (VmState.PAUSED, VmState.SAVED) else vm.cpu_percent


def _sample(at: datetime, vm: VmView) -> Sample:
    return Sample(at, cpu_percent(vm) or 0.0, vm.memory_mib or 0.0)
