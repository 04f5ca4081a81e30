"""Whether there is a screen to draw on. Qt ends the whole program when there is none, so it is asked before."""

import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from client.errors import BadInput

#: (family, address) as `socket` takes them.
Place = tuple[int, str | tuple[str, int]]

_ANSWER_LIMIT_S: Final = 3.0
#: `[host]:display[.screen]`; the host may be an IPv6 address in brackets. Source: X(7), "DISPLAY NAMES".
_DISPLAY: Final = re.compile(r"(?:tcp/)?(?P<host>[\w.-]*|\[[0-9a-fA-F:]+\]):(?P<number>\d{1,5})(?:\.\d+)?")
_FIRST_PORT: Final = 6000


def need_display(environment: Mapping[str, str], platform: str = sys.platform) -> None:
    """Return if a window can probably be opened; in doubt it is left to Qt.

    Args:
        environment: the program's environment variables.
        platform: as `sys.platform`; others than Linux always have a screen.

    Raises:
        BadInput: there is no display, or none that answers.
    """
    if platform != "linux" or not _wants_x11(environment):
        return
    name = environment.get("DISPLAY", "")
    if not name:
        raise _no_display("there is none")
    if not display_answers(name):
        raise _no_display(f"{name} does not answer")


def _no_display(what: str) -> BadInput:
    return BadInput("the display", what, "use `main.py headless`, or start it from a desktop session")


def _wants_x11(environment: Mapping[str, str]) -> bool:
    """Whether only X11 is left to draw with. `QT_QPA_PLATFORM` is a list: `wayland;xcb`, `offscreen:size=...`."""
    given = environment.get("QT_QPA_PLATFORM", "")
    names = [part.partition(":")[0].strip() for part in given.split(";") if part.strip()]
    if any(not name.startswith(("xcb", "wayland")) for name in names):
        return False
    has_wayland = bool(environment.get("WAYLAND_DISPLAY") or environment.get("WAYLAND_SOCKET"))
    return not has_wayland or (bool(names) and all(name == "xcb" for name in names))


def _answers(place: Place) -> bool:
    family, address = place
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_LIMIT_S)
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def display_answers(name: str, answers: Callable[[Place], bool] = _answers) -> bool:
    """Whether something listens where an X server of this name would; True for a name that is not understood."""
    found = _DISPLAY.fullmatch(name)
    if found is None:
        return True
    return any(answers(place) for place in _places(found["host"].strip("[]"), int(found["number"])))


def _places(host: str, number: int) -> Iterator[Place]:
    """Where to look, in the order of libxcb: without a host the local sockets, then this computer's port."""
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"
        yield socket.AF_UNIX, f"\0{path}"
        yield socket.AF_UNIX, path
    if host != "unix" and number + _FIRST_PORT < 1 << 16:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        yield family, (host or "127.0.0.1", number + _FIRST_PORT)
