"""Where VirtualBox is on this computer, and which version it is."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from client.errors import ToolMissing
from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.parse import Version, parse_version
from client.hypervisor.virtualbox.problems import VirtualBoxBroken, VirtualBoxTooOld
from client.hypervisor.virtualbox.vboxmanage import VBoxManage

#: The oldest version that is driven. 6.1 (December 2019) is the first with a virtio-scsi controller, which the disks
#: of our VMs sit on, since an IDE controller has too few places and the appliance's kernel has no driver for the
#: others. Of older ones only the version is read, for a sentence that says what to do.
#: Source: VirtualBox's change log, 6.1.0.
OLDEST: Final = Version(6, 1)
_COMMAND: Final = "VBoxManage"
#: Set by the Windows installer; the second by old ones. Source: VirtualBox's manual, "Installing on Windows Hosts".
_VARIABLES: Final = ("VBOX_MSI_INSTALL_PATH", "VBOX_INSTALL_PATH")
#: Source: VirtualBox's manual, "Installation Details"; the packages of Debian, Fedora (RPM Fusion) and Oracle.
_USUAL_PLACES: Final = {
    "win32": (r"C:\Program Files\Oracle\VirtualBox", r"C:\Program Files (x86)\Oracle\VirtualBox"),
    "darwin": ("/usr/local/bin", "/Applications/VirtualBox.app/Contents/MacOS"),
    "linux": ("/usr/bin", "/usr/local/bin", "/opt/VirtualBox", "/usr/lib/virtualbox", "/usr/lib64/virtualbox"),
}


@dataclass(frozen=True)
class VirtualBox:
    """An installed VirtualBox. program: what to call, before VBoxManage's own words."""

    program: tuple[str, ...]
    version: Version


def usual_path(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """PATH, then where the installer says it put it, then where it usually is."""
    places = [environ.get("PATH", ""), *(environ.get(name, "") for name in _VARIABLES)]
    if platform == "win32":
        roots = (environ.get(name) for name in ("ProgramW6432", "ProgramFiles"))
        places += [rf"{root}\Oracle\VirtualBox" for root in roots if root]
    return os.pathsep.join(place for place in (*places, *_USUAL_PLACES.get(platform, ())) if place)


async def find_virtualbox(search_path: str | None = None) -> VirtualBox:
    """The VirtualBox of this computer.

    Args:
        search_path: folders to look in, as in PATH; the usual ones if None.

    Raises:
        ToolMissing: it is not there.
        VirtualBoxBroken: it is there and says no version.
        VirtualBoxTooOld: it is older than `OLDEST`.
    """
    command = shutil.which(_COMMAND, path=usual_path() if search_path is None else search_path)
    if command is None:
        raise ToolMissing(_COMMAND, "virtualbox")
    version = await _version((command,))
    if version < OLDEST:
        raise VirtualBoxTooOld(version, OLDEST)
    return VirtualBox((command,), version)


async def _version(program: tuple[str, ...]) -> Version:
    try:
        said = await VBoxManage(program).read("--version")
    except HypervisorError as error:
        raise VirtualBoxBroken(str(error.details().get("said", error))) from error
    version = parse_version(said)
    if version is None:
        raise VirtualBoxBroken(said.strip()[-200:] or "no version")
    return version
