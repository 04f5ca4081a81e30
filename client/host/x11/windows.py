"""Which program is in front on an X display, and whether it fills a screen: told by the window manager's properties.

Source: Extended Window Manager Hints 1.5, _NET_ACTIVE_WINDOW and _NET_WM_STATE.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from typing import Final

from client.host.part import Facts, Tell
from client.host.x11.display import Display, XRefused

_CHANGE_ATTRIBUTES: Final = 2
_EVENT_MASK: Final = 0x800
_PROPERTY_CHANGES, _STRUCTURE = 0x400000, 0x20000
_DESTROYED, _UNMAPPED, _CONFIGURED, _PROPERTY = 17, 18, 22, 28
#: A window that is dragged or sized tells of each step; it is looked at this often at most.
_REST_S: Final = 0.5


class FrontWindow:
    """Watches the window in front.

    Args:
        name_of: name of the program of a process id, for windows that tell it; empty: there is none.
    """

    def __init__(self, display: Display, tell: Tell, name_of: Callable[[int], str]) -> None:
        self._display, self._tell, self._name_of = display, tell, name_of
        self._changed = asyncio.Event()
        self._changed.set()
        self._active_atom = 0
        self._watched = 0

    def on_event(self, code: int, data: bytes) -> None:
        """Take an event of the display, whatever it is."""
        if code == _PROPERTY:
            if struct.unpack_from("<I", data, 8)[0] == self._active_atom:
                self._changed.set()
        elif code in {_DESTROYED, _UNMAPPED, _CONFIGURED}:
            self._changed.set()

    async def run(self) -> None:
        """Tell what is in front, and every change, until cancelled.

        Raises:
            OSError: the server does not answer.
        """
        self._active_atom = await self._display.atom("_NET_ACTIVE_WINDOW")
        self._select(self._display.root, _PROPERTY_CHANGES)
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self._tell(await self._look())
            except XRefused:
                # The window has gone between two requests: whatever comes to the front next is told of.
                self._tell({"full_screen": False, "foreground": ""})
            await asyncio.sleep(_REST_S)

    def _select(self, window: int, events: int) -> None:
        self._display.send(_CHANGE_ATTRIBUTES, 0, struct.pack("<III", window, _EVENT_MASK, events))

    async def _look(self) -> Facts:
        window = number_in(await self._display.property(self._display.root, "_NET_ACTIVE_WINDOW"))
        if window != self._watched:
            if self._watched:
                self._select(self._watched, 0)
            self._watched = window
            if window:
                self._select(window, _STRUCTURE)
        if not window:
            return {"full_screen": False, "foreground": ""}
        states = await self._display.property(window, "_NET_WM_STATE")
        full = await self._display.atom("_NET_WM_STATE_FULLSCREEN")
        pid = number_in(await self._display.property(window, "_NET_WM_PID"))
        name = self._name_of(pid) if pid else ""
        if not name:
            name = class_in(await self._display.property(window, "WM_CLASS"))
        fills = full in numbers_in(states) and pid != os.getpid()
        return {"full_screen": fills, "foreground": name}


def numbers_in(data: bytes) -> tuple[int, ...]:
    """What a property of numbers or atoms holds."""
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])


def number_in(data: bytes) -> int:
    """What a property of one number or window holds; 0 when there is none."""
    return next(iter(numbers_in(data)), 0)


def class_in(data: bytes) -> str:
    """The class in WM_CLASS (instance, NUL, class, NUL), lower case."""
    words = data.decode("latin-1").split("\0")
    return (words[1] if len(words) > 1 else words[0]).lower()
