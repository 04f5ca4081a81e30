"""What an own VM boots from: which form a disk is brought into, by the programs that are here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from client import own_image
from client.appliance.convert import QEMU_IMG, VBOXMANAGE, choose_tool
from client.appliance.formats import Format
from client.appliance.own_images import OwnFile, OwnImage, OwnImages
from client.paths import Paths


@pytest.mark.parametrize("tools", [{QEMU_IMG: "q"}, {VBOXMANAGE: "v"}, {QEMU_IMG: "q", VBOXMANAGE: "v"}])
@pytest.mark.parametrize("form", [Format.VDI, Format.VMDK, Format.VHD])
async def test_whichever_converter_is_here_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: Mapping[str, str], form: Format
) -> None:
    async def ready(
        images: OwnImages, image: OwnImage, file: OwnFile, wanted: Sequence[Format], with_: Mapping[str, str], **_: Any
    ) -> Path:
        assert choose_tool(with_, file.format, wanted[0]) in tools
        return tmp_path / wanted[0]

    paths = Paths(tmp_path)
    paths.make()
    disk = OwnFile("disk", form, "a" * 64, 4096)
    OwnImages(paths.appliances).write(OwnImage("box", "/box", form.value, "2026-11-21T00:00:00+00:00", (disk,)))
    monkeypatch.setattr(own_image, "converters", lambda: tools)
    monkeypatch.setattr(own_image, "ready_file", ready)
    assert (await own_image.boot_file(paths, "box")).path.name in {"qcow2", "raw"}
