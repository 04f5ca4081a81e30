"""The governor on real processes, by each means that this computer has."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from client import process
from client.process import Identity
from client.throttle.cgroup import PREFIX, Tree
from client.throttle.governor import Governor, system_means
from client.throttle.guard import Guard
from client.throttle.means import Budget, DutyMeans, Means
from client.throttle.means_cgroup import CgroupMeans
from client.throttle.priority import LowPriority
from tests.helpers.busy import busy, never_stopped, percent_of
from tests.helpers.program import TOP
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="groups and /proc")]

CPU = Path("/sys/fs/cgroup/cpu")
needs_groups = pytest.mark.skipif(not os.access(CPU / "cgroup.procs", os.W_OK), reason="no control group to write to")
#: A client that limits what it is told to, says when that is done, and does nothing more until it is killed.
CLIENT = """
import asyncio, sys
from pathlib import Path
from client.throttle.governor import Governor
from client.throttle.guard import Guard

async def main(owner, pid):
    governor = Governor(Guard(Path(owner)))
    await governor.steer(5.0, {"vm": (int(pid),)}, 2)
    print(governor.steering.means, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main(*sys.argv[1:]))
"""


class OrdinaryPriority:
    """Leaves the processes as they are, so that others who are busy here do not matter to what is reached."""

    async def apply(self, vms: Mapping[str, Iterable[Identity]], cpus: int, *, by_session: bool) -> None:
        pass

    def lift(self, processes: Iterable[Identity]) -> None:
        pass


@pytest.fixture
def vms() -> Iterator[tuple[Identity, ...]]:
    with busy(2) as processes:
        yield processes


@pytest.mark.parametrize("means", [pytest.param(CgroupMeans(), marks=needs_groups), DutyMeans(has_signals=True)])
async def test_a_target_is_kept_and_shared(means: Means, vms: tuple[Identity, ...], tmp_path: Path) -> None:
    governor = Governor(Guard(tmp_path / "guard.json"), [means], priority=OrdinaryPriority())
    pids = {"a": (vms[0].pid,), "b": (vms[1].pid,)}
    try:
        for _ in range(3):
            await governor.steer(30.0, pids, 2)
            await asyncio.sleep(0.5)
        one, other = await asyncio.gather(percent_of(3, vms[0]), percent_of(3, vms[1]))
        await governor.steer(200.0, pids, 2)
        assert governor.steering.target_percent is None
    finally:
        await governor.close()
    # Whoever else is busy here may leave them less, never more.
    assert one + other <= 33
    assert abs(one - other) <= 10
    assert await never_stopped(0.2, *vms)
    assert list(CPU.glob(f"{PREFIX}{os.getpid()}")) == []


@needs_groups
async def test_a_group_that_cannot_limit_is_left_for_the_duty_cycle(vms: tuple[Identity, ...], tmp_path: Path) -> None:
    blind = tmp_path / "tree"
    blind.mkdir()
    for name in ("cgroup.procs", "cpu.cfs_quota_us", "cpu.cfs_period_us"):
        (blind / name).touch()
    means = [BlindMeans(Tree(blind, 1)), DutyMeans(has_signals=True)]
    governor = Governor(Guard(tmp_path / "guard.json"), means, priority=OrdinaryPriority())
    try:
        for _ in range(20):
            await governor.steer(10.0, {"vm": (vms[0].pid,)}, 2)
            if governor.steering.means == "duty cycle":
                break
            await asyncio.sleep(0.5)
        await asyncio.sleep(1)
        used = await percent_of(2, vms[0])
    finally:
        await governor.close()
    assert used <= 13


class BlindMeans(CgroupMeans):
    """Takes everything and does nothing, as a hypervisor's cap does that is stored only."""

    async def keep(self, budget: Budget) -> "object":  # type: ignore[override]
        return await DutyMeans(has_signals=True).keep(Budget(None, budget.vms))


def threads(who: Identity) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{who.pid}/task").iterdir()]


async def test_every_thread_waits_for_all_others_those_made_later_too() -> None:
    program = """
import threading, time
def later():
    time.sleep(0.5)
    threading.Thread(target=time.sleep, args=(100,)).start()
    time.sleep(100)
for _ in range(2): threading.Thread(target=time.sleep, args=(100,)).start()
threading.Thread(target=later).start()
time.sleep(100)
"""
    with busy(1, program) as (who,):
        wait_for("its threads", lambda: len(threads(who)) == 4, 5, 0.01)
        priority = LowPriority()
        await priority.apply({"vm": (who,)}, 1, by_session=True)
        await priority.apply({"vm": (who,)}, 1, by_session=True)
        wait_for("the later thread", lambda: len(threads(who)) == 5, 5, 0.01)
        for thread in threads(who):
            assert len(os.sched_getaffinity(thread)) == 1
            # The first one answers who commands a VM.
            if thread != who.pid:
                assert os.sched_getscheduler(thread) == os.SCHED_IDLE
                assert os.getpriority(os.PRIO_PROCESS, thread) == 19
        assert os.sched_getscheduler(who.pid) == os.SCHED_OTHER
        autogroup = Path(f"/proc/{who.pid}/autogroup")
        assert not autogroup.exists() or "nice 19" in autogroup.read_text()
        await priority.apply({"vm": (who,)}, os.cpu_count() or 1, by_session=True)
        assert os.sched_getaffinity(who.pid) == os.sched_getaffinity(0)
        priority.lift((who,))
        assert not autogroup.exists() or "nice 0" in autogroup.read_text()


@needs_groups
async def test_a_client_that_is_killed_leaves_no_limit(vms: tuple[Identity, ...], tmp_path: Path) -> None:
    owner = tmp_path / "guard.json"
    command = [sys.executable, "-c", CLIENT, str(owner), str(vms[0].pid)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TOP)
    assert child.stdout is not None
    assert child.stdout.readline() == b"control group\n"
    child.stdout.close()
    group = CPU / f"{PREFIX}{child.pid}"
    assert (group / "cpu.cfs_quota_us").read_text() == "1000\n"
    assert (group / "vm-vm" / "cgroup.procs").read_text().split() == [f"{vms[0].pid}"]
    child.kill()
    child.wait()
    wait_for("the lift", lambda: (group / "cpu.cfs_quota_us").read_text() == "-1\n", 5, 0.02)
    # The next client takes its VM over, and sweeps what is left.
    governor = Governor(Guard(owner), system_means())
    try:
        await governor.steer(50.0, {"vm": (vms[0].pid,)}, 2)
        await governor.steer(50.0, {}, 2)
        assert await CgroupMeans().is_offered()
        assert not group.exists()
    finally:
        await governor.close()
    assert process.alive(vms[0].pid, vms[0].started_at)
    assert list(CPU.glob(f"{PREFIX}{os.getpid()}")) == []


@needs_groups
async def test_a_guard_that_is_done_leaves_no_group(vms: tuple[Identity, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLIENT, str(tmp_path / "guard.json"), str(vms[0].pid)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TOP)
    assert child.stdout is not None
    assert child.stdout.readline() == b"control group\n"
    child.stdout.close()
    group = CPU / f"{PREFIX}{child.pid}"
    assert (group / "vm-vm").is_dir()
    child.kill()
    child.wait()
    os.kill(vms[0].pid, signal.SIGKILL)
    wait_for("the end of the group", lambda: not group.exists(), 10, 0.05)
