"""What must outlive a kill of the client, a file that cannot be read, a full disk, and VirtualBox gone for a while."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import ClientError, DiskFull, ToolMissing
from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.errors import InvalidVmState, SaveFailed, StartFailed, VmFolderUnreadable
from client.hypervisor.virtualbox import full_disk, problems, save
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.shape import Abilities
from client.snapshot import VmState
from tests.unit.hypervisor.virtualbox.fake_virtualbox import Box, FakeVirtualBox

HELD = (
    "Changing the VM state from 'RUNNING' to 'SUSPENDING'\n"
    'Console: VM runtime error: fatal=false, errorID=DrvVD_DISKFULL message="Host system reported disk full."\n'
    "Changing the VM state from 'SUSPENDING' to 'SUSPENDED'"
)


class Killed(BaseException):
    """The client is gone: nothing of it runs any more."""


class Place:
    """A folder with one VM, and ever new drivers on it."""

    def __init__(self, folder: Path, box: FakeVirtualBox) -> None:
        self.folder = folder
        self.box = box

    def driver(self) -> VirtualBoxDriver:
        return VirtualBoxDriver(self.folder, installation=Installation(self.box, "7.2.22", Abilities()))

    @property
    def one(self) -> VmFolder:
        return VmFolder(self.folder / "one")

    async def has(self, spec: VmSpec, *verbs: str) -> VirtualBoxDriver:
        """A driver after some verbs."""
        driver = self.driver()
        await driver.define(spec)
        for verb in verbs:
            await getattr(driver, verb)("one")
        return driver


@pytest.fixture
def place(tmp_path: Path, box: FakeVirtualBox) -> Place:
    return Place(tmp_path / "vms", box)


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a file of that name refuse to be read."""
    read = Path.read_text

    def refuse(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if self.name == name:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, encoding, errors)

    monkeypatch.setattr(Path, "read_text", refuse)


