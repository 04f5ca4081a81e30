"""Own VMs under the core, on the fake driver: beside the project's, within the limits, and over kills at any moment."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.appliance.medium import write_medium
from client.appliance.ovf import Asked
from client.appliance.worker import OnProgress
from client.commands import (
    Command,
    CreateVm,
    DismissProblem,
    OrderVm,
    Pause,
    PowerOff,
    Quit,
    Resume,
    Start,
    Stop,
    VmVerb,
)
from client.core import Core
from client.errors import BadInput
from client.hypervisor.driver import DriverReport, Feature, VmInfo, VmSpec
from client.hypervisor.errors import NoHypervisor, SaveFailed, StartFailed
from client.hypervisor.fake import FakeDriver
from client.leaving import Patience
from client.own_image import BootImage
from client.own_keeper import OwnKeeper
from client.own_make import sized
from client.own_share import Project, Size, project_waits, share_out, wanted_of
from client.own_vm import Boots, OwnStore, OwnVm, Wish
from client.own_vms import OwnVms
from client.reconcile import Intent, Want
from client.snapshot import Activity, ClientSnapshot, Reason, VmKind, VmState, VmView
from tests.helpers.client_core import Rig, quicken

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFpvPsKqZ3cEo4hLKTzVHtWDdsGxHwvWhTLXPDvd7B8s me@home"
ROOM = {"guest.cpus": 4, "guest.memory_mib": 4096}
BOX = "own-box"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    quicken(monkeypatch)

    async def as_it_is(_: object, words: str, on_progress: OnProgress) -> BootImage:
        """Without the workers that take images into the store."""
        return BootImage(Path(words), Path(words).name)

    monkeypatch.setattr("client.own_vms.boot_file", as_it_is)
    rig = Rig(tmp_path / "base", preferences=dict(ROOM))
    rig.prepare()
    return rig


def a_box(folder: Path, **more: object) -> CreateVm:
    iso = folder / "tiny.iso"
    if not iso.exists():
        write_medium(iso, {"a": b"a"}, "TINY")
    return replace(CreateVm("Box", str(iso), template="linux", values={"key": KEY}, disk_gib=1, starts=True), **more)


def own(snapshot: ClientSnapshot, vm_id: str = BOX) -> VmView | None:
    return next((vm for vm in snapshot.vms if vm.vm_id == vm_id), None)


def is_in(state: VmState, vm_id: str = BOX) -> Callable[[ClientSnapshot], bool]:
    return lambda snapshot: (vm := own(snapshot, vm_id)) is not None and vm.state is state


def waits_for(code: str, vm_id: str = BOX) -> Callable[[ClientSnapshot], bool]:
    return lambda s: (vm := own(s, vm_id)) is not None and vm.reason is not None and vm.reason.code == code


async def ids(rig: Rig) -> list[str]:
    assert rig.driver is not None
    return [info.vm_id for info in await rig.driver.list_vms()]


def traces(rig: Rig) -> list[str]:
    return [str(path) for path in rig.folder.rglob("*") if BOX in str(path)]


async def order(core: Core, *verbs: VmVerb) -> None:
    for verb in verbs:
        await core.handle(OrderVm("Box", verb))


async def test_one_runs_beside_the_projects(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await core.handle(a_box(tmp_path))
        seen = await rig.until(lambda s: s.activity is Activity.WORKING and is_in(VmState.RUNNING)(s))
        assert [vm.kind for vm in seen.vms] == [VmKind.PROJECT, VmKind.OWN]
        view = own(seen)
        assert view is not None
        assert (view.name, view.wish, view.reason) == ("Box", "run", None)
        assert view.about == (
            "tiny.iso, 1 processor, 512 MiB, disk of 1 GiB, no network, set up by \u201cLinux with your ssh key\u201d"
        )
        assert not seen.headline.startswith("Box")


async def test_an_image_that_is_damaged_is_not_booted(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / ("0" * 64)  # as in the store, where a folder is called by the hash of what it holds
    folder.mkdir()
    async with rig.running() as core:
        await core.handle(a_box(folder))
        await rig.until(lambda s: "image-damaged" in {one.code for one in s.problems})
        assert BOX not in await ids(rig)


async def test_each_verb_does_what_it_says(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(a_box(tmp_path, starts=False))
        await rig.until(waits_for("own-at-rest"))
        with pytest.raises(BadInput, match="nothing to reset"):
            core.own.order(OrderVm(BOX, VmVerb.RESET))
        for verb, state in (
            (VmVerb.START, VmState.RUNNING),
            (VmVerb.PAUSE, VmState.PAUSED),
            (VmVerb.RESUME, VmState.RUNNING),
            (VmVerb.SAVE, VmState.SAVED),
            (VmVerb.START, VmState.RUNNING),
            (VmVerb.POWER_OFF, VmState.DEFINED),
            (VmVerb.START, VmState.RUNNING),
        ):
            await order(core, verb)
            await rig.until(is_in(state))
        await order(core, VmVerb.RESET)
        while [entry.step for entry in core._journal.entries() if entry.about == BOX][-1] != "reset":
            await asyncio.sleep(0.01)


async def test_a_pause_of_all_holds_it_and_stop_saves_it(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Pause())
        held = await rig.until(is_in(VmState.PAUSED))
        assert own(held).reason.code == "paused-by-user"
        await core.handle(Resume())
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Stop())
        await rig.until(is_in(VmState.SAVED))
        await rig.until(waits_for("stopped-by-user"))
        await core.handle(Start())
        await rig.until(is_in(VmState.RUNNING))


async def test_after_stop_one_can_be_started_alone(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Stop())
        await rig.until(is_in(VmState.SAVED))
        await order(core, VmVerb.START)
        seen = await rig.until(is_in(VmState.RUNNING))
        assert not seen.allowed.pause


@pytest.mark.parametrize("command", [Quit(), PowerOff()])
async def test_the_end_saves_it_and_the_next_run_goes_on(rig: Rig, tmp_path: Path, command: Command) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await core.handle(a_box(tmp_path))
        await rig.until(lambda s: s.activity is Activity.WORKING and is_in(VmState.RUNNING)(s))
        if isinstance(command, PowerOff):
            # Of the project's VM alone.
            await core.handle(command)
            await rig.until(is_in(VmState.DEFINED, "work-1"))
            assert is_in(VmState.RUNNING)(rig.last)
        await core.handle(Quit())
        await rig.ended()
        assert is_in(VmState.SAVED)(rig.last)
    async with rig.running():
        seen = await rig.until(is_in(VmState.RUNNING))
        assert own(seen).wish == "run"


async def fails_to_save(driver: FakeDriver, vm_id: str) -> None:
    raise SaveFailed(vm_id, "no")


@pytest.mark.parametrize("with_work", [True, False])
async def test_the_end_comes_though_it_cannot_be_saved(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_work: bool
) -> None:
    monkeypatch.setattr("client.core.LEAVE_S", 0.5)
    monkeypatch.setattr(FakeDriver, "save", fails_to_save)
    async with rig.running() as core:
        if with_work:
            await core.handle(Start())
            await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Quit())
        await rig.ended()
    assert rig.driver is not None
    assert {(await rig.driver.info(vm_id)).state for vm_id in await ids(rig)} == {VmState.DEFINED}


async def test_removed_it_leaves_no_trace(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        assert traces(rig)
        await order(core, VmVerb.REMOVE, VmVerb.START)
        await rig.until(lambda s: own(s) is None)
        assert traces(rig) == []
        assert await ids(rig) == ["work-1"]
        # Its image is its owner's.
        assert (tmp_path / "tiny.iso").exists()
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))


async def test_a_kill_between_any_two_steps_leaves_no_orphan(rig: Rig, tmp_path: Path) -> None:
    """Made, then killed each time something more was begun; in the end removed, with kills again."""
    async with rig.running() as core:
        await core.own.create(a_box(tmp_path))
    for _ in range(4):
        async with rig.running() as core:
            begun = len(core._journal.entries())
            while len(core._journal.entries()) <= begun and not (rig.last and is_in(VmState.RUNNING)(rig.last)):
                await asyncio.sleep(0)
    async with rig.running() as core:
        await rig.until(is_in(VmState.RUNNING))
        await order(core, VmVerb.REMOVE)
    async with rig.running():
        await rig.until(lambda s: s.allowed.start and own(s) is None)
        while traces(rig):
            await asyncio.sleep(0.01)


async def killed(*_: object) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("verb", ["define", "start"])
async def test_a_kill_within_a_boot(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FakeDriver, verb, killed)
        async with rig.running() as core:
            await core.handle(a_box(tmp_path))
            while not any(entry.about == BOX for entry in core._journal.entries()):
                await asyncio.sleep(0.01)
    async with rig.running():
        await rig.until(is_in(VmState.RUNNING))
        assert (await ids(rig)).count(BOX) == 1


async def test_a_step_that_changes_nothing_is_not_taken_again_and_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.own_keeper.SAME_AGAIN_S", 3600.0)
    looks, pauses, look = 0, 0, FakeDriver.info

    async def info(driver: FakeDriver, vm_id: str) -> VmInfo:
        nonlocal looks
        looks += vm_id == BOX
        return await look(driver, vm_id)

    async def in_vain(*_: object) -> None:
        nonlocal pauses
        pauses += 1

    monkeypatch.setattr(FakeDriver, "info", info)
    monkeypatch.setattr(FakeDriver, "pause", in_vain)
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await order(core, VmVerb.PAUSE)
        while pauses < 1:
            await asyncio.sleep(0.01)
        ends = looks + 20
        while looks < ends:
            await asyncio.sleep(0.01)
        assert pauses == 1
        await order(core, VmVerb.RESUME)


async def test_what_no_store_knows_is_removed_and_only_if_it_is_marked(rig: Rig) -> None:
    driver = FakeDriver(rig.paths.vms)
    for vm_id in ("own-lost", "lost", "owner-1"):
        await driver.define(VmSpec(vm_id, vm_id, 1, 64, ()))
    (rig.paths.own / "own-half").mkdir(parents=True)
    rig.paths.context("own-alone").write_bytes(b"seed")
    (rig.paths.own / "mine").mkdir()
    async with rig.running():
        await rig.until(lambda s: s.allowed.start)
        while "own-lost" in await ids(rig) or (rig.paths.own / "own-half").exists():
            await asyncio.sleep(0.01)
        while rig.paths.context("own-alone").exists():
            await asyncio.sleep(0.01)
        assert {"lost", "owner-1"} <= set(await ids(rig))
        assert (rig.paths.own / "mine").exists()


async def test_one_that_cannot_be_read_is_shown_and_left_until_it_is_removed(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Quit())
        await rig.ended()
    (rig.paths.own / BOX / "vm.toml").write_text("nonsense")
    async with rig.running() as core:
        await rig.until(lambda s: s.allowed.start and waits_for("own-vm-unreadable")(s))
        assert BOX in await ids(rig)
        await core.handle(OrderVm(BOX, VmVerb.REMOVE))
        await rig.until(lambda s: own(s) is None)
        while traces(rig):
            await asyncio.sleep(0.01)


async def test_one_that_does_not_fit_waits_and_says_why(rig: Rig, tmp_path: Path) -> None:
    rig.preferences |= {"guest.cpus": 1}
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(a_box(tmp_path))
        seen = await rig.until(waits_for("own-no-room"))
        assert "it needs 1 processor and 512 MiB" in own(seen).reason.text
        assert seen.activity is Activity.WORKING
        await core.handle(Stop())
        await order(core, VmVerb.START)
        await rig.until(is_in(VmState.RUNNING))
        # The project comes first: its own gives way, and the two are never up together.
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert is_in(VmState.SAVED)(rig.last)
    steps = [(entry.about, entry.step) for entry in core._journal.entries() if entry.step in {"save", "restore"}]
    assert steps[-2:] == [(BOX, "save"), ("work-1", "restore")]


async def test_a_guest_that_turns_itself_off_stays_off(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        assert rig.driver is not None
        await rig.driver.power_off(BOX)
        await rig.until(waits_for("own-off"))
        await order(core, VmVerb.START)
        await rig.until(is_in(VmState.RUNNING))


async def test_what_the_program_turned_off_since_it_cannot_be_saved_runs_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = FakeDriver.probe

    async def saves_nothing(driver: FakeDriver) -> DriverReport:
        report = await probe(driver)
        return replace(report, features=report.features - {Feature.SAVE_STATE})

    monkeypatch.setattr(FakeDriver, "probe", saves_nothing)
    async with rig.running() as core:
        await core.handle(Start())
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Stop())
        seen = await rig.until(lambda s: is_in(VmState.DEFINED)(s) and waits_for("stopped-by-user")(s))
        assert own(seen).wish == "run"
        await core.handle(Start())
        await rig.until(is_in(VmState.RUNNING))


async def test_one_that_fails_is_said_started_again_and_stops_no_work(rig: Rig, tmp_path: Path) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert rig.driver is not None
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        rig.driver.failures["start"] = StartFailed(BOX, ("qemu",), 1, "no memory")
        await rig.driver.crash(BOX)
        await rig.until(lambda _: {"own-vm-failed", "start-failed"} <= rig.told)
        seen = await rig.until(lambda s: is_in(VmState.RUNNING)(s) and not s.problems)
        assert seen.activity is Activity.WORKING


async def test_its_disk_stays_with_the_hypervisor_that_has_it(rig: Rig, tmp_path: Path) -> None:
    class Other(FakeDriver):
        name = "other"

    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Quit())
        await rig.ended()
    rig.drivers = [Other(rig.folder / "others")]
    async with rig.running() as core:
        await rig.until(waits_for("own-elsewhere"))
        await order(core, VmVerb.START)
        await order(core, VmVerb.REMOVE)
        await rig.until(waits_for("own-removing"))
        assert traces(rig)
    async with rig.running():
        while traces(rig):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("consent", ["confining", "none"])
async def test_it_is_online_only_if_it_was_asked_for_and_may(rig: Rig, tmp_path: Path, consent: str) -> None:
    rig.preferences |= {"network.unconfined": consent}
    async with rig.running() as core:
        if consent == "none":
            with pytest.raises(BadInput, match=r"network\.unconfined"):
                await core.own.create(a_box(tmp_path, network="nat"))
            return
        for name, network in (("Box", "none"), ("Net", "nat")):
            await core.own.create(a_box(tmp_path, name=name, network=network))
        await rig.until(lambda s: is_in(VmState.RUNNING)(s) and is_in(VmState.RUNNING, "own-net")(s))
        assert rig.driver is not None
        specs = [rig.driver._shelf.spec(vm_id) for vm_id in (BOX, "own-net")]
        assert all(spec is not None and spec.keeps_disk for spec in specs)
        assert [(one.network, one.internet) for one in specs if one] == [(False, False), (True, True)]


async def test_given_up_while_it_is_made_nothing_stays(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = OwnStore.begin

    def slow(store: OwnStore, vm_id: str) -> None:
        loop.call_soon_threadsafe(entered.set)
        before(store, vm_id)

    monkeypatch.setattr(OwnStore, "begin", slow)
    async with rig.running() as core:
        making = asyncio.create_task(core.own.create(a_box(tmp_path)))
        await entered.wait()
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        assert traces(rig) == []
        monkeypatch.undo()
        await core.own.create(a_box(tmp_path))


async def test_given_up_twice_nothing_stays(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, may_go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    before = OwnStore.begin

    def slow(store: OwnStore, vm_id: str) -> None:
        loop.call_soon_threadsafe(entered.set)
        may_go_on.wait(60)
        before(store, vm_id)

    monkeypatch.setattr(OwnStore, "begin", slow)
    async with rig.running() as core:
        making = asyncio.create_task(core.own.create(a_box(tmp_path)))
        await entered.wait()
        for _ in range(2):
            await order(core, VmVerb.REMOVE)
            for _ in range(5):
                await asyncio.sleep(0)
        may_go_on.set()
        await asyncio.gather(making, return_exceptions=True)
        assert making.cancelled()
        assert traces(rig) == []


async def test_while_it_is_made_it_is_shown_and_can_be_given_up(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(_: object, words: str, on_progress: OnProgress) -> BootImage:
        on_progress({"step": "converting", "done_bytes": 1, "total_bytes": 4})
        await asyncio.Event().wait()
        raise AssertionError

    told: list[object] = []
    monkeypatch.setattr("client.own_vms.boot_file", endless)
    async with rig.running() as core:
        making = asyncio.create_task(core.own.create(a_box(tmp_path), told.append))
        seen = await rig.until(lambda s: (vm := own(s)) is not None and vm.reason and "25 %" in vm.reason.text)
        assert own(seen).wish == "making"
        assert told[-1] == {"step": "converting", "done_bytes": 1, "total_bytes": 4}
        await order(core, VmVerb.REMOVE)
        await asyncio.wait((making,))
        assert making.cancelled()
        await rig.until(lambda s: own(s) is None)
        assert traces(rig) == []


async def test_one_that_is_being_made_is_made_though_a_project_comes(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slow(_: object, words: str, on_progress: OnProgress) -> BootImage:
        await gate.wait()
        return BootImage(Path(words), "slow")

    monkeypatch.setattr("client.own_vms.boot_file", slow)
    whole = rig.paths.project.read_text()
    rig.paths.project.unlink()
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(waits_for("own-making"))
        await core.handle(Start())
        rig.paths.project.write_text(whole)
        await rig.until(lambda s: s.activity is Activity.WORKING)
        gate.set()
        await rig.until(is_in(VmState.RUNNING))


async def test_one_that_is_being_made_at_the_end_is_given_up(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = asyncio.Event()

    async def endless(_: object, words: str, on_progress: OnProgress) -> BootImage:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    monkeypatch.setattr("client.own_vms.boot_file", endless)
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(waits_for("own-making"))
        await core.handle(Quit())
        await rig.ended()
        assert given_up.is_set() and traces(rig) == []


async def test_it_has_what_its_package_asks_for_and_its_owner_is_told_its_end(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def packed(_: object, words: str, on_progress: OnProgress) -> BootImage:
        return BootImage(Path(words), "cernvm4", Asked(memory_mib=2048, cpus=2), "2024-06-30")

    monkeypatch.setattr("client.own_vms.boot_file", packed)
    async with rig.running() as core:
        made = await core.own.create(a_box(tmp_path))
        assert (made.cpus, made.memory_mib) == (2, 2048)
        assert any(one.code == "own-image-end-of-life" and "2024-06-30" in one.text for one in core.board.problems)
        other = await core.own.create(a_box(tmp_path, name="Other", cpus=1, memory_mib=700))
        assert (other.cpus, other.memory_mib) == (1, 700)


async def test_what_is_in_its_way_is_known_at_once(rig: Rig, tmp_path: Path) -> None:
    rig.preferences |= {"guest.cpus": 1}
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        vm = await core.own.create(a_box(tmp_path))
        assert (way := core.own.obstacle(vm)) is not None and way.code == "own-no-room"


async def test_without_a_driver_they_are_shown(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing_here(*_: object) -> tuple[FakeDriver, DriverReport]:
        raise NoHypervisor(())

    async with rig.running() as core:
        await core.own.create(a_box(tmp_path, starts=False))
    monkeypatch.setattr(rig, "_find_driver", nothing_here)
    async with rig.running():
        await rig.until(waits_for("own-not-ready"))


@pytest.mark.parametrize("project", ["", "nonsense"])
async def test_one_runs_without_a_project_and_beside_one_that_comes(rig: Rig, tmp_path: Path, project: str) -> None:
    file = rig.paths.project
    whole = file.read_text()
    file.unlink()
    if project:
        file.write_text(project)
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        seen = await rig.until(is_in(VmState.RUNNING))
        assert seen.problems and seen.project_name == ""
        await core.handle(Start())
        file.write_text(whole)
        await rig.until(lambda s: s.activity is Activity.WORKING and is_in(VmState.RUNNING)(s))
        steps = [entry.step for entry in core._journal.entries() if entry.about == BOX]
        assert steps == ["boot"]


async def test_without_a_project_a_dismissed_problem_stays_away(rig: Rig, tmp_path: Path) -> None:
    rig.paths.project.unlink()
    async with rig.running() as core:
        await rig.until(lambda _: "no-project" in rig.told)
        await core.handle(DismissProblem("no-project", "start"))
        await core.handle(a_box(tmp_path))
        seen = await rig.until(is_in(VmState.RUNNING))
        assert not seen.problems


@pytest.mark.parametrize("saves", [True, False])
async def test_without_a_project_the_end_saves_it_or_powers_it_off(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: bool
) -> None:
    monkeypatch.setattr("client.core.LEAVE_S", 0.5)
    if not saves:
        monkeypatch.setattr(FakeDriver, "save", fails_to_save)
    rig.paths.project.unlink()
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Quit())
        await rig.ended()
    assert rig.driver is not None
    assert (await rig.driver.info(BOX)).state is (VmState.SAVED if saves else VmState.DEFINED)


# -- pure


NOW = datetime(2026, 11, 21, tzinfo=UTC)
A = OwnVm("own-a", "A", Path("/a"), "a", Boots.CD, cpus=1, memory_mib=512, wish=Wish.RUN)
B = replace(A, vm_id="own-b", name="B")
C = replace(A, vm_id="own-c", name="C", memory_mib=2048)


@pytest.mark.parametrize(
    ("vms", "up", "limit", "project", "waiting"),
    [
        ((A, B), {}, Size(2, 1024), Project(Size(1, 512)), ()),
        ((A, B), {}, Size(2, 1024), Project(Size(1, 512), claims=True), ("own-b",)),
        ((A, B), {"own-b": True}, Size(2, 1024), Project(Size(1, 512), claims=True), ("own-a",)),
        ((A, C), {}, Size(8, 1024), Project(Size(1, 512)), ("own-c",)),
        ((replace(A, wish=Wish.REST), B), {"own-a": True}, Size(1, 1024), Project(Size(1, 512)), ("own-b",)),
        ((replace(A, wish=Wish.HOLD), B), {"own-a": True}, Size(1, 1024), Project(Size(1, 512)), ("own-b",)),
        ((replace(A, stopped=True), B), {}, Size(1, 1024), Project(Size(1, 512)), ()),
        ((A,), {}, Size(1, 1024), Project(Size(1, 512), is_up=True), ("own-a",)),
    ],
)
def test_the_room_is_shared_out(
    vms: tuple[OwnVm, ...], up: dict[str, bool], limit: Size, project: Project, waiting: tuple[str, ...]
) -> None:
    assert tuple(share_out(vms, up, limit, project)) == waiting


@pytest.mark.parametrize(
    ("limit", "project", "doing"),
    [
        (Size(1, 1024), Size(1, 512), "Stop another one, or allow more: start the program with --set guest.cpus=2, or"),
        (Size(1, 512), Size(1, 512), "with --set guest.cpus=2 --set guest.memory_mib=1024, or"),
        (Size(4, 256), Size(0, 0), "Allow more: start the program with --set guest.memory_mib=512, or"),
    ],
)
def test_who_lacks_room_is_told_how_to_make_it(limit: Size, project: Size, doing: str) -> None:
    reason = share_out((A,), {}, limit, Project(project, claims=True))["own-a"]
    assert f"{doing} write that into preferences.toml." in reason.text


@pytest.mark.parametrize(
    ("wanted", "asked", "size"),
    [
        ((0, 0), None, (1, 512)),
        ((0, 0), Asked(), (1, 512)),
        ((0, 0), Asked(cpus=3, memory_mib=700), (3, 700)),
        ((1, 0), Asked(cpus=3, memory_mib=700), (1, 700)),
        ((0, 0), Asked(cpus=4096, memory_mib=1), (64, 64)),
        ((-1, -5), Asked(cpus=3, memory_mib=700), (-1, -5)),
    ],
)
def test_its_size_is_what_was_said_or_what_its_package_asks(
    wanted: tuple[int, int], asked: Asked | None, size: tuple[int, int]
) -> None:
    given = sized(CreateVm("A", "/a", cpus=wanted[0], memory_mib=wanted[1]), asked)
    assert (given.cpus, given.memory_mib) == size


def test_the_project_waits_for_room_that_is_still_in_use() -> None:
    small = Size(1, 1024)
    assert project_waits((A,), {"own-a": True}, small, Project(Size(1, 512), claims=True))
    assert not project_waits((A,), {}, small, Project(Size(1, 512), claims=True))
    assert not project_waits((A,), {"own-a": True}, small, Project(Size(1, 512), claims=True, is_up=True))
    assert not project_waits((A,), {"own-a": True}, Size(2, 1024), Project(Size(1, 512), claims=True))


@pytest.mark.parametrize(
    ("vm", "intent", "obstacle", "want"),
    [
        (A, Intent(), None, Want.RUN),
        (A, Intent(working=True, paused=True), None, Want.HOLD),
        (A, Intent(paused=True), None, Want.RUN),
        (A, Intent(), Reason("own-no-room", "-"), Want.SAVED),
        (replace(A, wish=Wish.HOLD), Intent(working=True), None, Want.HOLD),
        (replace(A, wish=Wish.OFF), Intent(working=True), None, Want.POWERED_OFF),
        (replace(A, stopped=True), Intent(), None, Want.SAVED),
        (replace(A, wish=Wish.REST), Intent(working=True), None, Want.SAVED),
        (A, Intent(leaving=Quit().work), None, Want.SAVED),
    ],
)
def test_what_is_wanted_of_one(vm: OwnVm, intent: Intent, obstacle: Reason | None, want: Want) -> None:
    assert wanted_of(vm, intent, obstacle).want is want


def test_the_parts_have_no_more_faces_than_they_need() -> None:
    for kind in (OwnVms, OwnKeeper):
        assert len([name for name in vars(kind) if not name.startswith("_")]) <= 15


async def test_the_end_waits_for_a_save_that_makes_progress(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, info = FakeDriver.save, FakeDriver.info
    written = 0
    begun, done = asyncio.Event(), asyncio.Event()

    async def slow(driver: FakeDriver, vm_id: str) -> None:
        begun.set()
        await done.wait()
        begun.clear()
        await save(driver, vm_id)

    async def grown(driver: FakeDriver, vm_id: str) -> VmInfo:
        nonlocal written
        if vm_id != BOX or not begun.is_set():
            return await info(driver, vm_id)
        written += 1
        return replace(await info(driver, vm_id), state=VmState.SAVING, written_bytes=written)

    def is_over(patience: Patience, sizes: Mapping[str, int]) -> bool:
        if sizes.get(BOX, 0) >= 4:
            done.set()
        return has_run_out(patience, sizes)

    has_run_out = Patience.is_over
    monkeypatch.setattr(Patience, "is_over", is_over)
    monkeypatch.setattr("client.core.LEAVE_S", 2.5)
    monkeypatch.setattr(FakeDriver, "save", slow)
    monkeypatch.setattr(FakeDriver, "info", grown)
    async with rig.running() as core:
        await core.handle(a_box(tmp_path))
        await rig.until(is_in(VmState.RUNNING))
        await core.handle(Quit())
        await rig.ended()
    assert written >= 4 and is_in(VmState.SAVED)(rig.last)
