"""Going back to a point: the VM is then what it was to be, whoever took the point, and whenever the client dies."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.errors import ToolMissing
from client.hypervisor.driver import Snapshots, VmSpec
from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox import points, problems
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import Record, VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.machine import Machine
from client.hypervisor.virtualbox.settings_file import parse_settings
from client.hypervisor.virtualbox.shape import CD_CONTROLLER, DISK_CONTROLLER, Abilities, media_in
from client.snapshot import VmState
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox

POINTS = "points.json"


class Killed(BaseException):
    """The client is gone: nothing of it runs any more."""


class Past:
    """A VM that was open to the world when points were taken of it, and is not any more."""

    def __init__(self, folder: Path, box: FakeVirtualBox, spec: VmSpec) -> None:
        self.folder, self.box = folder, box
        self.open = replace(spec, internet=True, exchange_mib=1)
        self.closed = replace(spec, memory_mib=32, network=False)
        self._then: tuple[dict[str, str], dict[tuple[str, str, str], str]] = ({}, {})

    def driver(self) -> VirtualBoxDriver:
        installation = Installation(self.box, "7.2.22", Abilities())
        return VirtualBoxDriver(self.folder, clock=FakeClock(), installation=installation)

    async def came_about(self) -> VirtualBoxDriver:
        driver = self.driver()
        await driver.define(self.open)
        await driver.start("one")
        await snapshots(driver).take("one", "then")
        await driver.power_off("one")
        self._then = (dict(self.box.only().options), dict(self.box.only().drives))
        await driver.define(self.closed)
        self.bring_settings_back()
        return driver

    def bring_settings_back(self) -> None:
        """Have VirtualBox give a VM the settings of the point when it goes back, as the real one does."""
        back = self.box._snapshot

        def snapshot(uuid: str, verb: str, what: str, *more: str) -> None:
            if verb == "restore":
                box = self.box.only()
                box.options, box.drives = dict(self._then[0]), dict(self._then[1])
            back(uuid, verb, what, *more)

        self.box._snapshot = snapshot  # type: ignore[method-assign]

    @property
    def books(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "one" / POINTS).read_text()))

    def forget_books(self) -> None:
        """As a former client, which kept none."""
        (self.folder / "one" / POINTS).unlink()

    def assert_closed_now(self) -> None:
        options = self.box.only().options
        assert (options["--nic1"], options["--memory"]) == ("null", "32")

    def assert_closed(self) -> None:
        options, drives = self.box.only().options, self.box.only().drives
        assert (options["--nic1"], options["--cableconnected1"], options["--memory"]) == ("null", "off", "32")
        assert sorted(place[0] for place in drives) == [CD_CONTROLLER, DISK_CONTROLLER]
        assert self.books == {} or "returning" not in self.books


def snapshots(driver: VirtualBoxDriver) -> Snapshots:
    assert driver.snapshots is not None
    return driver.snapshots


@pytest.fixture
def past(tmp_path: Path, box: FakeVirtualBox, spec: VmSpec) -> Past:
    return Past(tmp_path / "vms", box, spec)


async def test_of_a_point_of_which_nothing_is_known_the_memory_is_not_used(past: Past) -> None:
    driver = await past.came_about()
    past.forget_books()
    await snapshots(driver).restore("one", "then")
    past.assert_closed()
    info = await driver.info("one")
    assert (info.state, info.note) == (VmState.DEFINED, points._FORGOTTEN)
    await driver.start("one")
    assert (await driver.info("one")).note == ""


async def test_a_point_without_memory_needs_no_note(past: Past) -> None:
    driver = await past.came_about()
    past.box.only().snapshots[0] = (*past.box.only().snapshots[0][:2], False)
    past.box.only().write()
    past.forget_books()
    await snapshots(driver).restore("one", "then")
    past.assert_closed()
    assert (await driver.info("one")).note == ""


def killed_at(monkeypatch: pytest.MonkeyPatch, where: str) -> Iterator[None]:
    def kill(*_: object, **__: object) -> None:
        raise Killed

    write = VmFolder.write_record

    def kill_at_cable(folder: VmFolder, **changes: Any) -> Record:
        if changes.get("network") is not None:
            raise Killed
        return write(folder, **changes)

    with monkeypatch.context() as patch:
        if where == "fit":
            patch.setattr(Machine, "assume", kill)
        else:
            patch.setattr(VmFolder, "write_record", kill_at_cable)
        yield


@pytest.mark.parametrize("where", ["fit", "cable"])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("then", ["start", "define", "restore"])
async def test_a_client_that_is_killed_on_the_way_back_opens_nothing(
    past: Past, monkeypatch: pytest.MonkeyPatch, where: str, is_known: bool, then: str
) -> None:
    driver = await past.came_about()
    if not is_known:
        past.forget_books()
    for _ in killed_at(monkeypatch, where):
        with pytest.raises(Killed):
            await snapshots(driver).restore("one", "then")
    assert "returning" in past.books
    after = past.driver()
    if then == "start":
        await after.start("one")
    elif then == "define":
        await after.define(past.closed)
    else:
        await snapshots(after).restore("one", "then")
    past.assert_closed()


@pytest.mark.parametrize("said", ['{"point": "x"}', '{"spec": 7, "network": true, "point": "x"}', "[1]", "{"])
async def test_a_damaged_note_of_a_return_keeps_no_vm_from_starting(past: Past, said: str) -> None:
    driver = await past.came_about()
    books = past.folder / "one" / POINTS
    books.write_text(json.dumps({**past.books, "returning": said}))
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING
    past.assert_closed_now()


async def test_a_return_without_virtualbox_changes_nothing(past: Past) -> None:
    driver = await past.came_about()
    past.box.failures["snapshot restore"] = ToolMissing("VBoxManage", "install it")
    with pytest.raises(ToolMissing):
        await snapshots(driver).restore("one", "then")
    assert "returning" not in past.books


async def test_a_return_that_virtualbox_refuses_changes_nothing(past: Past) -> None:
    driver = await past.came_about()
    past.box.failures["snapshot restore"] = problems.VirtualBoxFailed(("snapshot",), 1, "no")
    with pytest.raises(HypervisorError):
        await snapshots(driver).restore("one", "then")
    assert "returning" not in past.books
    past.box.failures["snapshot restore"] = problems.VirtualBoxSilent(("snapshot",), "")
    with pytest.raises(HypervisorError):
        await snapshots(driver).restore("one", "then")
    # Nobody knows whether it was done.
    assert "returning" in past.books


async def test_a_point_taken_just_before_a_kill_is_known(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise Killed

    driver = past.driver()
    await driver.define(past.open)
    with monkeypatch.context() as patch:
        patch.setattr(points, "taken", kill)
        with pytest.raises(Killed):
            await snapshots(driver).take("one", "then")
    assert list(past.books) == ["taking"]
    after = past.driver()
    past._then = (dict(past.box.only().options), dict(past.box.only().drives))
    await after.define(past.closed)
    past.bring_settings_back()
    await snapshots(after).restore("one", "then")
    past.assert_closed()
    assert (await after.info("one")).note == ""
    await snapshots(after).take("one", "another")
    assert set(past.books) == {one for one, _, _ in past.box.only().snapshots}


async def test_what_was_not_taken_is_no_points(past: Past) -> None:
    driver = await past.came_about()
    past.box.failures["snapshot take"] = problems.VirtualBoxFailed(("snapshot",), 1, "no")
    with pytest.raises(HypervisorError):
        await snapshots(driver).take("one", "then")
    assert "taking" not in past.books and len(past.books) == 1
    past.forget_books()
    past.box.failures["snapshot take"] = problems.VirtualBoxSilent(("snapshot",), "")
    with pytest.raises(HypervisorError):
        await snapshots(driver).take("one", "then")
    # It is there under that name, but was before.
    await snapshots(driver).restore("one", "then")
    assert (await driver.info("one")).note == points._FORGOTTEN


SETTINGS = """<VirtualBox xmlns="http://www.virtualbox.org/"><Machine uuid="{u}" name="n">
<MediaRegistry><HardDisks>
 <HardDisk uuid="{b}" location="/v/_bases/b.vdi" type="MultiAttach">
  <HardDisk uuid="{l}" location="Snapshots/l.vdi"/></HardDisk>
 <HardDisk uuid="{o}" location="/v/one/outbox-32.vmdk" type="Writethrough"/></HardDisks>
