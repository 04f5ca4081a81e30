"""Where the user's displays are, for a program that was not started from among them.

What was started by the user's service manager, over ssh or by a timer knows no display in its own environment; desktops
tell theirs to that service manager.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from client.host.dbus.link import Link, session_address
from client.host.part import Part, Tell
from client.host.x11.address import number_of

_MANAGER: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_TAKEN: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_SESSION_TYPE")


class InSession:
    """A part that needs the environment of the user's desktop.

    Args:
        make: the part, of an environment.
        env: this program's own.
    """

    def __init__(self, name: str, make: Callable[[Mapping[str, str]], Part], env: Mapping[str, str]) -> None:
        self.name = name
        self._make, self._env = make, env

    async def run(self, tell: Tell) -> None:
        """See `Part`."""
        await self._make(await session_env(self._env)).run(tell)


async def session_env(env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment itself when it knows a display of this computer; else with what the service manager knows.

    Raises:
        OSError, EOFError, ValueError: the service manager does not answer.
    """
    address = session_address(env)
    if env.get("WAYLAND_DISPLAY") or number_of(env.get("DISPLAY", "")) is not None or not address:
        return env
    link = await Link.connect(address)
    try:
        told = await link.properties(_MANAGER, _PATH, f"{_MANAGER}.Manager")
    finally:
        await link.close()
    return {**env, **displays_in(told.get("Environment", ()))}


def displays_in(words: Iterable[str]) -> dict[str, str]:
    """What tells of displays among `NAME=value`."""
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs if name in _TAKEN}
