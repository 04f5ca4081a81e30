"""Calls that are not done in time: what they were to do is looked at, done once more, or said to have failed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.driver import Exchange, LiveControl, VmSpec
from client.hypervisor.virtualbox import save
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.machine import STILL_LIMIT_S
from client.hypervisor.virtualbox.problems import VirtualBoxDenied, VirtualBoxSilent
from client.hypervisor.virtualbox.shape import CD_CONTROLLER, Abilities
from client.snapshot import VmState
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox

INBOX = (CD_CONTROLLER, "1", "1")
Hush = Callable[[str, int, bool], list[float]]


@pytest.fixture
def hush(box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch) -> Hush:
    """Have the next calls with a word end at their limit, done or not; gives the limits of all calls with it."""
    do = box.change

    def begin(word: str, count: int, is_done: bool) -> list[float]:
        limits: list[float] = []

        async def change(*words: str, timeout_s: float = 60.0) -> str:
            if word not in words:
                return await do(*words)
            limits.append(timeout_s)
            if len(limits) > count:
                return await do(*words)
            if is_done:
                await do(*words)
            raise VirtualBoxSilent(words, "not done in time")

        monkeypatch.setattr(box, "change", change)
        return limits

    return begin


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def driver(tmp_path: Path, box: FakeVirtualBox, spec: VmSpec, clock: FakeClock) -> VirtualBoxDriver:
    installation = Installation(box, "7.2.22", Abilities())
    driver = VirtualBoxDriver(tmp_path / "vms", clock=clock, installation=installation)
    await driver.define(replace(spec, exchange_mib=1))
    await driver.start("one")
    return driver


def exchange(driver: VirtualBoxDriver) -> Exchange:
    assert driver.exchange is not None
    return driver.exchange


def live(driver: VirtualBoxDriver) -> LiveControl:
    assert driver.live is not None
    return driver.live


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(b"word".ljust(2048, b"\0"))
    return file


@pytest.mark.parametrize(("is_done", "tries"), [(True, 1), (False, 2)])
async def test_a_cd_is_put_in_all_the_same(
    driver: VirtualBoxDriver, box: FakeVirtualBox, hush: Hush, file: Path, is_done: bool, tries: int
) -> None:
    limits = hush("storageattach", 1, is_done)
    await exchange(driver).insert("one", file)
    assert len(limits) == tries and limits == sorted(limits)
    assert Path(box.only().drives[INBOX]).read_bytes().startswith(b"word")


async def test_a_cd_that_does_not_go_in_is_an_error_and_the_next_try_works(
    driver: VirtualBoxDriver, box: FakeVirtualBox, hush: Hush, file: Path
) -> None:
    before = box.only().drives[INBOX]
    hush("storageattach", 2, False)
    with pytest.raises(VirtualBoxSilent):
        await exchange(driver).insert("one", file)
    assert box.only().drives[INBOX] == before
    await exchange(driver).insert("one", file)
    assert Path(box.only().drives[INBOX]).read_bytes().startswith(b"word")
    inboxes = [path for path in box.media if "inboxes" in path]
    assert inboxes == [box.only().drives[INBOX]], "nothing of the first try stays"


async def test_the_cable_is_pulled_all_the_same(driver: VirtualBoxDriver, box: FakeVirtualBox, hush: Hush) -> None:
    limits = hush("setlinkstate1", 1, False)
    await live(driver).set_network("one", False)
    assert len(limits) == 2 and box.only().options["live setlinkstate1"] == "off"


async def test_a_pause_that_was_done_is_one(driver: VirtualBoxDriver, hush: Hush) -> None:
    hush("pause", 1, True)
    await driver.pause("one")
    assert (await driver.info("one")).state is VmState.PAUSED
    hush("resume", 1, False)
    with pytest.raises(VirtualBoxSilent):
        await driver.resume("one")
    assert (await driver.info("one")).state is VmState.PAUSED
    await driver.resume("one")
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_one_that_cannot_be_reset_gets_a_new_process(
    driver: VirtualBoxDriver, box: FakeVirtualBox, hush: Hush
) -> None:
    (before,) = box.alive
    hush("reset", 1, False)
    await driver.reset("one")
    assert before not in box.alive and (await driver.info("one")).state is VmState.RUNNING


async def test_one_that_cannot_be_powered_off_is_ended(
    driver: VirtualBoxDriver, box: FakeVirtualBox, hush: Hush
) -> None:
    hush("poweroff", 1, False)
    await driver.power_off("one")
    assert not box.alive and (await driver.info("one")).state is VmState.DEFINED


async def test_one_that_stands_still_on_its_way_has_failed_and_starts_anew(
    driver: VirtualBoxDriver, box: FakeVirtualBox, clock: FakeClock, hush: Hush
) -> None:
    box.note(box.only(), "Changing the VM state from 'SUSPENDED' to 'RESUMING'")
    assert (await driver.info("one")).state is VmState.RUNNING
    clock.advance(STILL_LIMIT_S + 1)
    info = await driver.info("one")
    assert info.state is VmState.FAILED and info.cause
    hush("poweroff", 1, False)
    (before,) = box.alive
    await driver.start("one")
    assert before not in box.alive and (await driver.info("one")).state is VmState.RUNNING
    clock.advance(STILL_LIMIT_S + 1)
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_one_that_only_takes_its_time_has_not_failed(
    driver: VirtualBoxDriver, box: FakeVirtualBox, clock: FakeClock
) -> None:
    box.note(box.only(), "Changing the VM state from 'RUNNING' to 'SUSPENDING'")
    await driver.info("one")
    clock.advance(STILL_LIMIT_S - 1)
    assert (await driver.info("one")).state is VmState.RUNNING
    box.note(box.only(), "Changing the VM state from 'SUSPENDING' to 'SUSPENDED'")
    clock.advance(STILL_LIMIT_S + 1)
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_a_save_that_is_said_to_have_failed_is_waited_for(
    driver: VirtualBoxDriver, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save, "_LOOK_PAUSE_S", 0.0)
    do, looks = box.read, 0

    async def change(*words: str, timeout_s: float = 60.0) -> str:
        monkeypatch.setattr(box, "read", read)
        raise VirtualBoxDenied("code E_ACCESSDENIED, in its settings")

    async def read(*words: str, timeout_s: float = 20.0) -> str:
        nonlocal looks
        looks += 1
        box.only().state = "saving" if looks < 4 else "saved"
        return await do(*words)

    monkeypatch.setattr(box, "change", change)
    await driver.save("one")
    assert looks >= 4 and (await driver.info("one")).state is VmState.SAVED
