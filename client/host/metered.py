"""Is this computer's network paid by the byte? Asked of the system; macOS has no program that tells."""

import asyncio
import sys
from typing import Final

from client import process
from client.errors import CommandFailed, ToolMissing
from client.host.part import Tell

_LIMIT_S: Final = 20.0
#: It starts a program each time.
_EVERY_S: Final = 900.0
_MOST_BYTES: Final = 64 * 1024
_MANAGER: Final = "org.freedesktop.NetworkManager"
#: Source: NetworkManager's D-Bus reference, NMMetered: 1 yes, 2 no, 3 and 4 the same as a guess; 0 not known
_LINUX: Final = ("busctl", "get-property", _MANAGER, "/org/freedesktop/NetworkManager", _MANAGER, "Metered")
#: Source: Windows.Networking.Connectivity.NetworkCostType: Unknown, Unrestricted, Fixed, Variable
_WINDOWS: Final = (
    "powershell.exe",
    "-NoProfile",
    "-NonInteractive",
    "-Command",
    "[void][Windows.Networking.Connectivity.NetworkInformation,Windows,ContentType=WindowsRuntime]; "
    "[Windows.Networking.Connectivity.NetworkInformation]::GetInternetConnectionProfile()"
    ".GetConnectionCost().NetworkCostType.ToString()",
)
_WORDS: Final = {
    "u 1": True,
    "u 3": True,
    "u 2": False,
    "u 4": False,
    "fixed": True,
    "variable": True,
    "unrestricted": False,
}


async def is_metered(platform: str = sys.platform) -> bool | None:
    """Whether it is; None if the system does not know, or there is nobody to ask."""
    command = {"linux": _LINUX, "win32": _WINDOWS}.get(platform)
    if command is None:
        return None
    try:
        done = await process.run(command, timeout_s=_LIMIT_S, most_bytes=_MOST_BYTES)
    except (ToolMissing, CommandFailed, OSError):
        return None
    return answer_of(done.text)


def answer_of(said: str) -> bool | None:
    """What the system's program has said."""
    return _WORDS.get(said.strip().lower())


class Metered:
    """The same as a part of the sensors, where the system gives no event of it."""

    name = "metered"

    async def run(self, tell: Tell) -> None:
        """Ask now and then; see `Part`."""
        while True:
            tell({"metered": await is_metered()})
            await asyncio.sleep(_EVERY_S)
