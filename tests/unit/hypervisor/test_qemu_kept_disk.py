"""QEMU's overlay of a VM whose disk matters stays, or the VM fails."""

from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.errors import KeptDiskBroken
from client.hypervisor.qemu.driver import QemuDriver
from client.hypervisor.qemu.folder import VmFolder
from client.hypervisor.spec_file import build_spec_text, parse_spec, without_targets
from client.snapshot import VmState


@pytest.fixture
def kept(tmp_path: Path) -> VmSpec:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    medium = Medium(MediumRole.SCRATCH, template)
    return VmSpec("one", "One", cpus=1, memory_mib=64, media=(medium,), keeps_disk=True)


@pytest.fixture
def folder(tmp_path: Path, kept: VmSpec) -> VmFolder:
    """Of a VM that was made by hand."""
    folder = VmFolder(tmp_path / "vms" / "one")
    folder.path.mkdir(parents=True)
    folder.scratch.write_text("work")
    folder.saved_state.write_text("memory")
    folder.write_spec(kept)
    return folder


@pytest.mark.parametrize("harm", ["overlay", "spec", "another image"])
async def test_nothing_is_made_anew(kept: VmSpec, folder: VmFolder, harm: str) -> None:
    wanted = replace(kept, cpus=2)
    if harm == "overlay":
        folder.scratch.unlink()
    elif harm == "spec":
        (folder.path / "spec.json").write_text("{")
    else:
        other = kept.media[0].path.with_name("other.raw")
        other.write_bytes(bytes(1 << 20))
        wanted = replace(kept, media=(Medium(MediumRole.SCRATCH, other),))
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    driver = QemuDriver(folder.path.parent, ())
    with pytest.raises(KeptDiskBroken):
        await driver.define(wanted)
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before
    if harm == "overlay":
        info = await driver.info("one")
        assert info.state is VmState.FAILED and "gone" in info.cause


async def test_a_change_leaves_the_overlay(kept: VmSpec, folder: VmFolder) -> None:
    await QemuDriver(folder.path.parent, ()).define(replace(kept, cpus=2))
    assert folder.scratch.read_text() == "work"


async def test_that_it_matters_is_no_change(kept: VmSpec, folder: VmFolder) -> None:
    before = replace(kept, keeps_disk=False)
    folder.write_spec(before)
    await QemuDriver(folder.path.parent, ()).define(kept)
    assert folder.saved_state.exists() and folder.spec() == kept
    assert without_targets(before) == without_targets(kept)


def test_the_spec_file_has_it_and_old_ones_do_without(kept: VmSpec) -> None:
    text = build_spec_text(kept)
    assert parse_spec(text).keeps_disk
    assert not parse_spec(text.replace(' "keeps_disk": true,\n', "")).keeps_disk
