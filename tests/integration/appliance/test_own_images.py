"""Own images with the real tools and real workers: every form in, the same disk out, and nothing left when it fails."""

import asyncio
import functools
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client import own_image
from client.appliance.convert import QEMU_IMG, VBOXMANAGE
from client.appliance.errors import (
    ApplianceAltered,
    ConversionFailed,
    ImageDamaged,
    ImageExists,
    ImageForged,
    ImageRefused,
    ImageUnproven,
    ImportBusy,
    NoConverter,
    OwnNoteDamaged,
)
from client.appliance.formats import Format, look_at
from client.appliance.own_images import OwnImage, OwnImages
from client.appliance.own_import import import_image, ready_file, verify_image
from client.board import Board
from client.clock import SystemClock
from client.commands import CreateVm
from client.errors import BadInput
from client.journal import Journal
from client.own_image import boot_file, converters
from client.own_vms import OwnVms
from client.paths import Paths
from client.preferences.store import Preferences
from tests.helpers import images as made

pytestmark = pytest.mark.integration

TOP = Path(__file__).resolve().parents[3]
TOOLS = converters()
QEMU = (Format.QCOW2, Format.RAW)
WORD = b"own image runs"
#: Real mode: write WORD to the first serial port, then to the port that ends QEMU.
PROGRAM = bytes.fromhex("31c08ed8be197cbaf803ac84c07403eeebf8b000e6f4f4ebfd") + WORD + b"\0"
#: form -> how qemu-img makes it
FORMS = {
    "raw": ("raw",),
    "qcow2": ("qcow2",),
    "qcow2-packed": ("qcow2", "-c"),
    "qcow2-zstd": ("qcow2", "-c", "-o", "compression_type=zstd"),
    "qcow2-old": ("qcow2", "-o", "compat=0.10"),
    "vdi": ("vdi",),
    "vdi-fixed": ("vdi", "-o", "static=on"),
    "vhd": ("vpc",),
    "vhd-fixed": ("vpc", "-o", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx",),
    "vmdk": ("vmdk",),
    "vmdk-stream": ("vmdk", "-o", "subformat=streamOptimized"),
    "vmdk-flat": ("vmdk", "-o", "subformat=monolithicFlat"),
    "vmdk-flat-2": ("vmdk", "-o", "subformat=twoGbMaxExtentFlat"),
}


def tool(*words: str | Path) -> str:
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True, timeout=100).stdout


