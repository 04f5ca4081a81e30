"""A change of a VM that was broken off: what its disks hold stays, unless the change came to the disks."""

from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.problems import VirtualBoxSilent
from client.hypervisor.virtualbox.shape import Abilities
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vms"


def driver_on(folder: Path, box: FakeVirtualBox) -> VirtualBoxDriver:
    return VirtualBoxDriver(folder, installation=Installation(box, "7.2.22", Abilities()))


async def broken_off(folder: Path, box: FakeVirtualBox, before: VmSpec, after: VmSpec, at: str) -> VirtualBoxDriver:
    """Another client's driver, after VirtualBox did not answer to a step of a change."""
    first = driver_on(folder, box)
    await first.define(before)
    box.failures[at] = VirtualBoxSilent((at,), "not done in time")
    with pytest.raises(HypervisorError):
        await first.define(after)
    await first.close()
    assert VmFolder(folder / "one").record().changing
    return driver_on(folder, box)


def with_context(spec: VmSpec, path: Path) -> VmSpec:
    path.write_bytes(bytes(40960))
    return replace(spec, media=(*spec.media, Medium(MediumRole.CONTEXT, path)))


@pytest.mark.parametrize("then", ["start", "the same", "as before"])
@pytest.mark.parametrize("at", ["modifyvm", "storageattach"])
async def test_disks_that_it_did_not_come_to_stay(
    folder: Path, box: FakeVirtualBox, spec: VmSpec, tmp_path: Path, at: str, then: str
) -> None:
    after = with_context(replace(spec, memory_mib=96), tmp_path / "context.iso")
    driver = await broken_off(folder, box, spec, after, at)
    machine = box.only()
    if then != "start":
        await driver.define(after if then == "the same" else spec)
    await driver.start("one")
    assert box.only() is machine and not box.said("unregistervm")
    is_after = then == "the same"
    assert machine.options["--memory"] == ("96" if is_after else "64")
    assert (str(tmp_path / "context.iso") in machine.drives.values()) is is_after
    assert (await driver.info("one")).note == ""
    assert not VmFolder(folder / "one").record().changing


async def test_a_cd_that_had_gone_in_goes_out_again(
    folder: Path, box: FakeVirtualBox, spec: VmSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = with_context(spec, tmp_path / "context.iso")
    attach = box._storageattach

    def attached_in_silence(uuid: str, *words: str) -> None:
        attach(uuid, *words)
        if str(tmp_path / "context.iso") in words:
            raise VirtualBoxSilent(words, "not done in time")

    monkeypatch.setattr(box, "_storageattach", attached_in_silence)
    driver = await broken_off(folder, box, spec, after, "nothing else")
    assert str(tmp_path / "context.iso") in box.only().drives.values()
    await driver.start("one")
    assert str(tmp_path / "context.iso") not in box.only().drives.values()
    assert not box.said("unregistervm")


async def test_a_disk_that_was_on_its_way_is_made_anew(
    folder: Path, box: FakeVirtualBox, spec: VmSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.raw"
    other.write_bytes(bytes(1 << 20))
    after = replace(spec, media=(spec.media[0], Medium(MediumRole.SCRATCH, other)))
    attach, before = box._storageattach, set[str]()

    def attached_in_silence(uuid: str, *words: str) -> None:
        attach(uuid, *words)
        if before and "hdd" in words and before.isdisjoint(words):
            monkeypatch.setattr(box, "_storageattach", attach)
            raise VirtualBoxSilent(words, "not done in time")

    first = driver_on(folder, box)
    await first.define(spec)
    before.update(box.only().drives.values())
    uuid = box.only().uuid
    monkeypatch.setattr(box, "_storageattach", attached_in_silence)
    driver = await broken_off(folder, box, spec, after, "nothing else")
    await driver.define(after)
    assert box.only().uuid != uuid and before.isdisjoint({*box.only().drives.values()} - {str(spec.media[0].path)})
