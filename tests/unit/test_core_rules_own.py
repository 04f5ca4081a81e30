"""The rules and the volunteer's own VMs in the whole core, on the fake driver: beside each other, and within memory."""

from dataclasses import replace
from pathlib import Path

import pytest

from client.appliance.medium import write_medium
from client.appliance.worker import OnProgress
from client.commands import CreateVm, Start
from client.own_image import BootImage
from client.snapshot import Activity, ClientSnapshot, VmState, VmView
from tests.helpers.client_core import Rig, quicken
from tests.helpers.regulation import IDLE, FakeSensors, without_waits

IN_USE = replace(IDLE, idle_s=0.0)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    quicken(monkeypatch)
    without_waits(monkeypatch)
    monkeypatch.setattr("client.regulator.total_memory_mib", lambda: 4000)
    write_medium(tmp_path / "tiny.iso", {"a": b"a"}, "TINY")

    async def as_it_is(_: object, words: str, on_progress: OnProgress) -> BootImage:
        return BootImage(Path(words), Path(words).name)

    monkeypatch.setattr("client.own_vms.boot_file", as_it_is)
    preferences = {"guest.cpus": 4, "guest.memory_mib": 4000, "when.in_use": False, "memory.percent_idle": 50}
    rig = Rig(tmp_path / "base", sensors=FakeSensors(), preferences={**preferences})
    rig.prepare()
    return rig


def a_vm(rig: Rig, name: str, memory_mib: int) -> CreateVm:
    return CreateVm(name, str(rig.folder.parent / "tiny.iso"), cpus=1, memory_mib=memory_mib, starts=True)


def own(snapshot: ClientSnapshot, name: str) -> VmView | None:
    return next((vm for vm in snapshot.vms if vm.name == name), None)


def runs(snapshot: ClientSnapshot, name: str) -> bool:
    return (vm := own(snapshot, name)) is not None and vm.state is VmState.RUNNING


def waits_for(snapshot: ClientSnapshot, name: str, code: str) -> bool:
    return (vm := own(snapshot, name)) is not None and vm.reason is not None and vm.reason.code == code


def sensors(rig: Rig) -> FakeSensors:
    assert rig.sensors is not None
    return rig.sensors


async def test_own_vms_make_no_room_for_one_that_may_not_start(rig: Rig) -> None:
    rig.preferences["guest.cpus"] = 1
    sensors(rig).tell(IN_USE)
    async with rig.running() as core:
        await core.handle(a_vm(rig, "Box", 256))
        await rig.until(lambda s: runs(s, "Box"))
        await core.handle(Start())
        await rig.until(lambda s: s.allowed.pause and s.reason is not None and s.reason.code == "in-use")
        assert rig.last is not None
        assert runs(rig.last, "Box")
        sensors(rig).tell(IDLE)
        await rig.until(lambda s: s.activity is Activity.WORKING and waits_for(s, "Box", "own-no-room"))


async def test_what_is_above_the_limit_on_memory_waits_alone(rig: Rig) -> None:
    rig.preferences["guest.own_obey"] = True
    async with rig.running() as core:
        await core.handle(a_vm(rig, "Small", 1500))
        await rig.until(lambda s: runs(s, "Small"))
        await core.handle(a_vm(rig, "Large", 1000))
        seen = await rig.until(lambda s: waits_for(s, "Large", "own-no-room"))
        large = own(seen, "Large")
        assert large is not None
        assert large.reason is not None
        assert "of the 2,000 MiB that your limits" in large.reason.text
        assert runs(seen, "Small")
        assert seen.policy is not None
        assert seen.policy.rung == "run"


async def test_another_one_begins_only_where_memory_is_free_for_it(rig: Rig) -> None:
    rig.preferences["guest.own_obey"] = True
    sensors(rig).tell(replace(IDLE, free_memory_mib=1200))
    async with rig.running() as core:
        await core.handle(a_vm(rig, "First", 600))
        await rig.until(lambda s: runs(s, "First"))
        sensors(rig).tell(replace(IDLE, free_memory_mib=600))
        await core.handle(a_vm(rig, "Second", 600))
        await rig.until(lambda s: runs(s, "First") and waits_for(s, "Second", "own-no-room"))
        sensors(rig).tell(replace(IDLE, free_memory_mib=1200))
        await rig.until(lambda s: runs(s, "First") and runs(s, "Second"))


async def test_the_first_of_own_vms_needs_free_memory_too(rig: Rig) -> None:
    rig.preferences["guest.own_obey"] = True
    sensors(rig).tell(replace(IDLE, free_memory_mib=700))
    async with rig.running() as core:
        await core.handle(a_vm(rig, "Box", 600))
        seen = await rig.until(lambda s: s.policy is not None and s.policy.reason is not None)
        assert seen.policy is not None
        assert seen.policy.reason is not None
        assert seen.policy.reason.code == "memory-short"
        assert not runs(seen, "Box")
