"""When there is input under Wayland, told by the compositor: a notification of idle time for each seat.

Source: wayland-protocols, staging/ext-idle-notify; plasma-wayland-protocols, idle.xml (before there was the other).
"""

import struct
from collections.abc import Callable
from typing import Final

from client.host.part import MARK_S, Input
from client.host.wayland.connection import Compositor

_EXT, _KDE, _SEAT = "ext_idle_notifier_v1", "org_kde_kwin_idle", "wl_seat"
#: of ext: what programs do to keep the screen awake counts as input in the first, not in the second, of version 2
_GET_NOTIFICATION, _GET_INPUT_NOTIFICATION, _GET_TIMEOUT = 1, 2, 0
#: events, the same of both
_IDLED: Final = 0


class IdleNotifications:
    """The notifications of all seats, told as one."""

    def __init__(
        self, compositor: Compositor, now: Callable[[], float], tell: Callable[[Input], None], mark_s: float = MARK_S
    ) -> None:
        self._compositor, self._now, self._tell, self._mark_s = compositor, now, tell, mark_s
        self._last_at: dict[int, float | None] = {}

    def begin(self) -> bool:
        """Ask for them. Returns False when the compositor tells nobody."""
        ask = self._asker()
        seats = [name for name, _ in self._compositor.offers.get(_SEAT, ())]
        if ask is None or not seats:
            return False
        for name in seats:
            seat = self._compositor.bind(_SEAT, name, 1)
            # Somebody is there until the opposite is told, which takes as long as it would take to be seen.
            self._last_at[name] = None
            ask(seat, self._compositor.new_id(self._hearer(name)))
        self._say()
        return True

    def _asker(self) -> Callable[[int, int], None] | None:
        """What asks for a notification: (seat, number of the new object)."""
        mark_ms = int(self._mark_s * 1000)
        for name, version in self._compositor.offers.get(_EXT, ()):
            notifier = self._compositor.bind(_EXT, name, min(version, 2))
            opcode = _GET_INPUT_NOTIFICATION if version > 1 else _GET_NOTIFICATION
            return lambda seat, new: self._compositor.send(notifier, opcode, struct.pack("=III", new, mark_ms, seat))
        for name, _ in self._compositor.offers.get(_KDE, ()):
            idle = self._compositor.bind(_KDE, name, 1)
            return lambda seat, new: self._compositor.send(idle, _GET_TIMEOUT, struct.pack("=III", new, seat, mark_ms))
        return None

    def _hearer(self, name: int) -> Callable[[int, bytes], None]:
        def hear(opcode: int, data: bytes) -> None:
            self._last_at[name] = self._now() - self._mark_s if opcode == _IDLED else None
            self._say()

        return hear

    def _say(self) -> None:
        known = [at for at in self._last_at.values() if at is not None]
        self._tell(Input(max(known) if len(known) == len(self._last_at) else None))