def same(one: Path, other: Path) -> bool:
    kinds = [tool(QEMU_IMG, "info", "--output=json", path) for path in (one, other)]
    forms = [json.loads(said)["format"] for said in kinds]
    done = subprocess.run([QEMU_IMG, "compare", "-f", forms[0], "-F", forms[1], one, other], timeout=100)
    return done.returncode == 0


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of 12 MB that boots, has holes, and data up to its last sector."""
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    chance, content = random.Random(4), bytearray(made.mbr(12 * made.MIB))
    content[: len(PROGRAM)] = PROGRAM
    for start in range(made.MIB, 12 * made.MIB, 3 * made.MIB):
        content[start : start + 200_000] = chance.randbytes(200_000)
    content[-512:] = chance.randbytes(512)
    path.write_bytes(content)
    return path


@pytest.fixture
def images(tmp_path: Path) -> OwnImages:
    return OwnImages(tmp_path / "appliances")


def left(images: OwnImages) -> list[str]:
    """All files of the store but its lock."""
    every = images.folder.parent.rglob("*")
    return sorted(path.name for path in every if path.is_file() and path.name != ".lock")


async def test_every_form_comes_in_and_goes_out_as_the_same_disk(disk: Path, images: OwnImages, tmp_path: Path) -> None:
    for name, words in FORMS.items():
        # Named as something else on purpose.
        path = tmp_path / f"{name}.iso"
        tool(QEMU_IMG, "convert", "-f", "raw", "-O", words[0], *words[1:], disk, path)
        before = path.read_bytes()
        image = await import_image(images, path)
        assert image.name == name and image.files[0].virtual_bytes >= 12 * made.MIB
        ready = await ready_file(images, image, image.files[0], QEMU, TOOLS)
        assert same(ready, disk), name
        assert look_at(ready).format in QEMU and not ready.stat().st_mode & 0o222
        # The second time it is there.
        assert await ready_file(images, images.find(name), images.find(name).files[0], QEMU, {}) == ready
        assert path.read_bytes() == before and path.stat().st_nlink == 1
        await verify_image(images, image)
    for image in images.images():
        images.remove(image, {})
    assert left(images) == []


async def test_a_cut_disk_is_refused_wherever_it_was_cut(disk: Path, images: OwnImages, tmp_path: Path) -> None:
    for name in ("raw", "qcow2", "vdi", "vhd", "vhd-fixed", "vmdk", "vmdk-stream"):
        path = tmp_path / name
        tool(QEMU_IMG, "convert", "-f", "raw", "-O", FORMS[name][0], *FORMS[name][1:], disk, path)
        whole = path.read_bytes()
        for share in (0.1, 0.5, 0.9):
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(ImageRefused):
                await import_image(images, path)
    assert left(images) == []


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
async def test_packed_images_are_unpacked(packer: str, disk: Path, images: OwnImages, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(disk.read_bytes())
    tool(packer, "-q", "-k", path)
    packed = next(one for one in tmp_path.iterdir() if one.is_file() and one != path)
    image = await import_image(images, packed, "packed")
    assert image.came_as == f"raw.{packer}" and same(images.place(image.files[0].form(QEMU) or pytest.fail()), disk)
    packed.write_bytes(packed.read_bytes()[:-2000])
    with pytest.raises(ImageRefused, match=r"unpacked|not whole"):
        await import_image(images, packed, "cut")
    assert [one.name for one in images.images()] == ["packed"]


async def test_a_hybrid_cd_stays_what_it_is(images: OwnImages, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content")
    path = tmp_path / "cernvm4-micro-2021.05-1.hdd"
    tool("xorriso", "-as", "mkisofs", "-quiet", "-o", path, tmp_path / "tree")
    image = await import_image(images, path)
    assert image.files[0].format is Format.ISO and image.end_of_life == "2024-06-30"
    ready = await ready_file(images, image, image.files[0], QEMU, {})
    assert ready.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["SHA1", "SHA256"])
async def test_packages_come_in_with_what_vouches_for_them(
    kind: str, disk: Path, images: OwnImages, tmp_path: Path
) -> None:
    stream = tmp_path / "disk.vmdk"
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, stream)
    path = tmp_path / "vm.ova"
    path.write_bytes(made.ova(stream.read_bytes(), kind, signed=True))
    image = await import_image(images, path)
    assert image.proof["signer"] == "CN=Example Appliances" and image.came_as == "ova"
    assert image.asked is not None and (image.asked.memory_mib, image.asked.cpus) == (2048, 2)
    assert images.find("vm") == image
    assert same(await ready_file(images, image, image.files[0], QEMU, TOOLS), disk)
    content = bytearray(path.read_bytes())
    content[content.index(b"KDMV") + 300_000] ^= 1
    (tmp_path / "forged.ova").write_bytes(content)
    with pytest.raises(ImageForged, match=r"disk\.vmdk"):
        await import_image(images, tmp_path / "forged.ova", trust_unsigned=True)
    path.write_bytes(made.ova(stream.read_bytes(), ""))
    with pytest.raises(ImageUnproven):
        await import_image(images, path, "unsigned")
    assert (await import_image(images, path, "unsigned", trust_unsigned=True)).files == image.files
    assert [one.name for one in images.images()] == ["unsigned", "vm"]


async def test_a_packed_package_and_a_packed_disk_in_one(disk: Path, images: OwnImages, tmp_path: Path) -> None:
    files = {"vm.ovf": made.ovf("d.gz", compression="gzip"), "d.gz": gzip.compress(disk.read_bytes())}
    (tmp_path / "box").write_bytes(gzip.compress(made.tar(files | {"vm.mf": made.manifest(files)})))
    image = await import_image(images, tmp_path / "box", trust_unsigned=True)
    assert image.came_as == "ova.gzip" and same(images.place(image.files[0].form(QEMU) or pytest.fail()), disk)


async def test_a_guest_boots_from_a_converted_disk(disk: Path, images: OwnImages, tmp_path: Path) -> None:
    path, said = tmp_path / "disk.vmdk", tmp_path / "said"
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, path)
    image = await import_image(images, path)
    ready = await ready_file(images, image, image.files[0], QEMU, TOOLS)
    words = ["qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-display", "none", "-serial", f"file:{said}"]
    words += ["-device", "isa-debug-exit,iobase=0xf4", "-drive", f"file={ready},format=qcow2,snapshot=on"]
    assert subprocess.run(words, timeout=120).returncode == 1
    assert WORD in said.read_bytes()


async def test_a_raw_disk_that_its_guest_made_look_like_another_opens_nothing(
    images: OwnImages, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 100_000)
    for form, option in (("qcow2", "backing_fmt=raw"), ("vmdk", "")):
        trap = tmp_path / f"{form}.raw"
        words = ("-b", secret, "-F", "raw") if form == "qcow2" else ("-b", tmp_path / "base.vmdk", "-F", "vmdk")
        tool(QEMU_IMG, "create", "-q", "-f", "vmdk", tmp_path / "base.vmdk", "1M")
        tool(QEMU_IMG, "create", "-q", "-f", form, *(("-o", option) if option else ()), *words, trap)
        with pytest.raises(ImageRefused, match="builds on another"):
            await import_image(images, trap)
    assert left(images) == []


async def test_a_damaged_copy_is_never_converted(disk: Path, images: OwnImages, tmp_path: Path) -> None:
    path = tmp_path / "disk.vdi"
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vdi", disk, path)
    image = await import_image(images, path)
    made_here = await ready_file(images, image, image.files[0], QEMU, TOOLS)
    content = made_here.read_bytes()
    made_here.chmod(0o600)
    made_here.write_bytes(content[:-1] + b"x")
    await verify_image(images, images.find("disk"))
    assert not made_here.exists()
    assert same(await ready_file(images, images.find("disk"), images.find("disk").files[0], QEMU, TOOLS), disk)
    images.objects.remove(hashlib.sha256(content).hexdigest())
    place = images.place(image.files[0].form((Format.VDI,)) or pytest.fail())
    place.chmod(0o600)
    with place.open("r+b") as file:
        file.seek(-10_000, 2)
        file.write(b"x")
    with pytest.raises(ApplianceAltered):
        await ready_file(images, image, image.files[0], QEMU, TOOLS)
    with pytest.raises(ImageDamaged):
        await verify_image(images, image)


async def test_a_form_that_is_damaged_is_not_used_but_made_anew(disk: Path, images: OwnImages, tmp_path: Path) -> None:
    path = tmp_path / "disk.vdi"
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vdi", disk, path)
    made_here = await ready_file(images, await import_image(images, path), images.find("disk").files[0], QEMU, TOOLS)
    made_here.chmod(0o600)
    with made_here.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    image = images.find("disk")
    with pytest.raises(ImageDamaged, match="disk"):
        await ready_file(images, image, image.files[0], QEMU, TOOLS, needed={made_here.parent.name})
    assert made_here.exists(), "a VM lies over it"
    assert same(await ready_file(images, image, image.files[0], QEMU, TOOLS), disk)


async def test_an_image_that_is_damaged_is_not_used(disk: Path, images: OwnImages) -> None:
    image = await import_image(images, disk)
    place = await ready_file(images, image, image.files[0], QEMU, TOOLS)
    place.chmod(0o600)
    with place.open("r+b") as file:
        file.write(b"x")
    with pytest.raises(ImageDamaged) as caught:
        await ready_file(images, image, image.files[0], QEMU, TOOLS)
    assert caught.value.origin == str(disk)


FAKES = {
    "fails": ("echo 'no luck today'; exit 3", "no luck today"),
    "hangs": ("exec sleep 100", "did nothing for"),
    "lies": ('printf x > "$4"; truncate -s 1M "$4"', "it wrote raw|cannot be used"),
    "writes nothing": ("true", "cannot be used"),
}


@pytest.mark.parametrize("fault", FAKES)
async def test_a_tool_that_misbehaves_leaves_nothing(fault: str, disk: Path, images: OwnImages, tmp_path: Path) -> None:
    fake = tmp_path / VBOXMANAGE
    fake.write_text(f"#!/bin/sh\n[ $1 = clonemedium ] || exit 0\n{FAKES[fault][0]}\n")
    fake.chmod(0o755)
    path = tmp_path / "disk.vmdk"
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vmdk", disk, path)
    image = await import_image(images, path)
    before = left(images)

    async def impatient(kind: str, order: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
        from client.appliance.worker import run_worker

        # Whoever does something is given time for it, as on a busy computer.
        return await run_worker(kind, {**order, "stall_s": 1.0 if fault == "hangs" else 60.0}, **more)

    with pytest.raises(ConversionFailed, match=FAKES[fault][1]):
        await ready_file(images, image, image.files[0], (Format.VDI,), {VBOXMANAGE: str(fake)}, run=impatient)
    assert left(images) == before
    with pytest.raises(NoConverter):
        await ready_file(images, image, image.files[0], (Format.VDI,), {})


async def test_cancelling_leaves_nothing_and_only_one_is_added_at_a_time(images: OwnImages, tmp_path: Path) -> None:
    path, told = tmp_path / "long.raw", asyncio.Event()
    with path.open("wb") as file:
        file.truncate(64 << 30)
    task = asyncio.create_task(import_image(images, path, on_progress=lambda said: told.set()))
    async with asyncio.timeout(60):
        await told.wait()
    with pytest.raises(ImportBusy):
        await import_image(images, path, "other")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(images) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_the_command_leaves_nothing_however_it_ends(sent: signal.Signals, disk: Path, tmp_path: Path) -> None:
    path, base = tmp_path / "long.raw", tmp_path / "base"
    with path.open("wb") as file:
        file.truncate(64 << 30)
    words = [sys.executable, str(TOP / "main.py"), "image", "add", "--basedir", str(base)]
    # Whoever runs these tests in the background has this signal ignored, by all that they start.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = await asyncio.create_subprocess_exec(*words, str(path), stderr=asyncio.subprocess.PIPE, preexec_fn=heed)
    images = OwnImages(base / "appliances")
    async with asyncio.timeout(60):
        while not any(one.endswith(".part") for one in left(images)):
            await asyncio.sleep(0.05)
    command.send_signal(sent)
    await command.communicate()
    assert command.returncode == (-9 if sent is signal.SIGKILL else 130)
    # After a SIGKILL its worker sees the end of its input and goes; what the worker cannot remove the next one does.
    image: OwnImage | None = None
    async with asyncio.timeout(60):
        while image is None:
            try:
                image = await import_image(images, disk, "next")
            except ImportBusy:
                await asyncio.sleep(0.1)
    assert left(images) == ["disk.raw", "next.toml"]


def test_the_command_tells_what_it_did(disk: Path, tmp_path: Path) -> None:
    words = [sys.executable, str(TOP / "main.py")]
    base = ["--basedir", str(tmp_path / "base")]
    said = json.loads(tool(*words, "image", "add", disk, *base, "--name", "mine", "--json"))
    assert said["ok"] and said["image"]["files"][0]["format"] == "raw"
    assert "mine: your own" in tool(*words, "images", "list", *base)
    assert json.loads(tool(*words, "images", "list", "--json", *base))["own"][0]["kind"] == "own"
    assert "MBR" in tool(*words, "image", "show", "mine", *base)
    again = subprocess.run([*words, "image", "add", disk, *base, "--name", "mine"], capture_output=True, text=True)
    assert again.returncode == 2 and "There is an image mine already." in again.stderr
    assert "are free again" in tool(*words, "images", "remove", "mine", *base)
    gone = subprocess.run([*words, "image", "show", "mine", *base], capture_output=True, text=True)
    assert gone.returncode == 2 and "There is no image mine" in gone.stderr


async def test_a_file_that_a_machine_boots_from_is_taken_in_once_and_again_when_it_is_another(
    disk: Path, tmp_path: Path
) -> None:
    paths, file = Paths(tmp_path / "base"), tmp_path / "disk.raw"
    paths.make()
    images = OwnImages(paths.appliances)
    file.write_bytes(disk.read_bytes())
    steps: list[str] = []
    first = await boot_file(paths, str(file), lambda said: steps.append(str(said["step"])))
    assert steps and set(steps) == {"reading"}
    assert first.is_new
    assert await boot_file(paths, str(file)) == replace(first, is_new=False)
    assert [one.name for one in images.images()] == ["disk"]
    # Another disk is put in its place, with the time of the first one.
    other = tmp_path / "other.raw"
    other.write_bytes(made.mbr())
    os.utime(other, (1, 1))
    other.replace(file)
    second = await boot_file(paths, str(file))
    assert (second.name, second.path.read_bytes()) == ("disk-2", made.mbr())
    assert await boot_file(paths, "disk") == replace(first, is_new=False)


async def test_what_a_package_asks_comes_with_the_file_to_boot_from(disk: Path, tmp_path: Path) -> None:
    paths, file = Paths(tmp_path / "base"), tmp_path / "box.ova"
    paths.make()
    packed = tmp_path / "disk.vmdk"
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, packed)
    file.write_bytes(made.ova(packed.read_bytes(), signed=True))
    image = await boot_file(paths, str(file))
    assert image.asked is not None
    assert (image.asked.memory_mib, image.asked.cpus) == (2048, 2)


async def test_of_a_machine_that_was_not_made_no_image_stays(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, file = Paths(tmp_path / "base"), tmp_path / "disk.vdi"
    paths.make()
    tool(QEMU_IMG, "convert", "-f", "raw", "-O", "vdi", disk, file)
    with monkeypatch.context() as patch:
        patch.setattr(own_image, "converters", dict)
        with pytest.raises(NoConverter):
            await boot_file(paths, str(file))
    images = OwnImages(paths.appliances)
    assert left(images) == []
    own = OwnVms(paths, Preferences({}), SystemClock(), Board(SystemClock()), Journal(paths.journal), lambda: None)
    # It has a disk already, and gets no other.
    wanted = CreateVm("Box", str(file), disk_gib=1)
    with pytest.raises(BadInput, match="keeps its own size"):
        await own.create(wanted)
    assert left(images) == []
    await import_image(images, file, "mine")
    with pytest.raises(BadInput, match="keeps its own size"):
        await own.create(replace(wanted, image="mine"))
    assert [one.name for one in images.images()] == ["mine"]


async def test_a_damaged_note_of_an_image_is_named(disk: Path, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "base")
    paths.make()
    images = OwnImages(paths.appliances)
    await import_image(images, disk, "one")
    images.folder.joinpath("one.toml").write_text("files = 3")
    for words in ("one", str(disk)):
        with pytest.raises(OwnNoteDamaged, match="one"):
            await boot_file(paths, words)


async def test_a_name_is_taken_once(disk: Path, images: OwnImages) -> None:
    await import_image(images, disk, "one")
    with pytest.raises(ImageExists):
        await import_image(images, disk, "one")
