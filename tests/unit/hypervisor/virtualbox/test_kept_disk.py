"""A VM whose disks matter: it fails where another would be made anew, and nothing of it is deleted."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.errors import KeptDiskBroken
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.problems import VirtualBoxSilent
from client.hypervisor.virtualbox.shape import Abilities
from client.snapshot import VmState
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox


@pytest.fixture
def kept(spec: VmSpec) -> VmSpec:
    return replace(spec, keeps_disk=True)


@pytest.fixture
def folder(tmp_path: Path) -> VmFolder:
    return VmFolder(tmp_path / "vms" / "one")


def driver_on(tmp_path: Path, box: FakeVirtualBox) -> VirtualBoxDriver:
    return VirtualBoxDriver(tmp_path / "vms", installation=Installation(box, "7.2.22", Abilities()))


def files_of(folder: VmFolder) -> set[Path]:
    return set(folder.path.rglob("*"))


async def a_made_one(tmp_path: Path, box: FakeVirtualBox, kept: VmSpec) -> VirtualBoxDriver:
    driver = driver_on(tmp_path, box)
    await driver.define(kept)
    await driver.start("one")
    await driver.power_off("one")
    (VmFolder(tmp_path / "vms" / "one").machine_folder / "layer.vdi").write_text("work")
    return driver


@pytest.mark.parametrize("harm", ["no settings", "settings", "spec", "spec and record", "base"])
async def test_a_damaged_one_fails_and_keeps_all(
    tmp_path: Path, box: FakeVirtualBox, kept: VmSpec, folder: VmFolder, harm: str
) -> None:
    await (await a_made_one(tmp_path, box, kept)).close()
    if harm == "no settings":
        folder.settings_file.unlink()
    elif harm == "settings":
        folder.settings_file.write_text("<half")
    elif harm == "base":
        Path(folder.record().media["scratch"]).unlink()
        kept.media[1].path.write_bytes(bytes(2 << 20))
    else:
        (folder.path / "spec.json").write_text("{")
        if harm == "spec and record":
            (folder.path / "record.json").write_text("{")
    before = files_of(folder)
    driver = driver_on(tmp_path, box)
    for _ in range(2):
        with pytest.raises(KeptDiskBroken):
            await driver.define(kept)
    if not harm.startswith("spec"):
        with pytest.raises(KeptDiskBroken):
            await driver.start("one")
        info = await driver.info("one")
        assert info.state is VmState.FAILED and info.cause
    assert files_of(folder) >= before and not box.said("unregistervm")
    await driver.destroy("one")
    assert not folder.path.exists(), "its owner may remove it"


async def test_put_back_it_goes_on(tmp_path: Path, box: FakeVirtualBox, kept: VmSpec, folder: VmFolder) -> None:
    driver = await a_made_one(tmp_path, box, kept)
    text = folder.settings_file.read_text()
    folder.settings_file.unlink()
    with pytest.raises(KeptDiskBroken):
        await driver.define(kept)
    folder.settings_file.write_text(text)
    await driver.define(kept)
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_one_that_was_only_half_made_is_made(
    tmp_path: Path, box: FakeVirtualBox, kept: VmSpec, folder: VmFolder
) -> None:
    driver = driver_on(tmp_path, box)
    box.failures["createvm"] = VirtualBoxSilent(("createvm",), "not done in time")
    with pytest.raises(VirtualBoxSilent):
        await driver.define(kept)
    assert not folder.path.exists()
    await driver.define(kept)
    assert (await driver.info("one")).state is VmState.DEFINED


@pytest.mark.parametrize("has_record", [True, False])
async def test_a_touched_image_keeps_its_layer(
    tmp_path: Path, box: FakeVirtualBox, kept: VmSpec, folder: VmFolder, has_record: bool
) -> None:
    await (await a_made_one(tmp_path, box, kept)).close()
    base = folder.record().media["scratch"]
    os.utime(kept.media[1].path, ns=(1, 1))
    box.calls.clear()
    if not has_record:
        (folder.path / "record.json").write_text("{")
    await driver_on(tmp_path, box).define(replace(kept, memory_mib=96))
    assert base in box.only().drives.values() and box.only().options["--memory"] == "96"
    assert not any("hdd" in words for words in box.said("storageattach"))
    assert VmFolder(folder.path).record().media["scratch"] == base
    assert len(list((tmp_path / "vms").glob(f"*/{Path(base).name}"))) == 1


async def test_another_image_does_not_take_its_place(
    tmp_path: Path, box: FakeVirtualBox, kept: VmSpec, folder: VmFolder
) -> None:
    driver = await a_made_one(tmp_path, box, kept)
    other = tmp_path / "other.raw"
    other.write_bytes(bytes(1 << 20))
    before = dict(box.only().drives)
    with pytest.raises(KeptDiskBroken):
        await driver.define(replace(kept, media=(kept.media[0], Medium(MediumRole.SCRATCH, other))))
    assert box.only().drives == before and folder.spec() == kept


async def test_that_it_matters_is_no_change(
    tmp_path: Path, box: FakeVirtualBox, spec: VmSpec, kept: VmSpec, folder: VmFolder
) -> None:
    driver = driver_on(tmp_path, box)
    await driver.define(spec)
    await driver.start("one")
    await driver.save("one")
    box.calls.clear()
    await driver.define(kept)
    assert (await driver.info("one")).state is VmState.SAVED and folder.spec() == kept
    assert not box.said("modifyvm") and not box.said("discardstate")
