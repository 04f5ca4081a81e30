"""Where QEMU is on this computer, and what it can do."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import Final

from client import process
from client.errors import CommandFailed, ToolMissing

SYSTEM: Final = "qemu-system-x86_64"
IMAGE: Final = "qemu-img"
_LIMIT_S: Final = 20.0
_VERSION: Final = re.compile(r"version (\d+)\.(\d+)\.(\d+)")
#: Where installers put it when they do not touch PATH. Source: the Windows builds linked from qemu.org; Homebrew on
#: Apple and Intel processors; MacPorts.
_USUAL_PLACES: Final = {
    "win32": (r"C:\Program Files\qemu", r"C:\Program Files (x86)\qemu"),
    "darwin": ("/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin"),
    "linux": ("/usr/bin", "/usr/local/bin", "/usr/libexec"),
}


@dataclass(frozen=True)
class Qemu:
    """An installed QEMU.

    Attributes:
        version: (7, 2, 22).
        has_sandbox: it can forbid itself system calls.
    """

    system: str
    image: str
    version: tuple[int, int, int]
    has_sandbox: bool = False

    @property
    def version_text(self) -> str:
        """7.2.22."""
        return ".".join(map(str, self.version))

    @property
    def has_file_migration(self) -> bool:
        """Whether it is to be given states by file name.

        Source: QEMU's list of deprecated features, "fd:" for plain files since 9.1; "file:" is there since 8.2.
        """
        return self.version >= (9, 1, 0)


def parse_version(text: str) -> tuple[int, int, int]:
    """The version out of what `--version` prints; (0, 0, 0) when it is not there."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def search_path() -> str:
    """PATH, then the places where QEMU usually is."""
    return os.pathsep.join([os.environ.get("PATH", ""), *_USUAL_PLACES.get(sys.platform, ())])


async def find_qemu(path: str | None = None) -> Qemu:
    """The QEMU of this computer.

    Args:
        path: folders to look in, as in PATH; `search_path()` if None.

    Raises:
        ToolMissing: it, or its image tool, is not there or does not run.
    """
    places = search_path() if path is None else path
    system, image = shutil.which(SYSTEM, path=places), shutil.which(IMAGE, path=places)
    if system is None or image is None:
        raise ToolMissing(IMAGE if system else SYSTEM, "qemu")
    try:
        version = parse_version((await process.run((system, "--version"), timeout_s=_LIMIT_S)).text)
    except CommandFailed as error:
        raise ToolMissing(SYSTEM, "qemu") from error
    return Qemu(system, image, version, await _has_sandbox(system))


async def _has_sandbox(system: str) -> bool:
    if sys.platform != "linux":
        return False
    # A build without seccomp refuses the option; with it, it goes on to the list and ends well.
    command = (system, "-sandbox", "on", "-accel", "help")
    done = await process.run(command, timeout_s=_LIMIT_S, check=False)
    return done.exit_code == 0
