"""What goes wrong with a real VirtualBox: processes killed, files gone, a command that hangs or lies, strangers."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.hypervisor.driver import Driver
from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.snapshot import VmState
from tests.integration.hypervisor.conftest import bare_spec
from tests.integration.hypervisor.guests import wait_state
from tests.virtualbox.lane import Lane

pytestmark = pytest.mark.integration
NAMES = ("one", "two", "three")


@pytest.fixture
def vms(tmp_path: Path) -> Path:
    return tmp_path / "vms"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.raw"
    path.write_bytes(bytes(1 << 20))
    return path


@pytest.fixture
async def driver(lane: Lane, vms: Path) -> AsyncIterator[VirtualBoxDriver]:
    driver = VirtualBoxDriver(vms)
    yield driver
    await driver.close()
    last = VirtualBoxDriver(vms)
    for info in await last.list_vms():
        await last.destroy(info.vm_id)
    await last.close()
    lane.assert_nothing_left(vms)


async def state(driver: Driver, vm_id: str = "one") -> VmState:
    return (await driver.info(vm_id)).state


def settings(vms: Path, vm_id: str = "one") -> Path:
    return VmFolder(vms / vm_id).settings_file


async def test_a_killed_vm_is_seen_and_starts_again(driver: VirtualBoxDriver, lane: Lane, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    assert lane.kill("VBoxHeadless") == 1
    await wait_state(driver, "one", VmState.FAILED)
    assert (await driver.info("one")).cause
    await driver.start("one")
    assert await state(driver) is VmState.RUNNING


async def test_a_killed_service_takes_three_vms_down_and_all_come_back(
    driver: VirtualBoxDriver, lane: Lane, template: Path
) -> None:
    for name in NAMES:
        await driver.define(bare_spec(name, template))
        await driver.start(name)
    assert lane.kill("VBoxSVC") == 1
    for name in NAMES:
        await wait_state(driver, name, VmState.FAILED, VmState.DEFINED, limit_s=60)
    assert lane.processes("VBoxHeadless") == []
    for name in NAMES:
        await driver.start(name)
        assert await state(driver, name) is VmState.RUNNING
    assert len(lane.manage("list", "runningvms").splitlines()) >= len(NAMES)


async def test_a_settings_file_that_is_gone_while_virtualbox_knows_the_vm(
    driver: VirtualBoxDriver, lane: Lane, vms: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    settings(vms).unlink()
    lane.wait_for_server_end()
    another = VirtualBoxDriver(vms)
    assert [info.vm_id for info in await another.list_vms()] == ["one"]
    await another.start("one")
    assert await state(another) is VmState.RUNNING
    await another.close()


async def test_a_vm_without_its_settings_file_can_be_destroyed(
    driver: VirtualBoxDriver, lane: Lane, vms: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    await driver.power_off("one")
    settings(vms).unlink()
    lane.wait_for_server_end()
    another = VirtualBoxDriver(vms)
    await another.destroy("one")
    assert await another.list_vms() == ()
    await another.close()
    lane.assert_nothing_left(vms)


async def test_a_folder_that_was_removed_is_forgotten(
    driver: VirtualBoxDriver, lane: Lane, vms: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    await driver.close()
    lane.wait_for_server_end()
    shutil.rmtree(vms / "one")
    another = VirtualBoxDriver(vms)
    assert await another.list_vms() == ()
    await another.close()
    assert "vc-one" not in lane.manage("list", "vms")


async def test_a_base_disk_that_was_moved_comes_back_as_it_was(
    driver: VirtualBoxDriver, lane: Lane, vms: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    (base,) = (vms / "_bases").glob("*.vdi")
    whole = base.read_bytes()
    lane.wait_for_server_end()
    base.unlink()
    another = VirtualBoxDriver(vms)
    await another.start("one")
    info = await another.info("one")
    assert info.state is VmState.RUNNING and "lost" not in info.note
    assert base.read_bytes() == whole
    await another.close()


async def test_a_layer_that_was_moved_is_said_to_be_lost(
    driver: VirtualBoxDriver, lane: Lane, vms: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    (layer,) = VmFolder(vms / "one").machine_folder.glob("Snapshots/*.vdi")
    lane.wait_for_server_end()
    layer.rename(vms / "elsewhere")
    another = VirtualBoxDriver(vms)
    await another.start("one")
    info = await another.info("one")
    assert info.state is VmState.RUNNING and "lost" in info.note
    await another.close()
    (vms / "elsewhere").unlink()


async def test_a_truncated_saved_state_is_given_up_and_said(
    driver: VirtualBoxDriver, vms: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    await driver.save("one")
    (saved,) = VmFolder(vms / "one").machine_folder.glob("Snapshots/*.sav")
    os.truncate(saved, saved.stat().st_size // 2)
    await driver.start("one")
    info = await driver.info("one")
    assert info.state is VmState.RUNNING
    assert "saved state" in info.note


def wrapper(folder: Path, script: str) -> str:
    """A search path with a VBoxManage that does something else first."""
    folder.mkdir()
    program = folder / "VBoxManage"
    program.write_text(f'#!/bin/sh\nreal={shutil.which("VBoxManage")}\n{script}\nexec "$real" "$@"\n')
    program.chmod(0o755)
    return str(folder)


async def test_a_command_that_hangs_is_not_waited_for(
    driver: VirtualBoxDriver, vms: Path, template: Path, tmp_path: Path
) -> None:
    await driver.define(bare_spec("one", template))
    path = wrapper(tmp_path / "hangs", '[ "$1" = --version ] || exec sleep 600')
    stuck = VirtualBoxDriver(vms, search_path=path)
    begun = asyncio.get_running_loop().time()
    info = await stuck.info("one")
    assert asyncio.get_running_loop().time() - begun < 100
    assert "does not answer" in info.note
    await stuck.close()
    assert await state(driver) is VmState.DEFINED


LIES = {
    "exit 0 with an error": 'echo "VBoxManage: error: The machine is not in the mood" >&2; exit 0',
    "exit 0 and nothing done": "exit 0",
    "another wording": 'echo "Problem: could not be started, and that is all we say" >&2; exit 1',
    "broken installation": "exit 126",
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_command_that_lies_is_found_out(
    driver: VirtualBoxDriver, vms: Path, template: Path, tmp_path: Path, lie: str
) -> None:
    await driver.define(bare_spec("one", template))
    lied_to = VirtualBoxDriver(vms, search_path=wrapper(tmp_path / "lies", f'[ "$1" = startvm ] && {{ {LIES[lie]}; }}'))
    with pytest.raises(HypervisorError):
        await lied_to.start("one")
    assert await state(lied_to) is VmState.DEFINED
    await lied_to.close()
    await driver.start("one")
    assert await state(driver) is VmState.RUNNING


async def test_two_programs_at_once(driver: VirtualBoxDriver, lane: Lane, tmp_path: Path, template: Path) -> None:
    """Two clients, each with its own folder, use one VirtualBox; neither sees the other's VMs."""
    other = VirtualBoxDriver(tmp_path / "others")

    async def live(one: VirtualBoxDriver) -> None:
        for verb in ("define", "start", "pause", "resume", "save", "start", "power_off"):
            await (one.define(bare_spec("one", template)) if verb == "define" else getattr(one, verb)("one"))

    await asyncio.gather(live(driver), live(other))
    assert (await state(driver), await state(other)) == (VmState.DEFINED, VmState.DEFINED)
    await other.destroy("one")
    assert [info.vm_id for info in await driver.list_vms()] == ["one"]
    await driver.start("one")
    assert await state(driver) is VmState.RUNNING
    await other.close()
    lane.assert_nothing_left(tmp_path / "others")


