"""The driver against a VirtualBox in memory: few calls, kills at any moment, and what is not ours."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client import process
from client.errors import ClientError, DiskFull
from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.errors import InvalidVmState, MediumMissing, NotSupportedByDriver, StartFailed
from client.hypervisor.virtualbox import problems
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import Ledger
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.shape import MARK, Abilities
from client.snapshot import VmState
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox


class Site:
    """A folder and its drivers."""

    def __init__(self, folder: Path, box: FakeVirtualBox) -> None:
        self.folder = folder
        self.box = box
        self.clock = FakeClock()

    def driver(self) -> VirtualBoxDriver:
        return VirtualBoxDriver(
            self.folder, clock=self.clock, installation=Installation(self.box, "7.2.22", Abilities())
        )


@pytest.fixture
def site(tmp_path: Path, box: FakeVirtualBox) -> Site:
    return Site(tmp_path / "vms", box)


async def state(driver: VirtualBoxDriver) -> VmState:
    return (await driver.info("one")).state


async def test_defining_takes_few_calls_and_marks_the_machine(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    assert len(site.box.calls) <= 10
    box = site.box.only()
    assert box.extra == {MARK: str(site.folder / "one")}
    assert json.loads((site.folder / "machines.json").read_text()) == {"one": box.uuid}
    count = len(site.box.calls)
    await driver.define(spec)
    assert len(site.box.calls) == count


async def test_a_vm_that_merely_runs_costs_one_call_a_minute(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    assert await state(driver) is VmState.RUNNING
    site.box.calls.clear()
    for _ in range(120):
        site.clock.advance(1)
        assert await state(driver) is VmState.RUNNING
    assert len(site.box.calls) <= 2


async def test_what_others_do_is_seen_at_once_by_its_signs(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    told: list[str] = []
    driver.on_change(told.append)
    await driver.define(spec)
    await driver.start("one")
    await state(driver)
    told.clear()
    box = site.box.only()
    box.state = "paused"
    site.box.note(box, "Changing the VM state from 'RUNNING' to 'SUSPENDED'")
    assert await state(driver) is VmState.PAUSED and told == ["one"]


async def test_resets_of_the_guest_are_counted_and_ours_are_not(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.reset("one")
    site.box.note(site.box.only(), "Changing the VM state from 'RUNNING' to 'RESETTING'")
    assert (await driver.info("one")).guest_resets == 1


@pytest.mark.parametrize("held", [False, True])
async def test_one_that_was_restored_gets_a_new_process_at_a_reset(site: Site, spec: VmSpec, held: bool) -> None:
    driver = site.driver()
    await driver.define(spec)
    for verb in ("start", "save", "start", *(("pause",) if held else ())):
        await getattr(driver, verb)("one")
    before, site.box.calls[:] = site.box.only().pid, []
    await driver.reset("one")
    assert await state(driver) is (VmState.PAUSED if held else VmState.RUNNING)
    assert site.box.only().pid != before and (await driver.info("one")).guest_resets == 0
    assert [words[2] for words in site.box.said("controlvm")] == ["poweroff", *(("pause",) if held else ())]
    # From now on it is a fresh one.
    await driver.reset("one")
    assert "reset" in [words[2] for words in site.box.said("controlvm")]


async def test_a_crash_is_a_failure_until_somebody_powers_it_off(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    site.box.crash(site.box.only().pid)
    info = await driver.info("one")
    assert info.state is VmState.FAILED and info.cause and info.pids == () and info.runs_since is None
    await driver.power_off("one")
    assert await state(driver) is VmState.DEFINED
    await driver.start("one")
    assert await state(driver) is VmState.RUNNING


async def test_the_accelerator_is_read_from_the_log(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    info = await driver.info("one")
    assert (info.accelerator, info.note) == ("hardware", "")
    await driver.power_off("one")
    site.box.log_lines = "00:00:00.2 NEM: NEMR3Init: Snail execution mode is active!\n"
    await driver.start("one")
    info = await driver.info("one")
    assert info.accelerator == "native-api" and "Hyper-V" in info.note


@pytest.mark.parametrize("verb", ["createvm", "setextradata", "modifyvm", "storagectl", "storageattach"])
async def test_a_definition_that_fails_leaves_nothing(site: Site, spec: VmSpec, verb: str) -> None:
    driver = site.driver()
    site.box.failures[verb] = problems.VirtualBoxDenied("no")
    with pytest.raises(problems.VirtualBoxDenied):
        await driver.define(spec)
    assert site.box.boxes == {} and not (site.folder / "one").exists()
    assert json.loads((site.folder / "machines.json").read_text()) == {}
    await driver.define(spec)
    assert await state(driver) is VmState.DEFINED


class Killed(BaseException):
    """The client is gone: nothing of it runs any more."""


@pytest.mark.parametrize("verb", ["createvm", "setextradata", "modifyvm", "storagectl", "storageattach"])
async def test_killed_while_defining(site: Site, spec: VmSpec, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    do = FakeVirtualBox._do

    def dies(self: FakeVirtualBox, words: tuple[str, ...]) -> str:
        if words[0] == "unregistervm" or words[0] == "list":
            raise Killed
        said = do(self, words)
        if words[0] == verb:
            raise Killed
        return said

    monkeypatch.setattr(FakeVirtualBox, "_do", dies)
    with pytest.raises(Killed):
        await site.driver().define(spec)
    monkeypatch.setattr(FakeVirtualBox, "_do", do)
    second = site.driver()
    (info,) = await second.list_vms()
    assert info.state is VmState.FAILED
    await second.define(spec)
    assert len(site.box.boxes) == 1 and await state(second) is VmState.DEFINED
    await second.destroy("one")
    assert site.box.boxes == {} and site.box.media == {}


async def test_destroy_leaves_nothing_but_what_is_not_ours(site: Site, spec: VmSpec, tmp_path: Path) -> None:
    foreign = tmp_path / "others"
    await site.box.change("createvm", "--name", "vc-one-1", "--uuid", "f" * 8, "--basefolder", str(foreign))
    site.box.media["/elsewhere/disk.vdi"] = ("hdd", "a" * 8)
    driver = site.driver()
    await driver.define(replace(spec, exchange_mib=1))
    await driver.start("one")
    await driver.destroy("one")
    await site.driver().list_vms()
    assert list(site.box.boxes) == ["f" * 8]
    # The appliance's CD stays in VirtualBox's list, as VirtualBox keeps those of others.
    assert "/elsewhere/disk.vdi" in site.box.media
    assert not [path for path in site.box.media if str(site.folder) in path]
    assert sorted(path.name for path in site.folder.rglob("*") if path.is_file()) == ["machines.json"]


async def test_a_base_that_another_program_has_open_goes_the_next_time(
    site: Site, spec: VmSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = site.driver()
    await driver.define(spec)
    (base,) = (tmp_path / "vms" / "_bases").glob("*.vdi")
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == base:
            raise PermissionError(13, "in use", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    await driver.destroy("one")
    assert base.exists() and await driver.list_vms() == ()
    monkeypatch.setattr(Path, "unlink", unlink)
    await site.driver().list_vms()
    assert not base.exists()


async def test_the_end_of_a_plain_vm_beside_another_lists_no_media(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.define(replace(spec, vm_id="two"))
    site.box.calls.clear()
    await driver.destroy("one")
    assert [words[:2] for words in site.box.calls if words[0] == "list"] == []
    await driver.destroy("two")
    assert site.box.boxes == {} and site.box.media == {}


async def test_an_orphan_is_found_by_the_list_of_machines(site: Site, spec: VmSpec) -> None:
    import shutil

    driver = site.driver()
    await driver.define(spec)
    shutil.rmtree(site.folder / "one")
    assert await site.driver().list_vms() == ()
    assert site.box.boxes == {}


@pytest.mark.parametrize("lost", [("machines.json",), ("one/record.json",), ("machines.json", "one/record.json")])
async def test_a_file_that_cannot_be_read_makes_no_orphan(site: Site, spec: VmSpec, lost: tuple[str, ...]) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.close()
    for name in lost:
        (site.folder / name).write_text("")
    await site.driver().list_vms()
    assert site.box.only().state == "running"


async def test_a_list_that_cannot_be_read_now_is_not_written_over(
    site: Site, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.driver().define(spec)
    ledger = Ledger(site.folder / "machines.json")
    before, read_text = ledger.all(), Path.read_text

    def refuse(self: Path, *args: Any, **named: Any) -> str:
        if self.name == "machines.json":
            raise PermissionError(self)
        return read_text(self, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        await site.driver().list_vms()
        with pytest.raises(ClientError):
            ledger.put("two", "other")
    assert ledger.all() == before and len(site.box.boxes) == 1


async def test_a_machine_made_while_orphans_are_sought_is_none(
    site: Site, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, listed = site.driver(), site.box.read
    site.folder.mkdir()

    async def read(*words: str, timeout_s: float = 20.0) -> str:
        if words[:2] == ("list", "vms"):
            monkeypatch.setattr(site.box, "read", listed)
            await asyncio.wait((asyncio.create_task(site.driver().define(spec)),))
        return await listed(*words)

    monkeypatch.setattr(site.box, "read", read)
    await driver.list_vms()
    assert site.box.only().settings.exists()


async def test_a_machine_that_virtualbox_forgot_is_told_to_it_again(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    site.box.boxes.clear()
    await site.driver().info("one")
    assert await state(site.driver()) is VmState.DEFINED and len(site.box.boxes) == 1


async def test_a_settings_file_that_is_gone_is_made_anew(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    site.box.only().settings.unlink()
    info = await site.driver().info("one")
    assert info.state is VmState.FAILED and info.cause
    second = site.driver()
    await second.start("one")
    assert await state(second) is VmState.RUNNING


async def test_a_saved_state_that_cannot_be_used_is_thrown_away(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.save("one")
    site.box.failures["startvm"] = problems.SavedStateUnusable("VERR_SSM_UNEXPECTED_DATA")
    await driver.start("one")
    info = await driver.info("one")
    assert info.state is VmState.RUNNING and "afresh" in info.note
    assert site.box.said("discardstate")


@pytest.mark.parametrize("error", [problems.NotEnoughMemory("no"), problems.KernelModuleMissing("no")])
async def test_a_saved_state_outlives_a_start_that_fails_for_another_cause(
    site: Site, spec: VmSpec, error: ClientError
) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.save("one")
    site.box.failures["startvm"] = error
    with pytest.raises(type(error)):
        await driver.start("one")
    assert await state(driver) is VmState.SAVED


async def test_a_lasting_cause_is_remembered_and_forgotten(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    site.box.failures["startvm"] = problems.VirtualizationOff("VERR_VMX_MSR_ALL_VMX_DISABLED")
    with pytest.raises(problems.VirtualizationOff):
        await driver.start("one")
    report = await site.driver().probe()
    assert not report.available and report.problem == "virtualization-off"
    site.clock.advance(8 * 86400)
    assert (await site.driver().probe()).available


async def test_an_unknown_failure_brings_the_end_of_the_log(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.power_off("one")
    site.box.failures["startvm"] = problems.VirtualBoxFailed(("startvm",), 1, "odd")
    with pytest.raises(StartFailed) as caught:
        await driver.start("one")
    assert "odd" in caught.value.stderr and "HMR3Init" in caught.value.stderr
    assert await state(driver) is VmState.DEFINED


async def test_a_save_that_fails_lets_it_go_on(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    site.box.note(site.box.only(), "aText={Failed to save the machine state to '/x.sav' (VERR_DISK_FULL)}")
    site.box.failures["controlvm savestate"] = problems.StateNotSaved("Failed to save machine state.")
    with pytest.raises(ClientError) as caught:
        await driver.save("one")
    assert caught.value.code == "disk-full" and await state(driver) is VmState.RUNNING


async def test_a_full_disk_while_defining(site: Site, spec: VmSpec) -> None:
    site.box.failures["storageattach"] = problems.VirtualBoxDiskFull("VERR_DISK_FULL")
    with pytest.raises(DiskFull):
        await site.driver().define(spec)
    assert not (site.folder / "one").exists()


async def test_a_process_that_a_throttle_left_stopped_is_woken(
    site: Site, spec: VmSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[int] = []
    monkeypatch.setattr(process, "wake", lambda who: woken.append(who.pid))
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.close()
    assert await state(site.driver()) is VmState.RUNNING
    assert woken == [site.box.only().pid]


async def test_a_redefinition_changes_only_what_differs(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    uuid = site.box.only().uuid
    await driver.start("one")
    with pytest.raises(InvalidVmState):
        await driver.define(replace(spec, memory_mib=96))
    await driver.save("one")
    site.box.calls.clear()
    await driver.define(replace(spec, memory_mib=96))
    assert (site.box.only().uuid, site.box.only().options["--memory"]) == (uuid, "96")
    assert not site.box.said("storageattach") and not site.box.said("createvm")
    assert await state(driver) is VmState.DEFINED


async def test_what_it_cannot_is_said(site: Site, spec: VmSpec, tmp_path: Path) -> None:
    from client.hypervisor.driver import DirectBoot

    driver = site.driver()
    with pytest.raises(NotSupportedByDriver):
        await driver.define(replace(spec, direct_boot=DirectBoot(tmp_path, tmp_path)))
    with pytest.raises(NotSupportedByDriver):
        await driver.define(replace(spec, link_device="virtio"))
    with pytest.raises(MediumMissing):
        await driver.define(replace(spec, media=(Medium(MediumRole.SYSTEM, tmp_path / "none"),)))


async def test_virtualbox_that_does_not_answer_is_asked_again_in_a_minute(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await state(driver)
    site.clock.advance(61)
    site.box.failures["showvminfo"] = problems.VirtualBoxSilent(("showvminfo",), "not done")
    info = await driver.info("one")
    assert info.state is VmState.RUNNING and "does not answer" in info.note
    count = len(site.box.calls)
    await driver.info("one")
    assert len(site.box.calls) == count


async def test_live_changes_hold_for_the_next_start(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    assert driver.live is not None
    await driver.define(spec)
    await driver.start("one")
    await driver.live.set_network("one", False)
    assert site.box.only().options["live setlinkstate1"] == "off"
    await driver.save("one")
    await driver.live.set_cpu_cap("one", 40)
    await driver.start("one")
    options = site.box.only().options
    assert (options["--cableconnected1"], options["live cpuexecutioncap"]) == ("off", "40")
    site.box.calls.clear()
    await driver.power_off("one")
    await driver.live.set_cpu_cap("one", 30)
    await driver.start("one")
    assert site.box.only().options["--cpuexecutioncap"] == "30"
    assert [words[2:] for words in site.box.said("controlvm")] == [("poweroff",)]


async def test_a_vm_that_runs_without_its_live_changes_has_started(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    assert driver.live is not None
    await driver.define(spec)
    await driver.start("one")
    await driver.save("one")
    await driver.live.set_cpu_cap("one", 40)
    site.box.failures["controlvm cpuexecutioncap"] = problems.VirtualBoxFailed(("controlvm",), 1, "not now")
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING
    assert "live cpuexecutioncap" not in site.box.only().options
    await driver.save("one")
    await driver.start("one")
    assert site.box.only().options["live cpuexecutioncap"] == "40"


async def test_what_runs_is_powered_off_even_if_virtualbox_is_gone(site: Site, spec: VmSpec, tmp_path: Path) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.start("one")
    await driver.close()
    without = VirtualBoxDriver(site.folder, clock=site.clock, search_path=str(tmp_path / "nowhere"))
    await without.power_off("one")
    assert not site.box.alive and (site.folder / "one").is_dir()


async def test_settings_of_before_it_had_its_disks_do_not_come_back(site: Site, spec: VmSpec) -> None:
    driver = site.driver()
    await driver.define(spec)
    await driver.close()
    box = site.box.only()
    whole = box.settings.read_text()
    former = re.sub("<AttachedDevice.*</AttachedDevice>", "", whole)
    assert former != whole
    box.settings.with_name(box.settings.name + "-prev").write_text(former)
    box.settings.unlink()
    driver = site.driver()
    await driver.start("one")
    assert site.box.only() is not box and len(site.box.only().drives) == len(spec.media)
    await driver.close()
