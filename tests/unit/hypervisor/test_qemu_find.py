"""Finding QEMU, with programs that only look like it."""

from pathlib import Path

import pytest

from client.errors import ToolMissing
from client.hypervisor.qemu.driver import QemuDriver
from client.hypervisor.qemu.find import find_qemu, parse_version

DEBIAN_12 = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022 Fabrice Bellard\n"


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "version"),
    [(DEBIAN_12, (7, 2, 22)), ("QEMU emulator version 10.1.0", (10, 1, 0)), ("something else", (0, 0, 0))],
)
def test_version(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


async def test_found_in_the_given_place(tmp_path: Path) -> None:
    program(tmp_path / "qemu-system-x86_64", "echo QEMU emulator version 9.1.0")
    program(tmp_path / "qemu-img", "exit 0")
    qemu = await find_qemu(str(tmp_path))
    assert (qemu.version_text, qemu.has_file_migration) == ("9.1.0", True)


async def test_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as caught:
        await find_qemu(str(tmp_path))
    assert caught.value.tool == "qemu-system-x86_64"
    program(tmp_path / "qemu-system-x86_64", "exit 1")
    with pytest.raises(ToolMissing) as caught:
        await find_qemu(str(tmp_path))
    assert caught.value.tool == "qemu-img"
    program(tmp_path / "qemu-img", "exit 0")
    with pytest.raises(ToolMissing):
        await find_qemu(str(tmp_path))
    report = await QemuDriver(tmp_path / "vms", (), search_path=str(tmp_path)).probe()
    assert (report.available, report.problem, report.speed) == (False, "tool-missing", 0)
