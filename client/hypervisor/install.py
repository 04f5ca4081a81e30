"""What a volunteer can do to get VirtualBox, or to get it going: one sentence, and a command or a page. Pure.

Nothing here is run by the program: installing is the volunteer's own decision, and needs an administrator.
"""

from dataclasses import dataclass
from typing import Final

from client.errors import ClientError, ToolMissing
from client.hypervisor.virtualbox.problems import (
    KernelModuleMismatch,
    KernelModuleMissing,
    KernelModuleNotLoaded,
    MacApprovalMissing,
    SecureBootBlocks,
    VirtualBoxBroken,
    VirtualBoxTooOld,
    VirtualizationTaken,
)
from client.messages import sentence

#: VirtualBox's own page with installers for all systems and packages for some distributions.
DOWNLOADS: Final = "https://www.virtualbox.org/wiki/Downloads"
_GET_IT: Final = "Install VirtualBox from its makers' page."

#: Distribution, by ID of os-release -> packages with VirtualBox, and those with its module for the kernel that runs.
#: Source: the distributions' own pages on VirtualBox. Debian has it in unstable only (contrib), Ubuntu in multiverse,
#: Fedora has it not, but RPM Fusion has.
_PACKAGES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "debian-sid": (
        ("apt-get", "install"),
        ("virtualbox", "virtualbox-dkms"),
        ("virtualbox-dkms", "linux-headers-amd64"),
    ),
    "ubuntu": (("apt-get", "install"), ("virtualbox",), ("virtualbox-dkms", "linux-headers-generic")),
    "fedora": (("dnf", "install"), ("VirtualBox",), ("akmod-VirtualBox", "kernel-devel")),
    "opensuse": (("zypper", "install"), ("virtualbox",), ("virtualbox-kmp-default",)),
    "arch": (("pacman", "-S"), ("virtualbox", "virtualbox-host-modules-arch"), ("virtualbox-host-modules-arch",)),
}
#: Where a distribution that signs modules itself keeps the key that the firmware has to know.
_KEYS: Final = {
    "debian-sid": "/var/lib/dkms/mok.pub",
    "debian": "/var/lib/dkms/mok.pub",
    "ubuntu": "/var/lib/shim-signed/mok/MOK.der",
    "fedora": "/etc/pki/akmods/certs/public_key.der",
}
_NOTES: Final = {
    "fedora": "The packages are those of RPM Fusion, which must be among the system's repositories.",
    "debian-sid": "The packages are in Debian's contrib section, which must be switched on.",
    "ubuntu": "The packages are in Ubuntu's multiverse section.",
}


@dataclass(frozen=True)
class Advice:
    """The next step.

    Attributes:
        command: to be run by an administrator; None when there is none.
        page: to be opened in a browser; None when there is none.
    """

    sentence: str
    command: tuple[str, ...] | None = None
    page: str | None = None


def distribution(os_release: str) -> str:
    """Which of the known distributions an /etc/os-release is of; empty for others.

    Source: os-release(5): ID, ID_LIKE, VERSION_CODENAME; Debian's unstable has no VERSION_ID.
    """
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    known = {name: value.strip().strip("\"'") for name, value in fields.items()}
    likes = [known.get("ID", ""), *known.get("ID_LIKE", "").split()]
    for like in likes:
        if like == "debian":
            return "debian" if "VERSION_ID" in known or likes[0] != "debian" else "debian-sid"
        if like.startswith("opensuse") or like == "suse":
            return "opensuse"
        if like in _PACKAGES:
            return like
    return ""


def advise(platform: str, distribution: str, problem: ClientError) -> Advice:
    """The step out of a problem of VirtualBox, on this system.

    Args:
        platform: as `sys.platform`.
        distribution: as `distribution()` says it; empty where there is none.
    """
    if isinstance(problem, ToolMissing | VirtualBoxTooOld | VirtualBoxBroken):
        return _install(platform, distribution, problem)
    said = sentence(problem).doing
    if platform == "linux":
        return Advice(said, _linux_command(distribution, problem))
    if platform == "win32" and isinstance(problem, VirtualizationTaken):
        command = ("bcdedit", "/set", "hypervisorlaunchtype", "off")
        return Advice(f"{said} Windows' own virtual machines and WSL 2 stop working then.", command)
    if isinstance(problem, KernelModuleMissing | KernelModuleMismatch | MacApprovalMissing):
        return Advice(said, page=DOWNLOADS)
    return Advice(said)


def _install(platform: str, distribution: str, problem: ClientError) -> Advice:
    # A package that is too old already is the newest that the distribution has.
    if platform != "linux" or distribution not in _PACKAGES or isinstance(problem, VirtualBoxTooOld):
        return Advice(_GET_IT, page=DOWNLOADS)
    verb, packages, _ = _PACKAGES[distribution]
    note = _NOTES.get(distribution, "")
    return Advice(f"Install VirtualBox with your system's package manager. {note}".strip(), (*_root(verb), *packages))


def _linux_command(distribution: str, problem: ClientError) -> tuple[str, ...] | None:
    if isinstance(problem, KernelModuleNotLoaded):
        return _root(("modprobe", "vboxdrv"))
    if isinstance(problem, SecureBootBlocks):
        key = _KEYS.get(distribution)
        return _root(("mokutil", "--import", key)) if key else None
    if isinstance(problem, KernelModuleMissing | KernelModuleMismatch):
        if distribution in _PACKAGES:
            verb, _, modules = _PACKAGES[distribution]
            return _root((*verb, *modules))
        # As Oracle's own packages bring it.
        return _root(("/sbin/vboxconfig",))
    return None


def _root(command: tuple[str, ...]) -> tuple[str, ...]:
    return ("sudo", *command)
