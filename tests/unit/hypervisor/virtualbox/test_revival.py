"""A guest that resets itself after its VM was restored gets a new process; any other reset is left alone."""

import asyncio
from pathlib import Path

import pytest

from client.hypervisor.driver import VmSpec
from client.hypervisor.virtualbox import problems
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.shape import Abilities
from client.snapshot import VmState
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox

DATA = Path(__file__).resolve().parents[3] / "data" / "virtualbox"
#: Captured: a VM that was restored, and then reset; its BIOS waited from there on.
RESET = DATA / "7.2" / "log-guest-reset.txt"


class Scene:
    """A VM whose guest resets itself, and its driver."""

    def __init__(self, driver: VirtualBoxDriver, box: FakeVirtualBox, folder: Path) -> None:
        self.driver, self.box, self._folder = driver, box, folder

    async def restored(self) -> None:
        await self.driver.start("one")
        await self.driver.save("one")
        await self.driver.start("one")

    def reset(self) -> None:
        """The log as VirtualBox writes it then."""
        log = self.box.only().settings.parent / "Logs" / "VBox.log"
        with log.open("a") as file:
            file.write(RESET.read_text())

    @property
    def is_restored(self) -> bool:
        return VmFolder(self._folder / "one").record().restored

    def starts(self) -> int:
        return len(self.box.said("startvm"))

    async def rest(self) -> None:
        """Wait until nothing is under way beside."""
        while self.driver._revivals._tasks:
            await asyncio.sleep(0.01)


@pytest.fixture
async def scene(tmp_path: Path, box: FakeVirtualBox, spec: VmSpec) -> Scene:
    folder = tmp_path / "vms"
    driver = VirtualBoxDriver(folder, clock=FakeClock(), installation=Installation(box, "7.2.22", Abilities()))
    await driver.define(spec)
    return Scene(driver, box, folder)


async def test_a_restored_guest_that_resets_itself_gets_a_new_process(scene: Scene) -> None:
    await scene.restored()
    first = scene.box.only().pid
    assert (await scene.driver.info("one")).guest_resets == 0 and scene.is_restored
    scene.reset()
    seen = await scene.driver.info("one")
    # It is told of, so that the core reckons with a boot.
    assert (seen.state, seen.guest_resets) == (VmState.RUNNING, 1)
    await scene.rest()
    seen = await scene.driver.info("one")
    assert (seen.state, seen.guest_resets) == (VmState.RUNNING, 0)
    assert scene.box.only().pid not in (0, first) and scene.starts() == 3 and not scene.is_restored
    # From here on it may do so as often as it likes.
    scene.reset()
    assert (await scene.driver.info("one")).guest_resets == 1
    await scene.rest()
    assert scene.starts() == 3


async def test_it_shows_that_it_starts_and_does_so_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()
    restart = scene.driver._revivals._restart

    async def slowly(machine: object) -> None:
        machine.verb = VmState.STARTING  # type: ignore[attr-defined]
        await go_on.wait()
        await restart(machine)  # type: ignore[arg-type]

    monkeypatch.setattr(scene.driver._revivals, "_restart", slowly)
    await scene.restored()
    scene.reset()
    while (await scene.driver.info("one")).state is not VmState.STARTING:
        await asyncio.sleep(0.01)
    await scene.driver.info("one")
    go_on.set()
    await scene.rest()
    assert (await scene.driver.info("one")).state is VmState.RUNNING and scene.starts() == 3


async def test_a_guest_that_was_booted_may_reset_itself(scene: Scene) -> None:
    await scene.driver.start("one")
    scene.reset()
    assert (await scene.driver.info("one")).guest_resets == 1
    await scene.rest()
    assert scene.starts() == 1


async def test_one_that_is_held_waits_until_it_goes_on(scene: Scene) -> None:
    await scene.restored()
    await scene.driver.pause("one")
    scene.reset()
    assert (await scene.driver.info("one")).state is VmState.PAUSED
    await scene.rest()
    assert scene.starts() == 2
    await scene.driver.resume("one")
    await scene.driver.info("one")
    await scene.rest()
    assert scene.starts() == 3


async def test_a_verb_that_came_before_it_is_the_last_word(scene: Scene) -> None:
    await scene.restored()
    scene.reset()
    await scene.driver.info("one")
    # The task has only been made yet.
    await scene.driver.power_off("one")
    await scene.rest()
    assert (await scene.driver.info("one")).state is VmState.DEFINED and scene.starts() == 2


async def test_a_new_start_that_fails_is_for_the_core_to_see(scene: Scene) -> None:
    await scene.restored()
    scene.reset()
    scene.box.failures["startvm"] = problems.NotEnoughMemory("none left")
    await scene.driver.info("one")
    await scene.rest()
    seen = await scene.driver.info("one")
    assert seen.state in (VmState.DEFINED, VmState.FAILED) and not seen.pids and scene.starts() == 3
    await scene.driver.info("one")
    await scene.rest()
    assert scene.starts() == 3


async def test_one_that_cannot_be_ended_is_tried_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.restored()
    scene.reset()
    tried = []

    async def fail(machine: object) -> None:
        tried.append(machine)
        raise problems.VirtualBoxBroken("not now")

    monkeypatch.setattr(scene.driver._revivals, "_restart", fail)
    for _ in range(3):
        await scene.driver.info("one")
        await scene.rest()
    assert len(tried) == 1


async def test_a_driver_that_is_closed_begins_nothing(scene: Scene) -> None:
    await scene.restored()
    scene.reset()
    await scene.driver.info("one")
    await scene.driver.close()
    assert not scene.driver._revivals._tasks and scene.starts() == 2
