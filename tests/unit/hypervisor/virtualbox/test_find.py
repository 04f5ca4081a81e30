"""Finding VirtualBox, with programs that only look like it."""

import os
from pathlib import Path

import pytest

from client.errors import ToolMissing
from client.hypervisor.virtualbox.find import OLDEST, find_virtualbox, usual_path
from client.hypervisor.virtualbox.parse import Version
from client.hypervisor.virtualbox.problems import VirtualBoxBroken, VirtualBoxTooOld
from tests.unit.hypervisor.virtualbox.stand_in import StandIn
from tests.unit.hypervisor.virtualbox.test_vboxmanage import WARNING


async def test_found_in_the_given_place(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stdout": "7.2.22r170484\n", "stderr": WARNING})
    found = await find_virtualbox(str(tmp_path))
    assert (found.program, found.version, str(found.version)) == (there.program, Version(7, 2, 22, 170484), "7.2.22")


async def test_missing_broken_and_old(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as missing:
        await find_virtualbox(str(tmp_path))
    assert missing.value.tool == "VBoxManage"
    StandIn(tmp_path, {"exit": 126})
    with pytest.raises(VirtualBoxBroken):
        await find_virtualbox(str(tmp_path))
    StandIn(tmp_path, {"stdout": "Segmentation fault"})
    with pytest.raises(VirtualBoxBroken) as broken:
        await find_virtualbox(str(tmp_path))
    assert broken.value.said == "Segmentation fault"
    StandIn(tmp_path, {"stdout": "6.0.24_Ubuntur139119\n"})
    with pytest.raises(VirtualBoxTooOld) as old:
        await find_virtualbox(str(tmp_path))
    assert (old.value.found, old.value.needed) == (Version(6, 0, 24, 139119), OLDEST)


@pytest.mark.parametrize(
    ("platform", "environ", "places"),
    [
        ("linux", {"PATH": "/home/me/bin"}, ["/home/me/bin", "/usr/bin"]),
        ("darwin", {}, ["/usr/local/bin", "/Applications/VirtualBox.app/Contents/MacOS"]),
        ("win32", {"VBOX_MSI_INSTALL_PATH": "D:\\VBox\\"}, ["D:\\VBox\\", r"C:\Program Files\Oracle\VirtualBox"]),
        ("win32", {"VBOX_INSTALL_PATH": "D:\\Old", "ProgramFiles": "E:\\P"}, ["D:\\Old", r"E:\P\Oracle\VirtualBox"]),
    ],
)
def test_places_come_in_order(platform: str, environ: dict[str, str], places: list[str]) -> None:
    path = usual_path(environ, platform)
    found = [path.index(place) for place in places]
    assert found == sorted(found)
    assert not path.startswith(os.pathsep)
