"""Guests that are busy, a governor that holds them, and what the kernel says that they got."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.hypervisor.qemu.driver import QemuDriver
from client.throttle.governor import Governor
from client.throttle.guard import Guard
from client.throttle.means import DutyMeans, Means
from client.throttle.means_cgroup import CgroupMeans
from tests.integration.hypervisor.guests import Line, appliance_spec, build_context, tcg_driver

SETTLE_S, WINDOW_S, WINDOWS = 1.5, 2.0, 10
#: endless, in a process of its own in the guest
BURN = "os.fork() or exec('while True: pass')"


def means_by(name: str) -> Means | None:
    """That means, or None where this computer does not offer it."""
    means: Means = CgroupMeans() if name == "control group" else DutyMeans(has_signals=True)
    return means if asyncio.run(means.is_offered()) else None


@dataclass
class BusyVm:
    """A guest whose processors all execute. clock: its own, in seconds since its start."""

    vm_id: str
    pids: tuple[int, ...]
    line: Line

    async def lead_s(self) -> float:
        """How far its clock is ahead of the host's, from an arbitrary start; of five questions the quickest."""
        answers = []
        for _ in range(5):
            asked = time.monotonic()
            said = float(await self.line.value("time.monotonic()"))
            answered = time.monotonic()
            answers.append((answered - asked, said - (asked + answered) / 2))
        return min(answers)[1]


@contextlib.asynccontextmanager
async def busy_vms(folder: Path, count: int = 1, cpus: int = 1) -> AsyncIterator[tuple[QemuDriver, list[BusyVm]]]:
    """So many guests under QEMU's TCG, each with so many processors that never rest."""
    driver = tcg_driver(folder / "vms")
    vms = []
    try:
        for number in range(count):
            vm_id = f"busy-{number + 1}"
            await driver.define(appliance_spec(vm_id, build_context(folder / f"{vm_id}.iso"), cpus=cpus))
            await driver.start(vm_id)
            line = await Line.open(driver, vm_id)
            await line.value("1")
            for _ in range(cpus):
                await line.value(BURN)
            vms.append(BusyVm(vm_id, (await driver.info(vm_id)).pids, line))
        yield driver, vms
    finally:
        for info in await driver.list_vms():
            await driver.destroy(info.vm_id)
        for vm in vms:
            await vm.line.close()
        await driver.close()


class Steered:
    """A governor that is called once a second while the block lasts; `target` may change meanwhile."""

    def __init__(self, folder: Path, means: Sequence[Means], vms: Sequence[BusyVm], cpus: int) -> None:
        self.governor = Governor(Guard(folder / "guard.json"), means)
        self.target = 100.0 * cpus
        self._pids: Mapping[str, tuple[int, ...]] = {vm.vm_id: vm.pids for vm in vms}
        self._cpus = cpus
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Steered":
        await self.governor.steer(self.target, self._pids, self._cpus)
        self._task = asyncio.create_task(self._steer())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.governor.close()

    async def aim(self, target: float) -> None:
        """Have another target at once, as a decision of the policy has it."""
        self.target = target
        await self.governor.steer(target, self._pids, self._cpus)

    async def _steer(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self.governor.steer(self.target, self._pids, self._cpus)


async def windows(vms: Sequence[BusyVm]) -> list[list[float]]:
    """What each VM used in each window, in percent of one processor: of each window a list in the VMs' order."""
    looks = []
    for _ in range(WINDOWS + 1):
        looks.append((time.monotonic(), [executed_s(vm.pids) for vm in vms]))
        await asyncio.sleep(WINDOW_S - (time.monotonic() - looks[0][0]) % WINDOW_S)
    return [
        [100 * (later - earlier) / (after[0] - before[0]) for earlier, later in zip(before[1], after[1], strict=True)]
        for before, after in itertools.pairwise(looks)
    ]


def executed_s(pids: Sequence[int]) -> float:
    """CPU seconds of processes so far, to the nanosecond. Source: clock_getcpuclockid(3)."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def wake_ups(pid: int) -> int:
    """How often a process has begun to execute again after it had waited by itself; all its threads."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )
