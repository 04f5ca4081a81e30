"""The X display of this session as a part of the sensors: input, and the window in front."""

import asyncio
from collections.abc import Mapping
from typing import Final

from client.clock import Clock
from client.host.part import MARK_S, Input, Tell
from client.host.process_name import name_of
from client.host.together import together
from client.host.x11.address import cookie_file, number_of, read_cookie, socket_of
from client.host.x11.display import Display
from client.host.x11.idle import IdleAlarms
from client.host.x11.under_wayland import is_under_wayland
from client.host.x11.windows import FrontWindow

#: How often the counter itself is asked: it shows whether the server still lives, and mends what an event missed.
_CHECK_S: Final = 30.0


class X11:
    """Input and the front window of the display that DISPLAY names.

    Under Wayland an X server sees only the input to its own windows and would call somebody who types idle: there it is
    not asked at all.
    """

    name = "x11"

    def __init__(self, clock: Clock, env: Mapping[str, str], mark_s: float = MARK_S) -> None:
        self._clock, self._env, self._mark_s = clock, env, mark_s

    async def run(self, tell: Tell) -> None:
        """Tell of input and the front window; see `Part`."""
        number = number_of(self._env.get("DISPLAY", ""))
        if number is None or self._env.get("WAYLAND_DISPLAY") or self._env.get("XDG_SESSION_TYPE") == "wayland":
            return
        display = await Display.connect(socket_of(number), read_cookie(cookie_file(self._env), number))
        try:
            await self._serve(display, tell)
        finally:
            await display.close()

    async def _serve(self, display: Display, tell: Tell) -> None:
        def tell_input(what: Input) -> None:
            tell({"display": what})

        idle = IdleAlarms(display, self._clock.monotonic, tell_input, self._mark_s)
        windows = FrontWindow(display, tell, name_of)

        def on_event(code: int, data: bytes) -> None:
            idle.on_event(code, data)
            windows.on_event(code, data)

        await together(display.serve(on_event), _watch(display, idle, windows))


async def _watch(display: Display, idle: IdleAlarms, windows: FrontWindow) -> None:
    # The environment may not tell: a program that was started over ssh knows DISPLAY only.
    if not await is_under_wayland(display):
        await together(_check(idle), windows.run())


async def _check(idle: IdleAlarms) -> None:
    if not await idle.begin():
        raise LookupError("this X server does not count idle time")
    while True:
        await asyncio.sleep(_CHECK_S)
        await idle.check()
