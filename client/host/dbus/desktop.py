"""Desktops: is the screen locked, does a program keep it awake, does a game run?"""

from typing import Final

from client.host.dbus.link import Link, Signal
from client.host.dbus.service import AskedService
from client.host.part import Facts

#: Source: gnome-session, org.gnome.SessionManager.xml: 8 inhibits the session being marked as idle
_IDLE: Final = 8
#: Source: powerdevil, PolicyAgent: 4 is ChangeScreenSettings
_SCREEN: Final = 4


class Screensaver(AskedService):
    """A screen saver or lock screen of a desktop, by its name on the bus."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._path = "/" + name.replace(".", "/")
        self.rules: tuple[str, ...] = (f"path='{self._path}',member='ActiveChanged'",)

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        (active,) = await link.call(self.name, self._path, self.name, "GetActive")
        return {"locked": bool(active)}

    def hear(self, signal: Signal) -> Facts:
        """The signal says it all."""
        return {"locked": bool(signal.body[0])} if signal.member == "ActiveChanged" else {}


SCREENSAVERS: Final = (
    "org.gnome.ScreenSaver",
    "org.freedesktop.ScreenSaver",
    "org.cinnamon.ScreenSaver",
    "org.mate.ScreenSaver",
    "org.xfce.ScreenSaver",
)


class SessionInhibitors(AskedService):
    """Programs that ask GNOME's session (and those of Cinnamon and MATE) not to become idle."""

    name = "org.gnome.SessionManager"
    rules: tuple[str, ...] = ("path='/org/gnome/SessionManager',member='InhibitorAdded'", "member='InhibitorRemoved'")

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        path = "/org/gnome/SessionManager"
        (inhibited,) = await link.call(self.name, path, self.name, "IsInhibited", "u", _IDLE)
        return {"awake": bool(inhibited)}


class PlasmaInhibitors(AskedService):
    """Programs that ask KDE Plasma to leave the screen on."""

    name = "org.kde.Solid.PowerManagement.PolicyAgent"
    rules: tuple[str, ...] = ("path='/org/kde/Solid/PowerManagement/PolicyAgent',member='InhibitionsChanged'",)

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        path = "/org/kde/Solid/PowerManagement/PolicyAgent"
        (inhibited,) = await link.call(self.name, path, self.name, "HasInhibition", "u", _SCREEN)
        return {"awake": bool(inhibited)}


class GameMode(AskedService):
    """Games that have asked for the whole computer: as good as one that fills the screen."""

    name = "com.feralinteractive.GameMode"
    rules: tuple[str, ...] = ("path='/com/feralinteractive/GameMode'",)

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        told = await link.properties(self.name, "/com/feralinteractive/GameMode", self.name)
        return {"full_screen": int(told["ClientCount"]) > 0}