<DVDImages><Image uuid="{s}" location="/a/system.iso"/></DVDImages></MediaRegistry>
<Hardware><StorageControllers>
 <StorageController name="CDs"><AttachedDevice type="DVD" port="0" device="0"><Image uuid="{s}"/></AttachedDevice>
  <AttachedDevice type="DVD" port="1" device="1"/>
  <AttachedDevice type="DVD" port="0" device="1"><Image uuid="{gone}"/></AttachedDevice></StorageController>
 <StorageController name="Disks">
  <AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{l}"/></AttachedDevice>
  <AttachedDevice type="HardDisk" port="1" device="0"><Image uuid="{o}"/></AttachedDevice></StorageController>
</StorageControllers></Hardware>
<Snapshot uuid="{p}" name="p"><Hardware><StorageControllers><StorageController name="CDs">
 <AttachedDevice type="DVD" port="1" device="0"><Image uuid="{s}"/></AttachedDevice></StorageController>
</StorageControllers></Hardware></Snapshot></Machine></VirtualBox>"""


def test_what_is_in_the_drives_now() -> None:
    assert media_in(parse_settings(SETTINGS).drives) == {
        "system": "/a/system.iso",
        "inbox": "emptydrive",
        "context": "?",
        "scratch": "/v/_bases/b.vdi",
        "outbox": "/v/one/outbox-32.vmdk",
    }
    assert media_in([("SATA", "0", "0", "/x")]) == {}
