"""The next step, for each system and each thing that is in the way."""

import pytest

from client.errors import ClientError, ToolMissing
from client.hypervisor.install import DOWNLOADS, advise, distribution
from client.hypervisor.virtualbox.parse import Version
from client.hypervisor.virtualbox.problems import (
    KernelModuleMismatch,
    KernelModuleMissing,
    KernelModuleNotLoaded,
    MacApprovalMissing,
    SecureBootBlocks,
    VirtualBoxTooOld,
    VirtualizationOff,
    VirtualizationTaken,
)

MISSING = ToolMissing("VBoxManage", "virtualbox")
TOO_OLD = VirtualBoxTooOld(Version(5, 2, 44), Version(6, 1))


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        ('PRETTY_NAME="Debian GNU/Linux forky/sid"\nID=debian\nVERSION_CODENAME=forky\n', "debian-sid"),
        ('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n", "ubuntu"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="21"\n', "ubuntu"),
        ("ID=raspbian\nID_LIKE=debian\n", "debian"),
        ("ID=fedora\nVERSION_ID=41\n", "fedora"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "opensuse"),
        ("ID=arch\n", "arch"),
        ("ID=manjaro\nID_LIKE=arch\n", "arch"),
        ("ID=gentoo\n", ""),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_distribution(os_release: str, name: str) -> None:
    assert distribution(os_release) == name


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("debian-sid", "sudo apt-get install virtualbox virtualbox-dkms"),
        ("ubuntu", "sudo apt-get install virtualbox"),
        ("fedora", "sudo dnf install VirtualBox"),
        ("opensuse", "sudo zypper install virtualbox"),
        ("arch", "sudo pacman -S virtualbox virtualbox-host-modules-arch"),
    ],
)
def test_a_package_where_there_is_one(name: str, command: str) -> None:
    advice = advise("linux", name, MISSING)
    assert (" ".join(advice.command or ()), advice.page) == (command, None)
    assert advice.sentence.endswith(".")


@pytest.mark.parametrize(
    ("platform", "name", "problem"),
    [
        ("linux", "debian", MISSING),
        ("linux", "", MISSING),
        ("win32", "", MISSING),
        ("darwin", "", TOO_OLD),
        ("linux", "ubuntu", TOO_OLD),
    ],
)
def test_else_the_makers_page(platform: str, name: str, problem: ClientError) -> None:
    assert (advise(platform, name, problem).page, advise(platform, name, problem).command) == (DOWNLOADS, None)


@pytest.mark.parametrize(
    ("name", "problem", "command"),
    [
        ("ubuntu", KernelModuleNotLoaded(""), "sudo modprobe vboxdrv"),
        ("ubuntu", KernelModuleMissing(""), "sudo apt-get install virtualbox-dkms linux-headers-generic"),
        ("fedora", KernelModuleMismatch(""), "sudo dnf install akmod-VirtualBox kernel-devel"),
        ("", KernelModuleMissing(""), "sudo /sbin/vboxconfig"),
        ("ubuntu", SecureBootBlocks(""), "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der"),
        ("", SecureBootBlocks(""), ""),
        ("ubuntu", VirtualizationOff(""), ""),
        ("ubuntu", VirtualizationTaken("KVM", ""), ""),
    ],
)
def test_a_command_where_one_helps(name: str, problem: ClientError, command: str) -> None:
    advice = advise("linux", name, problem)
    assert " ".join(advice.command or ()) == command
    assert advice.sentence.endswith(".")


def test_windows_and_the_mac() -> None:
    taken = advise("win32", "", VirtualizationTaken("Hyper-V", ""))
    assert taken.command == ("bcdedit", "/set", "hypervisorlaunchtype", "off")
    assert "Hyper-V" in taken.sentence
    assert "WSL" in taken.sentence
    assert "Privacy & Security" in advise("darwin", "", MacApprovalMissing("")).sentence
    assert advise("darwin", "", VirtualizationOff("")).page is None
