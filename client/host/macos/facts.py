"""What the programs of macOS print. Pure, so that it is tested everywhere."""

import plistlib
import re
from collections.abc import Mapping
from typing import Any, Final

from client.host.part import Facts

_DISPLAY_ON: Final = re.compile(r"^\s*(?:PreventUserIdleDisplaySleep|InternalPreventDisplaySleep)\s+([01])\s*$", re.M)
_LOW_POWER: Final = re.compile(r"^\s*lowpowermode\s+([01])\s*$", re.M)
_BROKEN: Final = (plistlib.InvalidFileException, ValueError, LookupError)


def awake_in(text: str) -> Facts:
    """From `pmset -g assertions`: whether a program keeps the screen on."""
    found = _DISPLAY_ON.findall(text)
    return {"awake": "1" in found if found else None}


def saver_in(text: str) -> Facts:
    """From `pmset -g`: low power mode."""
    found = _LOW_POWER.search(text)
    return {"power_saver": found[1] == "1" if found else None}


def session_in(text: str, user: str) -> Facts:
    """From `ioreg -n Root -d1 -a`: who is shown on the screen, and whether it is locked.

    Args:
        user: the name of this one.

    Returns:
        `locked` None when another user is shown, who is not watched.

    Raises:
        ValueError: it is no such list.
    """
    try:
        told: Any = plistlib.loads(text.encode())
    except _BROKEN as error:
        raise ValueError("no property list") from error
    users = told.get("IOConsoleUsers", []) if isinstance(told, Mapping) else []
    shown = [one for one in users if isinstance(one, Mapping) and one.get("kCGSSessionOnConsoleKey")]
    mine = [one for one in shown if one.get("kCGSSessionUserNameKey") == user]
    if not mine:
        return {"locked": None}
    return {"locked": bool(mine[0].get("CGSSessionScreenIsLocked", False))}
