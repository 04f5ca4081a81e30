"""Snapshots and the cable under QEMU: full disks, kills, other machines."""

import errno
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import DiskFull
from client.hypervisor.points import Points
from client.hypervisor.qemu import snapshots as module
from client.hypervisor.qemu.driver import QemuDriver
from client.hypervisor.qemu.folder import SAVING, STARTING, VmFolder
from client.hypervisor.qemu.launch import Launcher
from client.hypervisor.qemu.machine import Machine
from client.snapshot import VmState
from tests.integration.hypervisor.conftest import bare_spec, need_appliance, need_qemu, qemu_driver
from tests.integration.hypervisor.guests import Line, appliance_spec, build_context, wait_state

pytestmark = pytest.mark.integration
ON = (VmState.STARTING, VmState.RUNNING)


@pytest.fixture
async def driver(tmp_path: Path, template: Path) -> AsyncIterator[QemuDriver]:
    need_qemu()
    driver = qemu_driver(tmp_path / "vms")
    await driver.define(bare_spec("one", template))
    yield driver
    await driver.close()
    last = qemu_driver(tmp_path / "vms")
    await last.destroy("one")
    await last.close()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.raw"
    path.write_bytes(bytes(1 << 20))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> VmFolder:
    return VmFolder(tmp_path / "vms" / "one")


def points_of(driver: QemuDriver) -> module.QemuSnapshots:
    assert isinstance(driver.snapshots, module.QemuSnapshots)
    return driver.snapshots


async def state(driver: QemuDriver) -> VmState:
    return (await driver.info("one")).state


def left(folder: VmFolder) -> list[str]:
    return [path.name for path in folder.snapshots.iterdir()]


@pytest.mark.parametrize("held", [False, True])
async def test_no_space_for_the_memory(
    driver: QemuDriver, folder: VmFolder, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Points.begin

    def begin_full(self: Points) -> Path:
        part = begin(self)
        VmFolder(part).partial_state.symlink_to("/dev/full")
        return part

    await driver.start("one")
    if held:
        await driver.pause("one")
    with monkeypatch.context() as patch:
        patch.setattr(Points, "begin", begin_full)
        with pytest.raises(DiskFull):
            await points_of(driver).take("one", "point")
    assert await points_of(driver).names("one") == ()
    assert left(folder) == []
    assert await state(driver) is (VmState.PAUSED if held else VmState.RUNNING)
    await points_of(driver).take("one", "point")
    assert await points_of(driver).names("one") == ("point",)


async def test_no_space_for_the_disk(driver: QemuDriver, folder: VmFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> bool:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await points_of(driver).take("one", "off")
    await driver.start("one")
    monkeypatch.setattr(module, "copy_file", full)
    with pytest.raises(DiskFull):
        await points_of(driver).take("one", "on")
    assert await state(driver) is VmState.RUNNING
    assert left(folder) == ["000001-off"]
    await driver.save("one")
    with pytest.raises(DiskFull):
        await points_of(driver).restore("one", "off")
    assert await state(driver) is VmState.SAVED, "nothing has changed"
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]
    await driver.start("one")
    assert (await driver.info("one")).note == ""


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("then", ["resume", "save", "start", "power_off"])
async def test_killed_while_taking(
    driver: QemuDriver, tmp_path: Path, folder: VmFolder, written: bool, then: str
) -> None:
    await driver.start("one")
    part = VmFolder(Points(folder.snapshots).begin())
    folder.write_record(phase=SAVING)
    monitor = await driver._machine("one").connect()
    await monitor.execute("stop")
    if written:
        await module.saved.write_state(monitor, part, "tcg", await driver._fleet.find())
    await driver.close()
    second = qemu_driver(tmp_path / "vms")
    assert await state(second) is VmState.PAUSED
    assert await points_of(second).names("one") == ()
    await getattr(second, then)("one")
    expected = {"save": VmState.SAVED, "power_off": VmState.DEFINED}
    assert await state(second) is expected.get(then, VmState.RUNNING)
    await points_of(second).take("one", "point")
    assert left(folder) == ["000001-point"]
    await second.close()


async def test_a_damaged_vm_comes_back(driver: QemuDriver, folder: VmFolder) -> None:
    await driver.start("one")
    await points_of(driver).take("one", "point")
    who = folder.running()
    assert who is not None
    os.kill(who.pid, signal.SIGKILL)
    await wait_state(driver, "one", VmState.FAILED)
    await points_of(driver).restore("one", "point")
    assert await state(driver) is VmState.SAVED
    await driver.start("one")
    assert await state(driver) in ON
    assert (await driver.info("one")).note == ""


async def test_another_machine_has_the_disk_but_not_the_memory(driver: QemuDriver, template: Path) -> None:
    await driver.start("one")
    await points_of(driver).take("one", "point")
    await driver.power_off("one")
    await driver.define(replace(bare_spec("one", template), memory_mib=48))
    await points_of(driver).restore("one", "point")
    assert await state(driver) is VmState.DEFINED
    await driver.start("one")
    assert (await driver.info("one")).note == ""


async def test_another_template_has_no_points(driver: QemuDriver, tmp_path: Path) -> None:
    await points_of(driver).take("one", "point")
    other = tmp_path / "other.raw"
    other.write_bytes(bytes(2 << 20))
    await driver.define(bare_spec("one", other))
    assert await points_of(driver).names("one") == ()


async def test_a_guest_started_unplugged_stays_so_over_a_kill(
    driver: QemuDriver, tmp_path: Path, folder: VmFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is killed between QEMU's start and the guest's first step: whoever goes on plugs nothing in."""

    async def killed(self: Launcher, machine: Machine) -> None:
        assert await machine.status() == "prelaunch"

    need_appliance()
    await driver.define(appliance_spec("one", build_context(tmp_path / "context.iso"), network=False))
    with monkeypatch.context() as patch:
        patch.setattr(Launcher, "_let_go_unplugged", killed)
        await driver.start("one")
    folder.write_record(phase=STARTING)
    await driver.close()
    second = qemu_driver(tmp_path / "vms")
    await second.start("one")
    line = await Line.open(second, "one")
    await line.wait_boot()
    assert await line.value("carrier") == "0"
    await line.close()
    await second.close()
