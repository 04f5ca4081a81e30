"""Disks brought into other forms by VBoxManage, as without qemu-img, which tells whether they are right."""

import subprocess
from pathlib import Path

import pytest

from client.appliance.convert import VBOXMANAGE
from client.appliance.formats import Format, look_at
from client.appliance.own_images import OwnImages
from client.appliance.own_import import import_image, ready_file
from client.own_image import converters
from tests.helpers import images as made
from tests.virtualbox.lane import Lane

pytestmark = pytest.mark.integration

FORMS = {
    "raw": ("raw",),
    "vdi": ("vdi",),
    "vhd": ("vpc",),
    "vmdk": ("vmdk",),
    "vmdk-stream": ("vmdk", "-o", "subformat=streamOptimized"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_vboxmanage_makes_the_same_disk(form: str, lane: Lane, tmp_path: Path) -> None:
    disk, path = tmp_path / "disk.raw", tmp_path / "disk"
    content = bytearray(made.mbr(8 * made.MIB))
    content[3_000_000:3_200_000] = bytes(range(250)) * 800
    disk.write_bytes(content)
    words = FORMS[form]
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", words[0], *words[1:], disk, path], check=True, timeout=60)
    tools = {VBOXMANAGE: converters()[VBOXMANAGE]}
    images = OwnImages(tmp_path / "appliances")
    image = await import_image(images, path, form)
    for wanted in (Format.VDI, Format.RAW):
        ready = await ready_file(images, images.find(form), images.find(form).files[0], (wanted,), tools)
        assert look_at(ready).format is wanted
        compared = ["qemu-img", "compare", "-f", wanted.value, "-F", "raw", ready, disk]
        assert subprocess.run(compared, timeout=60).returncode == 0
    # The user's VirtualBox has heard nothing of it.
    assert "UUID" not in lane.manage("list", "hdds")
    assert not list(images.folder.glob("*.part")) and image.files[0].name == "disk"
