"""How well busy guests are held to a target, by each means, and what holding them costs."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from client.throttle.governor import Governor
from client.throttle.guard import Guard
from client.throttle.means import Means
from tests.bench.harness import Row, at_most, bench, plain
from tests.bench.throttled import SETTLE_S, Steered, busy_vms, executed_s, means_by, wake_ups, windows
from tests.helpers.busy import busy

TARGETS = (10, 25, 50, 75, 90)
SHARED = (50, 90)
COST_S = 20.0
PAUSES = 20
#: by the kernel, and by signals: the one where there are no groups for us
GROUP, DUTY = "control group", "duty cycle"


@bench("throttle one VM by control group")
def one_by_group() -> Iterator[Row]:
    yield from _held(GROUP, 1, TARGETS)


@bench("throttle one VM by duty cycle")
def one_by_duty() -> Iterator[Row]:
    yield from _held(DUTY, 1, TARGETS)


@bench("throttle two VMs by control group")
def two_by_group() -> Iterator[Row]:
    yield from _held(GROUP, 2, SHARED)


@bench("throttle two VMs by duty cycle")
def two_by_duty() -> Iterator[Row]:
    yield from _held(DUTY, 2, SHARED)


@bench("throttle cost")
def cost() -> Iterator[Row]:
    for name, target in (("no limit", 100.0 * (os.cpu_count() or 1)), (GROUP, 50.0), (DUTY, 50.0)):
        means = means_by(GROUP if target > 50 else name)
        if means is None:
            continue
        with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
            core, waking = asyncio.run(_cost(Path(folder), means, target))
        limit = ("% of core", 0.2), ("/s", 2.0)
        for what, values, (unit, most) in zip(("CPU", "wake-ups"), (core, waking), limit, strict=True):
            # A duty cycle has to wake up for each stop.
            row = plain(f"throttle cost, {name}: {what}", values, unit)
            yield row if name == DUTY else at_most(row.name, values, unit, most)


@bench("throttle verbs on a busy computer")
def verbs() -> Iterator[Row]:
    for name in (GROUP, DUTY):
        means = means_by(name)
        if means is None:
            continue
        with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
            took_s = asyncio.run(_pauses(Path(folder), means))
        worst = statistics.quantiles(took_s, n=20)[18]
        label = f"throttle verbs on a busy computer, {name}: pause"
        yield at_most(label, took_s, "s", 0.5, peer="95th percentile", peer_value=worst)


#: of one target: what each VM used in each window
Windows = list[list[float]]


def _held(name: str, count: int, targets: tuple[int, ...]) -> Iterator[Row]:
    means = means_by(name)
    if means is None:
        return
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        seen, drift_s = asyncio.run(_hold(Path(folder), means, count, targets))
    vms = "one VM" if count == 1 else f"{count} VMs"
    for target, each in seen.items():
        sums = [sum(one) for one in each]
        away = [abs(one - target) for one in sums]
        mean = statistics.mean(sums)
        label = f"throttle {vms} at {target} % by {name}"
        yield at_most(f"{label}: off over 20 s", [abs(mean - target)], "points", 2, peer="achieved", peer_value=mean)
        yield at_most(f"{label}: off over 2 s", [max(away)], "points", 10)
        if count > 1:
            shares = [statistics.mean(column) for column in zip(*each, strict=True)]
            yield at_most(f"{label}: unfair by", [max(shares) - min(shares)], "points", 5)
    lasted_s = len(targets) * 20
    yield at_most(f"throttle {vms} by {name}: guest clock off in {lasted_s} s", [abs(drift_s)], "s", 0.1)


async def _hold(folder: Path, means: Means, count: int, targets: tuple[int, ...]) -> tuple[dict[int, Windows], float]:
    seen = {}
    async with busy_vms(folder, count) as (_, vms):
        before_s = await vms[0].lead_s()
        async with Steered(folder, [means], vms, os.cpu_count() or 1) as steered:
            for target in targets:
                await steered.aim(float(target))
                await asyncio.sleep(SETTLE_S)
                seen[target] = await windows(vms)
            assert steered.governor.steering.means == means.name
        after_s = await vms[0].lead_s()
    return seen, after_s - before_s


async def _cost(folder: Path, means: Means, target: float) -> tuple[list[float], list[float]]:
    """Of this process, which does nothing but steer once a second, and of the guard, together."""
    core, waking = [], []
    async with busy_vms(folder) as (_, vms):
        governor = Governor(Guard(folder / "guard.json"), [means])
        pids = {vm.vm_id: vm.pids for vm in vms}
        try:
            await governor.steer(target, pids, os.cpu_count() or 1)
            ours = [os.getpid(), governor.guard_pid]
            for _ in range(4):
                began, used = time.monotonic(), executed_s(ours)
                woke = sum(map(wake_ups, ours))
                for _ in range(round(COST_S / 4)):
                    await asyncio.sleep(1)
                    await governor.steer(target, pids, os.cpu_count() or 1)
                passed_s = time.monotonic() - began
                core.append(100 * (executed_s(ours) - used) / passed_s)
                waking.append((sum(map(wake_ups, ours)) - woke) / passed_s)
        finally:
            await governor.close()
    return core, waking


async def _pauses(folder: Path, means: Means) -> list[float]:
    """Seconds that the hypervisor takes for a pause, while others want twice as many processors as there are."""
    took_s = []
    async with busy_vms(folder) as (driver, (vm,)):
        governor = Governor(Guard(folder / "guard.json"), [means])
        pids = {vm.vm_id: vm.pids}
        try:
            with busy(2 * (os.cpu_count() or 1)):
                for _ in range(PAUSES):
                    await governor.steer(20.0, pids, os.cpu_count() or 1)
                    await asyncio.sleep(0.5)
                    began = time.monotonic()
                    async with governor.unhindered(vm.vm_id):
                        await driver.pause(vm.vm_id)
                        took_s.append(time.monotonic() - began)
                        await driver.resume(vm.vm_id)
        finally:
            await governor.close()
    return took_s
