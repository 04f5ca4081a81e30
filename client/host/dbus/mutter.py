"""Input under GNOME, told by its compositor: watches on its idle time."""

from typing import Final

from client.clock import Clock
from client.host.dbus.link import Link, Signal
from client.host.dbus.service import AskedService
from client.host.part import MARK_S, Facts, Input

_PATH: Final = "/org/gnome/Mutter/IdleMonitor/Core"
_NONE: Final = -1


class MutterIdle(AskedService):
    """Two watches of org.gnome.Mutter.IdleMonitor: one on idle time, which tells each time that it is reached, and one
    on input, which tells once and is set again by the next asking.

    Source: mutter, data/dbus-interfaces/org.gnome.Mutter.IdleMonitor.xml
    """

    name = "org.gnome.Mutter.IdleMonitor"
    rules: tuple[str, ...] = (f"path='{_PATH}',member='WatchFired'",)

    def __init__(self, clock: Clock, mark_s: float = MARK_S) -> None:
        super().__init__()
        self._clock, self._mark_s = clock, mark_s
        self._on_idle = self._on_input = _NONE

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        if self._on_idle == _NONE:
            self._on_idle = await self._watch(link, "AddIdleWatch", "t", int(self._mark_s * 1000))
        if self._on_input == _NONE:
            self._on_input = await self._watch(link, "AddUserActiveWatch")
        # Only now: whatever came before the watch was set is in the answer, whatever comes after is in the watch.
        (idle_ms,) = await link.call(self.name, _PATH, self.name, "GetIdletime")
        return {"display": self._input(idle_ms / 1000)}

    async def _watch(self, link: Link, member: str, signature: str = "", *body: object) -> int:
        (watch,) = await link.call(self.name, _PATH, self.name, member, signature, *body)
        return int(watch)

    def _input(self, idle_s: float) -> Input:
        return Input(None if idle_s < self._mark_s else self._clock.monotonic() - idle_s)

    def hear(self, signal: Signal) -> Facts:
        """Input is told without asking."""
        if signal.member != "WatchFired":
            return {}
        if signal.body[0] == self._on_input:
            self._on_input = _NONE
            return {"display": Input(None)}
        return {"display": self._input(self._mark_s)} if signal.body[0] == self._on_idle else {}

    def gone(self) -> None:
        """Its watches are gone with it."""
        self._on_idle = self._on_input = _NONE
