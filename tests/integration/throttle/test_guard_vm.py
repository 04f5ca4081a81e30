"""The guard and a real virtual machine: QEMU with nothing to boot from, which is all that its process needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from client import process
from client.cpu_cap import CpuCap
from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.snapshot import VmState
from client.throttle.governor import Governor
from client.throttle.guard import Guard, Order
from client.throttle.means import DutyMeans
from client.throttle.means_cap import CapMeans
from tests.integration.hypervisor.guests import tcg_driver, wait_state
from tests.integration.throttle.test_guard_real import client_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="needs signals"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]


async def test_a_vm_outlives_its_client_by_its_grace_only(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    driver = tcg_driver(tmp_path / "vms")
    spec = VmSpec("bare", "Bare", cpus=1, memory_mib=32, media=(Medium(MediumRole.SCRATCH, template),))
    await driver.define(spec)
    client: subprocess.Popen[bytes] | None = None
    try:
        await driver.start("bare")
        (pid,) = (await driver.info("bare")).pids
        who = process.identity(pid)
        assert who is not None
        # Under a duty cycle its monitor answers as before, if later.
        guard = Guard(tmp_path / "first.json")
        await guard.obey(Order({"bare": (who,)}, 5.0))
        await driver.pause("bare")
        await driver.resume("bare")
        await guard.close()
        client, left = client_of(tmp_path / "guard.json", 1.0, who)
        client.kill()
        client.wait()
        assert await process.wait_gone(left, 20)
        assert not process.alive(who.pid, who.started_at)
        assert await wait_state(driver, "bare", VmState.DEFINED, VmState.FAILED) is VmState.DEFINED
    finally:
        if client is not None:
            client.kill()
            client.wait()
        await driver.destroy("bare")
        await driver.close()


async def test_a_hypervisor_without_a_cap_is_left_for_the_next_means_at_once(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    driver, cap = tcg_driver(tmp_path / "vms"), CpuCap()
    await driver.define(VmSpec("bare", "Bare", cpus=1, memory_mib=32, media=(Medium(MediumRole.SCRATCH, template),)))
    governor = Governor(Guard(tmp_path / "guard.json"), [CapMeans(cap.set), DutyMeans(has_signals=True)])
    try:
        await driver.start("bare")
        pids = {"bare": (await driver.info("bare")).pids}
        cap.use(driver.live, {"bare": 1})
        await governor.steer(20.0, pids, 1)
        assert governor.steering.means == "duty cycle"
    finally:
        await cap.close()
        await governor.close()
        await driver.destroy("bare")
        await driver.close()
