"""Whether the VirtualBox of this computer can run VMs, and what stands in its way. Cheap, and may be asked again."""

import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from client.errors import ClientError
from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.parse import Host, Version, parse_host
from client.hypervisor.virtualbox.problems import (
    KernelModuleMissing,
    KernelModuleNotLoaded,
    MacApprovalMissing,
    NoVirtualization,
    SecureBootBlocks,
    VirtualizationTaken,
)
from client.hypervisor.virtualbox.vboxmanage import VBoxManage

#: Source: UEFI specification, global variables: four bytes of attributes, then 1 when Secure Boot is on.
_SECURE_BOOT: Final = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_MODULE_FOLDERS: Final = ("misc", "updates", "extra", "extramodules", "kernel/misc", "updates/dkms", "extra/VirtualBox")
#: From Linux 6.12 on KVM takes VT-x and AMD-V when its module is loaded; from this version on VirtualBox bears that.
#: Source: VirtualBox's issues 141 and 188 on GitHub; what Gentoo says on installing virtualbox-modules 7.2.10.
_SHARES_WITH_KVM: Final = Version(7, 2, 10)
#: With these no VM starts; all others only slow it down, or are guesses.
_FATAL: Final = (KernelModuleMissing, KernelModuleNotLoaded, SecureBootBlocks, MacApprovalMissing)


@dataclass(frozen=True)
class Signs:
    """What the system itself shows. None: it cannot be told here.

    Attributes:
        has_driver: VirtualBox's kernel module is loaded.
        has_module: it is installed for the kernel that runs.
        has_flags: the processor shows VT-x or AMD-V. Linux since 5.6 hides VT-x when the firmware keeps it off.
        kvm_holds: KVM holds it even while none of its VMs runs.
    """

    platform: str = "linux"
    has_driver: bool | None = None
    has_module: bool | None = None
    secure_boot: bool | None = None
    has_flags: bool | None = None
    kvm_holds: bool | None = None


@dataclass(frozen=True)
class Health:
    """A verdict on an installed VirtualBox.

    Attributes:
        problems: what is wrong, the worst first; hints may be among them though all works.
        is_usable: nothing is known that keeps a VM from starting.
        hardware: guests run on the processor itself, as far as can be told without starting one.
    """

    version: Version
    problems: tuple[ClientError, ...] = ()
    is_usable: bool = False
    hardware: bool = False
    host: Host = field(default_factory=Host)


async def check(
    manage: VBoxManage, version: Version, *, signs: Signs | None = None, needs_driver: bool = True
) -> Health:
    """Ask VirtualBox about the computer, once, and look at the system. Nothing is started or changed.

    Args:
        signs: of the system; read here if None.
        needs_driver: False for a VirtualBox whose VMs run without the kernel module, interpreted.

    Raises:
        ToolMissing: VBoxManage is gone.
    """
    seen = read_signs() if signs is None else signs
    try:
        host = parse_host(await manage.read("list", "hostinfo"))
    except HypervisorError as error:
        return Health(version, (error,))
    problems = judge(version, seen, host)
    is_usable = not (needs_driver and any(isinstance(problem, _FATAL) for problem in problems))
    hardware = not any(isinstance(problem, (*_FATAL, NoVirtualization)) for problem in problems)
    return Health(version, problems, is_usable, hardware, host)


def judge(version: Version, signs: Signs, host: Host) -> tuple[ClientError, ...]:
    """What is wrong, the worst first. Pure."""
    found: list[ClientError] = []
    if signs.has_driver is False:
        found.append(_driver_problem(signs))
    if signs.has_flags is False or (signs.has_flags is None and host.has_hardware is False):
        found.append(NoVirtualization("the processor does not show it"))
    if signs.kvm_holds and version < _SHARES_WITH_KVM:
        found.append(VirtualizationTaken("KVM", "KVM is loaded and takes it at once"))
    return tuple(found)


def _driver_problem(signs: Signs) -> ClientError:
    if signs.platform == "darwin":
        return MacApprovalMissing("/dev/vboxdrv does not exist")
    if not signs.has_module:
        return KernelModuleMissing("no vboxdrv for this kernel")
    if signs.secure_boot:
        return SecureBootBlocks("vboxdrv is installed, not loaded, and Secure Boot is on")
    return KernelModuleNotLoaded("vboxdrv is installed and not loaded")


def read_signs(root: Path = Path("/"), system: str = sys.platform, machine: str = platform.machine()) -> Signs:
    """What the system shows.

    On Windows nothing is looked at: the installer loads the driver, and what is missing shows at the first start.
    A Mac with Apple's own processor needs no driver, and its guests cannot be ours.
    """
    if system == "darwin":
        return Signs(system, has_driver=(root / "dev/vboxdrv").exists() if machine == "x86_64" else None)
    if system != "linux":
        return Signs(system)
    flags = _words(root / "proc/cpuinfo", "flags")
    modules = {line.split(" ")[0] for line in _text(root / "proc/modules").splitlines()}
    return Signs(
        system,
        has_driver=(root / "dev/vboxdrv").exists() or "vboxdrv" in modules,
        has_module=_has_module(root),
        secure_boot=_secure_boot(root / _SECURE_BOOT),
        has_flags=bool({"vmx", "svm"} & flags) if flags else None,
        kvm_holds=bool({"kvm_intel", "kvm_amd"} & modules)
        and _text(root / "sys/module/kvm/parameters/enable_virt_at_load").strip() == "Y",
    )


def _has_module(root: Path) -> bool:
    folder = root / "lib/modules" / os.uname().release
    return any(any((folder / place).glob("vboxdrv.ko*")) for place in _MODULE_FOLDERS)


def _secure_boot(variable: Path) -> bool | None:
    try:
        raw = variable.read_bytes()
    except OSError:
        return None
    return len(raw) == 5 and raw[4] == 1


def _words(path: Path, name: str) -> set[str]:
    for line in _text(path).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return set(value.split())
    return set()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