def starts_badly(place: Place, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Have the VM's process write a log and end."""

    def start(uuid: str, *words: str) -> None:
        log = place.box.only().settings.parent / "Logs" / "VBox.log"
        log.unlink(missing_ok=True)
        log.parent.mkdir(exist_ok=True)
        log.write_text(said)
        raise problems.EndedAtStart("vc-one", "", "terminated unexpectedly during startup")

    monkeypatch.setattr(place.box, "_startvm", start)


@pytest.mark.parametrize(
    "error",
    [
        problems.EndedAtStart("vc-one", "", "terminated"),
        problems.PipeRefused("NamedPipe#0 failed"),
        problems.VirtualBoxDenied("VERR_ACCESS_DENIED"),
        problems.MediumInUse("/x.vdi", "in use"),
        problems.MediumUnreadable("/x.vdi", "gone"),
        problems.VirtualBoxFailed(("startvm",), 1, "odd"),
    ],
    ids=lambda error: error.code,
)
async def test_only_a_state_that_is_unusable_is_thrown_away(place: Place, spec: VmSpec, error: ClientError) -> None:
    driver = await place.has(spec, "start", "save")
    place.box.failures["startvm"] = error
    with pytest.raises(ClientError):
        await driver.start("one")
    assert not place.box.said("discardstate") and (await driver.info("one")).state is VmState.SAVED
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_why_a_process_ended_at_its_start_is_read_in_its_log(
    place: Place, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await place.has(spec)
    starts_badly(place, monkeypatch, "VMSetError: VT-x is not available (VERR_VMX_NO_VMX)\n")
    with pytest.raises(problems.NoVirtualization):
        await driver.start("one")
    assert not (await driver.probe()).available


async def test_the_log_of_an_earlier_start_names_nothing(place: Place, spec: VmSpec) -> None:
    driver = await place.has(spec, "start")
    place.box.note(place.box.only(), "VERR_VMX_NO_VMX")
    await driver.power_off("one")
    place.box.failures["startvm"] = problems.EndedAtStart("vc-one", "", "terminated unexpectedly")
    with pytest.raises(StartFailed) as caught:
        await driver.start("one")
    assert "terminated unexpectedly" in caught.value.stderr


async def test_the_log_that_virtualbox_names_is_read(place: Place, spec: VmSpec, tmp_path: Path) -> None:
    driver = await place.has(spec)
    hardening = tmp_path / "VBoxHardening.log"
    hardening.write_text("VERR_VM_DRIVER_NOT_INSTALLED\n")
    place.box.failures["startvm"] = problems.EndedAtStart("vc-one", str(hardening), "terminated")
    with pytest.raises((problems.KernelModuleMissing, problems.MacApprovalMissing)):
        await driver.start("one")


async def test_without_virtualbox_a_vm_is_removed_and_virtualbox_told_when_it_is_back(
    place: Place, spec: VmSpec, tmp_path: Path
) -> None:
    await (await place.has(spec, "start")).close()
    await (await place.has(replace(spec, vm_id="two"))).close()
    without = VirtualBoxDriver(place.folder, search_path=str(tmp_path / "none"))
    await without.destroy("one")
    assert not place.box.alive and not place.one.path.exists()
    assert (place.folder / "_bases").exists()
    await without.destroy("two")
    assert [one.name for one in place.folder.iterdir()] == ["machines.json"]
    assert await without.list_vms() == ()
    assert len(place.box.boxes) == 2
    back = place.driver()
    assert await back.list_vms() == ()
    assert not place.box.boxes
    assert not [path for path in place.box.media if str(place.folder) in path]
    assert json.loads((place.folder / "machines.json").read_text()) == {}


async def test_a_vm_made_anew_before_virtualbox_was_told_is_another_one(
    place: Place, spec: VmSpec, tmp_path: Path
) -> None:
    await (await place.has(spec)).close()
    former = place.one.record().uuid
    await VirtualBoxDriver(place.folder, search_path=str(tmp_path / "none")).destroy("one")
    back = await place.has(spec)
    assert place.one.record().uuid != former
    await back.list_vms()
    assert list(place.box.boxes) == [place.one.record().uuid]


async def test_a_vm_whose_record_cannot_be_read_stays(
    place: Place, spec: VmSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await place.has(spec)).close()
    without = VirtualBoxDriver(place.folder, search_path=str(tmp_path / "none"))

    def unreadable(folder: VmFolder) -> None:
        raise VmFolderUnreadable("one", "record.json", "no")

    monkeypatch.setattr(VmFolder, "record", unreadable)
    with pytest.raises(VmFolderUnreadable):
        await without.destroy("one")
    assert place.one.path.exists()


@pytest.mark.parametrize("verb", ["power_off", "destroy"])
async def test_virtualbox_vanishes_while_a_vm_runs(place: Place, spec: VmSpec, verb: str) -> None:
    driver = await place.has(spec, "start")
    place.box.failures["controlvm"] = ToolMissing("VBoxManage", "virtualbox")
    await getattr(driver, verb)("one")
    assert not place.box.alive


async def test_fields_of_a_later_client_are_passed_over(place: Place, spec: VmSpec) -> None:
    await (await place.has(spec, "start", "save")).close()
    path = place.folder / "one" / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    driver = place.driver()
    uuid = place.box.only().uuid
    await driver.start("one")
    assert place.box.only().uuid == uuid and (await driver.info("one")).state is VmState.RUNNING


async def test_a_damaged_record_leads_to_the_same_machine(place: Place, spec: VmSpec) -> None:
    await (await place.has(spec, "start", "save")).close()
    box = place.box.only()
    place.box.calls.clear()
    (place.folder / "one" / "record.json").write_text("")
    driver = place.driver()
    assert (await driver.info("one")).state is VmState.SAVED
    await driver.start("one")
    await driver.save("one")
    await driver.define(replace(spec, memory_mib=96))
    assert place.box.only() is box and box.options["--memory"] == "96"
    assert not place.box.said("unregistervm") and not place.box.said("storageattach")


@pytest.mark.parametrize("lost", ["removed", "emptied"])
async def test_one_that_runs_without_a_record_is_destroyed_with_its_process(
    place: Place, spec: VmSpec, lost: str
) -> None:
    await (await place.has(spec, "start")).close()
    record = place.folder / "one" / "record.json"
    record.unlink()
    if lost == "emptied":
        record.touch()
    await place.driver().destroy("one")
    assert not place.box.alive and not place.box.boxes and not place.one.path.exists()


@pytest.mark.parametrize("name", ["record.json", "spec.json", "machine.vbox"])
async def test_a_file_that_cannot_be_read_now_is_not_missing(
    place: Place, spec: VmSpec, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await place.has(spec, "start", "save")).close()
    place.box.calls.clear()
    with monkeypatch.context() as patch:
        unreadable(patch, place.one.settings_file.name if name == "machine.vbox" else name)
        driver = place.driver()
        if name != "machine.vbox":
            info = await driver.info("one")
            assert info.state is VmState.UNKNOWN and "Permission denied" in info.note
        for verb in (driver.start("one"), driver.define(replace(spec, memory_mib=96))):
            with pytest.raises(VmFolderUnreadable):
                await verb
        await driver.close()
    assert not place.box.said("unregistervm") and not place.box.said("discardstate")
    driver = place.driver()
    await driver.start("one")
    assert place.one.record().restored


async def test_damaged_settings_are_replaced_by_the_former_ones(place: Place, spec: VmSpec) -> None:
    await (await place.has(spec)).close()
    box, settings = place.box.only(), place.one.settings_file
    settings.with_name(settings.name + "-prev").write_text(settings.read_text())
    settings.write_text("<VirtualBox")
    driver = place.driver()
    await driver.start("one")
    assert place.box.only() is box and not place.box.said("unregistervm")


async def test_one_that_runs_is_powered_off_before_it_is_made_anew(place: Place, spec: VmSpec) -> None:
    await (await place.has(spec, "start")).close()
    uuid = place.box.only().uuid
    (place.folder / "one" / "spec.json").unlink()
    driver = place.driver()
    await driver.define(spec)
    assert not place.box.alive and place.box.only().uuid != uuid
    assert (await driver.info("one")).state is VmState.DEFINED


@pytest.mark.parametrize("verb", ["modifyvm", "storagectl", "storageattach"])
@pytest.mark.parametrize("way", [Killed(), problems.VirtualBoxSilent(("modifyvm",), "not done in time")])
async def test_a_change_that_is_broken_off_is_done_wholly_later(
    place: Place, spec: VmSpec, tmp_path: Path, verb: str, way: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = FakeVirtualBox._do
    plain = replace(spec, media=spec.media[:1])
    await (await place.has(plain)).close()
    system = tmp_path / "new.iso"
    system.write_bytes(spec.media[0].path.read_bytes())
    new = replace(spec, memory_mib=96, media=(Medium(MediumRole.SYSTEM, system), spec.media[1]))

    def breaks(self: FakeVirtualBox, words: tuple[str, ...]) -> str:
        if words[0] == verb:
            raise way
        return do(self, words)

    monkeypatch.setattr(FakeVirtualBox, "_do", breaks)
    with pytest.raises(type(way)):
        await place.driver().define(new)
    monkeypatch.setattr(FakeVirtualBox, "_do", do)
    await place.driver().define(new)
    box = place.box.only()
    assert box.options["--memory"] == "96" and str(system) in box.drives.values() and len(box.drives) == 2


async def test_a_change_that_is_broken_off_is_not_taken_for_the_former_machine(place: Place, spec: VmSpec) -> None:
    driver = await place.has(spec)
    place.box.failures["modifyvm"] = problems.VirtualBoxSilent(("modifyvm",), "not done in time")
    with pytest.raises(problems.VirtualBoxSilent):
        await driver.define(replace(spec, memory_mib=96))
    place.box.only().options["--memory"] = "96"
    await driver.define(spec)
    assert place.box.only().options["--memory"] == "64"


async def test_a_process_that_was_not_written_down_is_ended(
    place: Place, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await place.has(spec, "start")).close()
    place.one.write_record(pid=0, started_at="")

    async def hang(*words: str, timeout_s: float = 0.0) -> str:
        raise problems.VirtualBoxSilent(words, "not done in time")

    monkeypatch.setattr(place.box, "read", hang)
    monkeypatch.setattr(place.box, "change", hang)
    await place.driver().power_off("one")
    assert not place.box.alive


async def test_a_stranger_that_has_the_pid_now_is_left_alone(
    place: Place, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await place.has(spec, "start", "power_off")).close()
    stranger = 5001
    place.box.alive.add(stranger)
    place.one.write_record(phase="running")
    await place.driver().power_off("one")
    assert place.box.alive == {stranger}


async def test_one_that_virtualbox_stopped_is_started_anew(place: Place, spec: VmSpec) -> None:
    await (await place.has(spec, "start")).close()
    box = place.box.only()
    box.state, before = "gurumeditation", box.pid
    driver = place.driver()
    await driver.start("one")
    info = await driver.info("one")
    assert info.state is VmState.RUNNING and info.pids == (box.pid,) and place.box.alive == {box.pid} != {before}


async def test_one_whose_state_is_not_known_is_left_as_it_is(place: Place, spec: VmSpec) -> None:
    await (await place.has(spec, "start")).close()
    before = place.one.record()
    place.box.only().state = "dancing"
    with pytest.raises(InvalidVmState):
        await place.driver().start("one")
    assert place.one.record() == before and len(place.box.said("startvm")) == 1


async def test_a_link_that_was_left_unplugged_is_plugged_in_at_the_next_start(place: Place, spec: VmSpec) -> None:
    driver = await place.has(spec, "start")
    machine = await driver._known("one")
    place.box.failures["controlvm changeuartmode2"] = problems.VirtualBoxSilent(("controlvm",), "not done in time")
    with pytest.raises(problems.VirtualBoxSilent):
        await machine.replug_link()
    await driver.save("one")
    await driver.close()
    driver = place.driver()
    await driver.discard_saved("one")
    place.box.calls.clear()
    await driver.start("one")
    plugged = f"server {place.one.record().link}"
    assert place.box.only().options["live changeuartmode2"] == plugged
    assert str(place.box.calls).count("changeuartmode2") == 1
    place.box.calls.clear()
    await driver.power_off("one")
    await driver.start("one")
    assert "changeuartmode2" not in str(place.box.calls)


async def test_a_restored_guest_is_made_able_to_send(place: Place, spec: VmSpec) -> None:
    """VirtualBox forgets what was being sent when the state was saved, and waits for it; a new line is free."""
    driver = await place.has(spec, "start", "save")
    place.box.calls.clear()
    await driver.start("one")
    modes = [call[3:] for call in place.box.calls if "changeuartmode2" in call]
    assert modes == [("disconnected",), ("server", place.one.record().link)]
    assert not place.one.record().unplugged


async def test_a_restored_guest_runs_though_its_line_could_not_be_renewed(place: Place, spec: VmSpec) -> None:
    driver = await place.has(spec, "start", "save")
    place.box.failures["controlvm changeuartmode2"] = problems.VirtualBoxSilent(("controlvm",), "not done in time")
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING
    assert place.one.record().unplugged, "so the next who opens the link plugs it in"


SAID = "Failed to save machine state.\nCode NS_ERROR_FAILURE (0x80004005) - Operation failed"


@pytest.mark.parametrize("free", [0, 1 << 40])
@pytest.mark.parametrize("is_logged", [True, False])
async def test_a_save_without_space_is_named(
    place: Place, spec: VmSpec, monkeypatch: pytest.MonkeyPatch, free: int, is_logged: bool
) -> None:
    driver = await place.has(spec, "start")
    monkeypatch.setattr(save, "free_bytes", lambda folder: free)
    if is_logged:
        place.box.note(place.box.only(), "aText={Failed to save the machine state to 'x.sav' (VERR_DISK_FULL)}")
    place.box.failures["controlvm savestate"] = problems.StateNotSaved(SAID)
    expected = DiskFull if is_logged or not free else SaveFailed
    with pytest.raises(expected):
        await driver.save("one")
    assert (await driver.info("one")).state is VmState.RUNNING


def fill_up(place: Place) -> Box:
    box = place.box.only()
    box.state = "paused"
    place.box.note(box, HELD)
    return box


async def test_a_full_disk_is_said_and_the_guest_goes_on_with_space(
    place: Place, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await place.has(spec, "start")
    box = fill_up(place)
    info = await driver.info("one")
    assert info.state is VmState.PAUSED and "no space" in info.note
    monkeypatch.setattr(full_disk, "free_bytes", lambda folder: 0)
    with pytest.raises(DiskFull):
        await driver.resume("one")
    assert box.state == "paused"
    monkeypatch.setattr(full_disk, "free_bytes", lambda folder: 1 << 40)
    await driver.resume("one")
    place.box.note(box, "Changing the VM state from 'RESUMING' to 'RUNNING'")
    await driver.pause("one")
    assert (await driver.info("one")).note == ""


async def test_a_guest_cannot_feign_a_full_disk(place: Place, spec: VmSpec) -> None:
    driver = await place.has(spec, "start")
    place.box.note(place.box.only(), "VMMDev: Guest Log: DrvVD_DISKFULL")
    await driver.pause("one")
    assert (await driver.info("one")).note == ""


@pytest.mark.parametrize(
    "error", [problems.WrongState("no"), problems.VirtualBoxSilent(("x",), "y"), ToolMissing("VBoxManage", "")]
)
async def test_a_shutdown_that_virtualbox_does_not_do_ends_it_all_the_same(
    place: Place, spec: VmSpec, error: ClientError
) -> None:
    driver = await place.has(spec, "start")
    place.one.write_record(pid=0, started_at="")
    place.box.failures["controlvm acpipowerbutton"] = error
    assert not await driver.shut_down("one", 0.0)
    assert not place.box.alive and (await driver.info("one")).state is VmState.DEFINED


async def test_vms_that_are_made_at_the_same_time_share_one_base(place: Place, spec: VmSpec) -> None:
    spec.media[1].path.write_bytes(os.urandom(8 << 20))
    driver = place.driver()
    names = ("one", "two", "three")
    await asyncio.gather(*(driver.define(replace(spec, vm_id=name)) for name in names), driver.list_vms())
    assert [info.state for info in await driver.list_vms()] == [VmState.DEFINED] * 3
    (base,) = (place.folder / "_bases").iterdir()
    assert all(str(base) in box.drives.values() for box in place.box.boxes.values())
