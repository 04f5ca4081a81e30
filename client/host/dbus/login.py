"""logind: sleep, shutdown, sessions and their locks, and who keeps the screen awake."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from client.clock import Clock
from client.host.dbus.hold import DelayLock
from client.host.dbus.link import BusRefused, Link, Signal
from client.host.dbus.seats import seats_of, shown_sessions
from client.host.dbus.service import AskedService
from client.host.part import Facts, Wishes

_PATH: Final = "/org/freedesktop/login1"
_MANAGER: Final = "org.freedesktop.login1.Manager"
_SESSION: Final = "org.freedesktop.login1.Session"
#: Terminals tell of input by the time of their file, which nobody announces.
_TERMINAL_S: Final = 10.0
_DEVICES: Final = Path("/dev")


class Login(AskedService):
    """What logind knows.

    Args:
        hold: taken while it is wanted.
        uid: of this user.
    """

    name = "org.freedesktop.login1"
    rules: tuple[str, ...] = (
        f"path='{_PATH}',interface='{_MANAGER}'",
        f"path='{_PATH}',interface='org.freedesktop.DBus.Properties'",
        f"path_namespace='{_PATH}/session'",
    )

    def __init__(self, clock: Clock, wishes: Wishes, hold: DelayLock, uid: int) -> None:
        super().__init__()
        self._clock, self._wishes, self._hold = clock, wishes, hold
        self._uid = uid
        self._sleeping: bool | None = None
        self._leaving: bool | None = None
        # Whether sleep is to be held up.
        wishes.listen(lambda: self.wake())

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        manager = await link.properties(self.name, _PATH, _MANAGER)
        # Signals are believed more: a property that was read just before one is old.
        if self._sleeping is None:
            self._sleeping = bool(manager.get("PreparingForSleep"))
        if self._leaving is None:
            self._leaving = bool(manager.get("PreparingForShutdown"))
        if not self._wishes.now.hold:
            self._hold.let_go()
        elif not self._sleeping and not self._leaving:
            await self._hold.take(link)
        shown = shown_sessions(await self._sessions(link))
        self.again_s = _TERMINAL_S if any(session.kind == "tty" for session in shown) else None
        blocked = str(manager.get("BlockInhibited", "")).split(":")
        return {
            "sleeping": self._sleeping,
            "leaving": self._leaving,
            "granted_s": _seconds(manager.get("InhibitDelayMaxUSec")),
            "awake": "idle" in blocked,
            "seats": seats_of(shown, self._uid, self._terminal_input),
        }

    async def _sessions(self, link: Link) -> list[dict[str, Any]]:
        (listed,) = await link.call(self.name, _PATH, _MANAGER, "ListSessions")
        found = []
        for _id, _uid, _user, seat, path in listed:
            if not seat:
                continue
            try:
                found.append(await link.properties(self.name, path, _SESSION))
            except BusRefused:
                # It has ended since it was listed.
                continue
        return found

    def _terminal_input(self, name: str) -> float | None:
        return terminal_input(_DEVICES / name, self._clock.monotonic, time.time)

    def hear(self, signal: Signal) -> Facts:
        """Sleep and shutdown are told without asking, for there are only seconds."""
        if signal.interface == _MANAGER and signal.member == "PrepareForSleep":
            self._sleeping = bool(signal.body[0])
            return {"sleeping": self._sleeping}
        if signal.interface == _MANAGER and signal.member == "PrepareForShutdown":
            self._leaving = bool(signal.body[0])
            return {"leaving": self._leaving}
        return {}

    def gone(self) -> None:
        """Its lock is nothing worth without it."""
        self._sleeping = self._leaving = None
        self._hold.let_go()


def _seconds(microseconds: object) -> float | None:
    return microseconds / 1e6 if isinstance(microseconds, int) else None


def terminal_input(device: Path, monotonic: Callable[[], float], wall: Callable[[], float]) -> float | None:
    """Monotonic seconds of the last input to a terminal; None: not known."""
    try:
        return monotonic() - max(0.0, wall() - device.stat().st_atime)
    except OSError:
        return None
