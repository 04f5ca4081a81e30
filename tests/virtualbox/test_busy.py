"""A computer that is busy with other things: VirtualBox must not stand still at what it does all day."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.snapshot import VmState
from tests.integration.hypervisor.conftest import bare_spec
from tests.virtualbox.lane import Lane
from tests.virtualbox.test_faults import wrapper

pytestmark = pytest.mark.integration
#: Without the host's cache VirtualBox 7.2.22 stood still in one of five changes.
ROUNDS = 4
#: Far more than a change takes here, and less than the driver would wait.
LIMIT_S = 25


@pytest.fixture
async def driver(lane: Lane, tmp_path: Path) -> AsyncIterator[VirtualBoxDriver]:
    driver = VirtualBoxDriver(tmp_path / "vms")
    yield driver
    for info in await driver.list_vms():
        await driver.destroy(info.vm_id)
    await driver.close()
    lane.assert_nothing_left(tmp_path / "vms")


@pytest.fixture
def busy() -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for process in processes:
        process.kill()
        process.wait()


async def test_pauses_and_changes_of_a_cd(driver: VirtualBoxDriver, lane: Lane, tmp_path: Path, busy: None) -> None:
    assert driver.exchange is not None
    template, file = tmp_path / "template.raw", tmp_path / "file"
    template.write_bytes(bytes(1 << 20))
    file.write_bytes(bytes(4096))
    await driver.define(replace(bare_spec("one", template), exchange_mib=1))
    await driver.start("one")
    for process in lane.processes("VBoxHeadless"):
        process.nice(19)
    for _ in range(ROUNDS):
        async with asyncio.timeout(LIMIT_S):
            await driver.pause("one")
        async with asyncio.timeout(LIMIT_S):
            await driver.resume("one")
        for shown in (file, None):
            async with asyncio.timeout(LIMIT_S):
                await driver.exchange.insert("one", shown)
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_a_vm_is_held_while_another_is_saved(driver: VirtualBoxDriver, lane: Lane, tmp_path: Path) -> None:
    template, saving = tmp_path / "template.raw", tmp_path / "saving"
    template.write_bytes(bytes(1 << 20))
    for name in ("one", "two"):
        await driver.define(bare_spec(name, template))
        await driver.start(name)
    slow = wrapper(tmp_path / "slow", f'[ "$3" = savestate ] && {{ touch {saving}; sleep 8; }}')
    second = VirtualBoxDriver(tmp_path / "vms", search_path=slow)
    saved = asyncio.create_task(second.save("one"))
    while not saving.exists():
        await asyncio.sleep(0.05)
    for verb in (second.pause, second.resume, second.power_off):
        await verb("two")
    assert not saved.done() and (await second.info("one")).state is VmState.SAVING
    await saved
    assert (await second.info("one")).state is VmState.SAVED
    # Where it is looked whether a save makes progress, VirtualBox has written.
    assert VmFolder(tmp_path / "vms" / "one").state_bytes() > 100_000
    await second.close()
