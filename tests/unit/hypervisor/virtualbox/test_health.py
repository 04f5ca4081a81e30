"""Whether VMs can run here, judged by what VirtualBox and a made-up system show."""

import os
from pathlib import Path

import pytest

from client.errors import ClientError
from client.hypervisor.virtualbox import health
from client.hypervisor.virtualbox.health import Signs, check, judge, read_signs
from client.hypervisor.virtualbox.parse import Host, Version
from client.hypervisor.virtualbox.problems import (
    KernelModuleMissing,
    KernelModuleNotLoaded,
    MacApprovalMissing,
    NoVirtualization,
    SecureBootBlocks,
    VirtualBoxFailed,
    VirtualizationTaken,
)
from client.hypervisor.virtualbox.vboxmanage import VBoxManage
from tests.unit.hypervisor.virtualbox.stand_in import StandIn
from tests.unit.hypervisor.virtualbox.test_parse import text

NEW, OLD = Version(7, 2, 22), Version(7, 0, 20)
FINE = Signs("linux", has_driver=True, has_module=True, secure_boot=False, has_flags=True, kvm_holds=False)


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def kinds(version: Version, signs: Signs, host: Host | None = None) -> list[type[ClientError]]:
    return [type(problem) for problem in judge(version, signs, host or Host())]


@pytest.mark.parametrize(
    ("version", "signs", "expected"),
    [
        (NEW, FINE, []),
        (NEW, Signs("linux", has_driver=False, has_module=False, secure_boot=True), [KernelModuleMissing]),
        (NEW, Signs("linux", has_driver=False, has_module=True, secure_boot=False), [KernelModuleNotLoaded]),
        (NEW, Signs("linux", has_driver=False, has_module=True, secure_boot=None), [KernelModuleNotLoaded]),
        (NEW, Signs("linux", has_driver=False, has_module=True, secure_boot=True), [SecureBootBlocks]),
        (NEW, Signs("darwin", has_driver=False), [MacApprovalMissing]),
        (NEW, Signs("linux", has_driver=True, has_flags=False), [NoVirtualization]),
        (OLD, Signs("linux", has_driver=True, has_flags=True, kvm_holds=True), [VirtualizationTaken]),
        (NEW, Signs("linux", has_driver=True, has_flags=True, kvm_holds=True), []),
        (
            OLD,
            Signs("linux", False, False, None, False, True),
            [KernelModuleMissing, NoVirtualization, VirtualizationTaken],
        ),
        (NEW, Signs("win32"), []),
    ],
)
def test_judged(version: Version, signs: Signs, expected: list[type[ClientError]]) -> None:
    assert kinds(version, signs) == expected


def test_virtualbox_is_asked_where_the_system_does_not_show_it() -> None:
    assert kinds(NEW, Signs("win32"), Host(has_hardware=False)) == [NoVirtualization]
    assert kinds(NEW, Signs("win32"), Host(has_hardware=True)) == []
    # Without its driver VirtualBox guesses; the kernel knows.
    assert kinds(NEW, FINE, Host(has_hardware=False)) == []


async def test_a_healthy_one(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stdout": text("7.2/hostinfo.txt")})
    found = await check(VBoxManage(there.program), NEW, signs=FINE)
    assert (found.is_usable, found.hardware, found.problems, found.host.processors) == (True, True, (), 2)
    assert there.calls == [["list", "hostinfo"]]


async def test_one_without_its_driver(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stdout": text("7.2/hostinfo.txt")})
    signs = Signs("linux", has_driver=False, has_module=False, has_flags=False)
    found = await check(VBoxManage(there.program), NEW, signs=signs)
    assert (found.is_usable, found.hardware, len(found.problems)) == (False, False, 2)
    interpreted = await check(VBoxManage(there.program), NEW, signs=signs, needs_driver=False)
    assert (interpreted.is_usable, interpreted.hardware, len(interpreted.problems)) == (True, False, 2)


async def test_hints_do_not_make_it_unusable(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stdout": text("7.2/hostinfo.txt")})
    found = await check(
        VBoxManage(there.program), OLD, signs=Signs("linux", has_driver=True, has_flags=True, kvm_holds=True)
    )
    assert (found.is_usable, found.hardware, len(found.problems)) == (True, True, 1)


async def test_one_that_does_not_answer(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"exit": 1, "stderr": "VBoxManage: error: no idea\n"})
    found = await check(VBoxManage(there.program), NEW, signs=FINE)
    assert (found.is_usable, found.hardware, type(found.problems[0])) == (False, False, VirtualBoxFailed)


def test_signs_of_a_linux(tmp_path: Path) -> None:
    assert read_signs(tmp_path, "linux") == Signs("linux", False, False, None, None, False)
    put(tmp_path / "proc/cpuinfo", "processor: 0\nflags\t\t: fpu vmx sse\n\nprocessor: 1\nflags\t\t: fpu\n")
    put(tmp_path / "proc/modules", "vboxdrv 700416 2 vboxnetadp, Live 0x0\nkvm_intel 1 0 - Live 0x0\n")
    put(tmp_path / "sys/module/kvm/parameters/enable_virt_at_load", "Y\n")
    put(tmp_path / health._SECURE_BOOT, bytes([6, 0, 0, 0, 1]))
    put(tmp_path / "lib/modules" / os.uname().release / "updates/dkms/vboxdrv.ko.zst", b"")
    assert read_signs(tmp_path, "linux") == Signs("linux", True, True, True, True, True)
    put(tmp_path / "proc/cpuinfo", "flags\t\t: fpu sse\n")
    put(tmp_path / "proc/modules", "kvm_amd 1 0 - Live 0x0\n")
    put(tmp_path / "sys/module/kvm/parameters/enable_virt_at_load", "N\n")
    put(tmp_path / health._SECURE_BOOT, bytes([6, 0, 0, 0, 0]))
    assert read_signs(tmp_path, "linux") == Signs("linux", False, True, False, False, False)
    put(tmp_path / "dev/vboxdrv", b"")
    assert read_signs(tmp_path, "linux").has_driver is True


def test_signs_of_others(tmp_path: Path) -> None:
    assert read_signs(tmp_path, "win32") == Signs("win32")
    assert read_signs(tmp_path, "darwin", "x86_64") == Signs("darwin", has_driver=False)
    assert read_signs(tmp_path, "darwin", "arm64") == Signs("darwin")
    put(tmp_path / "dev/vboxdrv", b"")
    assert read_signs(tmp_path, "darwin", "x86_64").has_driver is True
