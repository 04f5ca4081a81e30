"""Which program is in front under Wayland and whether it fills a screen, of compositors that tell.

Those of wlroots (sway, labwc, Wayfire ...) do; GNOME and KDE tell no program.
Source: wlr-protocols, unstable/wlr-foreign-toplevel-management-unstable-v1.xml
"""

import struct
from dataclasses import dataclass, field
from typing import Final

from client.host.part import Tell
from client.host.wayland.connection import Compositor, text_at

_MANAGER: Final = "zwlr_foreign_toplevel_manager_v1"
_TOPLEVEL: Final = 0
_APP_ID, _STATE, _DONE, _CLOSED = 1, 4, 5, 6
_DESTROY: Final = 7
_IN_FRONT, _FILLS = 2, 3


@dataclass
class _Window:
    app_id: str = ""
    states: set[int] = field(default_factory=set)


class FrontWindow:
    """Watches all windows."""

    def __init__(self, compositor: Compositor, tell: Tell) -> None:
        self._compositor, self._tell = compositor, tell
        self._windows: dict[int, _Window] = {}

    def begin(self) -> None:
        """Ask for them, if the compositor tells."""
        for name, version in self._compositor.offers.get(_MANAGER, ())[:1]:
            self._compositor.bind(_MANAGER, name, min(version, 3), self._on_manager)
            self._say()

    def _on_manager(self, opcode: int, data: bytes) -> None:
        if opcode == _TOPLEVEL:
            (number,) = struct.unpack_from("=I", data)
            self._windows[number] = _Window()
            self._compositor.adopt(number, lambda opcode, data: self._on_window(number, opcode, data))

    def _on_window(self, number: int, opcode: int, data: bytes) -> None:
        window = self._windows[number]
        if opcode == _APP_ID:
            window.app_id = text_at(data, 0)[0]
        elif opcode == _STATE:
            (size,) = struct.unpack_from("=I", data)
            window.states = set(struct.unpack_from(f"={size // 4}I", data, 4))
        elif opcode == _CLOSED:
            del self._windows[number]
            self._compositor.forget(number)
            self._compositor.send(number, _DESTROY)
            self._say()
        elif opcode == _DONE:
            self._say()

    def _say(self) -> None:
        front = next((window for window in self._windows.values() if _IN_FRONT in window.states), _Window())
        self._tell({"full_screen": _FILLS in front.states, "foreground": front.app_id.lower()})
