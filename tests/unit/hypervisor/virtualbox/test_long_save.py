"""A save that makes progress is waited for, however long it takes; one that stands still is ended."""

import asyncio
import gc
import itertools
from pathlib import Path
from typing import Any

import pytest

from client.hypervisor import saving
from client.hypervisor.driver import VmSpec
from client.hypervisor.virtualbox import save
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.problems import VirtualBoxSilent
from client.hypervisor.virtualbox.shape import Abilities
from client.snapshot import VmState
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox

_MB = 1_000_000


class SlowDisk:
    """Has the VM's state grow each time the driver looks how far it is, and saves it in the end."""

    def __init__(self, box: FakeVirtualBox, folder: VmFolder, looks: int) -> None:
        self.looks = looks
        self._box, self._states = box, folder.machine_folder / "Snapshots"
        self._ask, self._do = box._showvminfo, box._controlvm

    def control(self, uuid: str, word: str, *more: str) -> None:
        if self._box.only().state == "saving":
            assert word != "poweroff", "it was ended in mid-save"
        if word != "savestate":
            return self._do(uuid, word, *more)
        self._box.only().state = "saving"
        self._box.only().write()
        raise VirtualBoxSilent((word,), "not done in time")

    def show(self, uuid: str, *words: str) -> str:
        if self._box.only().state == "saving":
            self._states.mkdir(exist_ok=True)
            with (self._states / "now.sav").open("ab") as state:
                state.truncate(state.tell() + 100 * _MB)
            self.looks -= 1
            if not self.looks:
                self._do(uuid, "savestate")
        return self._ask(uuid, *words)


@pytest.fixture
def driver(tmp_path: Path, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch) -> VirtualBoxDriver:
    monkeypatch.setattr(save, "_LOOK_PAUSE_S", 0.001)
    return VirtualBoxDriver(tmp_path / "vms", installation=Installation(box, "7.2.22", Abilities()))


@pytest.fixture
async def disk(
    tmp_path: Path, driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> SlowDisk:
    """Slower than `save._LOOKS` looks; the VM runs."""
    await driver.define(spec)
    await driver.start("one")
    disk = SlowDisk(box, VmFolder(tmp_path / "vms" / "one"), looks=3 * save._LOOKS)
    monkeypatch.setattr(box, "_controlvm", disk.control)
    monkeypatch.setattr(box, "_showvminfo", disk.show)
    return disk


async def test_it_may_take_longer_than_vboxmanage_waits(driver: VirtualBoxDriver, disk: SlowDisk) -> None:
    await driver.save("one")
    assert (await driver.info("one")).state is VmState.SAVED


async def test_a_power_off_waits_for_it(driver: VirtualBoxDriver, disk: SlowDisk, box: FakeVirtualBox) -> None:
    with pytest.raises(VirtualBoxSilent):
        disk.control(box.only().uuid, "savestate")
    await driver.power_off("one")
    assert (await driver.info("one")).state is VmState.SAVED


async def test_the_faces_see_how_far_it_is(driver: VirtualBoxDriver, disk: SlowDisk, box: FakeVirtualBox) -> None:
    with pytest.raises(VirtualBoxSilent):
        disk.control(box.only().uuid, "savestate")
    seen = [await driver.info("one") for _ in range(2)]
    assert seen[0].state is VmState.SAVING and seen[0].written_bytes < seen[1].written_bytes
    assert seen[1].note == "Saving: 200 MB are written so far."


async def test_one_that_stands_still_is_ended(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save, "_LOOKS", 2)
    await driver.define(spec)
    await driver.start("one")
    box.only().state = "saving"
    box.only().write()
    await driver.power_off("one")
    assert not box.alive


async def test_a_limit_begins_anew_whenever_more_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "LOOK_PAUSE_S", 0.0)
    loop = asyncio.get_running_loop()
    now, looks = loop.time(), 0

    def grown() -> int:
        nonlocal now, looks
        looks, now = looks + 1, now + 10.0
        return min(looks, 20)

    monkeypatch.setattr(loop, "time", lambda: now)
    with pytest.raises(TimeoutError):
        async with saving.limit_of_stillness(75.0, grown):
            await asyncio.Event().wait()
    assert 28 <= looks <= 30, "75 s after the twentieth look, which are ten seconds apart"


async def test_a_limit_that_has_run_out_does_not_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "LOOK_PAUSE_S", 0.0)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    sizes, written, looks = itertools.count(), 0, 0

    def grown() -> int:
        nonlocal looks, written
        looks += 1
        written = next(sizes) if is_over.is_set() else written
        return written

    is_over = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with saving.limit_of_stillness(0.01, grown):
            try:
                await asyncio.Event().wait()
            finally:
                # What is broken off takes a while, and writes on.
                is_over.set()
                before = looks
                while looks < before + 3 and not faults and len(asyncio.all_tasks()) > 1:
                    await asyncio.sleep(0)
    gc.collect()
    assert looks >= before + 3 and not faults
