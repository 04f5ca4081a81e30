"""A computer before which nobody can sit: a server, a container. There is no display, and nobody keeps sessions."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from client.host.part import Facts
from client.host.presence import Seats

#: where a session manager is at work. Source: sd_booted(3), and elogind, which makes the other
_MANAGERS = (Path("run/systemd/system"), Path("run/systemd/seats"))
#: sockets of displays, whoever's they are
_DISPLAYS = ("tmp/.X11-unix/X*", "run/user/*/wayland-*")


def look(env: Mapping[str, str] | None = None, root: Path = Path("/")) -> Facts:
    """`seats` with nothing shown on them where that is sure; None where it is not.

    Args:
        env: of this process; None: its own.
        root: under which the system's files are.
    """
    env = os.environ if env is None else env
    is_shown = any(env.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    is_shown = is_shown or any((root / place).exists() for place in _MANAGERS)
    is_shown = is_shown or any(next(root.glob(pattern), None) for pattern in _DISPLAYS)
    is_shown = is_shown or any(_is_here(user.terminal, user.host) for user in psutil.users())
    return {"seats": None if is_shown else Seats()}


def _is_here(terminal: str | None, host: str | None) -> bool:
    """Whether a login is at the computer's own console or display: those that come over the network sit elsewhere."""
    return (host or "").startswith(":") or not (terminal or "").startswith("pts")