async def test_two_drivers_on_one_folder(driver: VirtualBoxDriver, vms: Path, template: Path) -> None:
    """A second copy of the program is refused elsewhere; here it must do no harm."""
    second = VirtualBoxDriver(vms)
    await driver.define(bare_spec("one", template))
    results = await asyncio.gather(driver.start("one"), second.start("one"), return_exceptions=True)
    assert None in results
    assert all(one is None or isinstance(one, HypervisorError) for one in results)
    assert (await state(driver), await state(second)) == (VmState.RUNNING, VmState.RUNNING)
    await second.close()


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def test_a_foreign_vm_of_a_similar_name_is_not_touched(
    driver: VirtualBoxDriver, lane: Lane, vms: Path, tmp_path: Path, template: Path
) -> None:
    await driver.define(bare_spec("one", template))
    name = VmFolder(vms / "one").record().name
    foreign = tmp_path / "foreign"
    lane.manage("createvm", "--name", f"{name}0", "--basefolder", str(foreign), "--register", "--ostype", "Linux_64")
    lane.manage("createmedium", "disk", "--filename", str(foreign / f"{name}0" / "disk.vdi"), "--size", "4")
    lane.manage("storagectl", f"{name}0", "--name", "SATA", "--add", "sata")
    attach = ("--storagectl", "SATA", "--port", "0", "--type", "hdd", "--medium", str(foreign / f"{name}0/disk.vdi"))
    lane.manage("storageattach", f"{name}0", *attach)
    # VirtualBox tells a machine that it has just made differently from one that it has read.
    lane.wait_for_server_end()
    before, listed = digests(foreign), lane.manage("showvminfo", f"{name}0", "--machinereadable")
    await driver.start("one")
    await driver.save("one")
    await driver.start("one")
    lane.kill("VBoxHeadless")
    await wait_state(driver, "one", VmState.FAILED)
    another = VirtualBoxDriver(vms)
    assert [info.vm_id for info in await another.list_vms()] == ["one"]
    await another.destroy("one")
    await another.close()
    assert lane.manage("showvminfo", f"{name}0", "--machinereadable") == listed
    lane.wait_for_server_end()
    assert digests(foreign) == before
    lane.manage("unregistervm", f"{name}0", "--delete")
