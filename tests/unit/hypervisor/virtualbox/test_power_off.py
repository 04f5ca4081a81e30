"""A VM is off in bounded time, whoever has it and whatever VirtualBox does."""

import asyncio
from pathlib import Path

import pytest

from client.errors import ClientError
from client.hypervisor.driver import VmSpec
from client.hypervisor.virtualbox import driver as module
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.parse import Version
from client.hypervisor.virtualbox.problems import VirtualBoxBroken, VirtualBoxTooOld
from client.hypervisor.virtualbox.prospect import Prospect
from client.hypervisor.virtualbox.shape import Abilities
from client.snapshot import VmState
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox


@pytest.fixture
def driver(tmp_path: Path, box: FakeVirtualBox) -> VirtualBoxDriver:
    return VirtualBoxDriver(tmp_path / "vms", installation=Installation(box, "7.2.22", Abilities()))


@pytest.mark.parametrize("verb", ["save", "pause", "power_off"])
async def test_a_verb_that_does_not_end_does_not_keep_it_on(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(module, "POWER_OFF_LIMIT_S", 0.05)
    await driver.define(spec)
    await driver.start("one")
    begun, do = asyncio.Event(), box.change

    async def hang(*words: str, timeout_s: float = 60.0) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(box, "change", hang)
    stuck = asyncio.create_task(getattr(driver, verb)("one"))
    await begun.wait()
    await driver.power_off("one")
    assert not box.alive
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    monkeypatch.setattr(box, "change", do)
    info = await driver.info("one")
    assert (info.state, info.pids) == (VmState.DEFINED, ()), "it was asked for, and is no accident"
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_no_other_process_is_ended_for_it(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POWER_OFF_LIMIT_S", 0.05)
    await driver.define(spec)
    await driver.start("one")
    await driver.power_off("one")
    stranger = 5001
    box.alive.add(stranger)

    async def hang(*words: str, timeout_s: float = 20.0) -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(box, "read", hang)
    box.only().extra["touched"] = "so that it is asked for"
    box.only().write()
    await driver.power_off("one")
    assert box.alive == {stranger}


@pytest.mark.parametrize("error", [VirtualBoxBroken("no version"), VirtualBoxTooOld(Version(5, 2), Version(6, 1))])
async def test_what_another_virtualbox_left_running_is_ended(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch, error: ClientError
) -> None:
    await driver.define(spec)
    await driver.start("one")

    async def cannot(prospect: Prospect) -> Installation:
        raise error

    monkeypatch.setattr(Prospect, "installation", cannot)
    await driver.power_off("one")
    assert not box.alive
