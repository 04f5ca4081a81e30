"""The Wayland display of this session as a part of the sensors."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.host.part import MARK_S, Input, Tell
from client.host.together import together
from client.host.wayland.connection import Compositor
from client.host.wayland.idle import IdleNotifications
from client.host.wayland.windows import FrontWindow

#: How often the compositor is asked whether it still lives.
_CHECK_S: Final = 30.0


class Wayland:
    """Input, and the front window, of the display that WAYLAND_DISPLAY names.

    A compositor that tells nothing of idle time (GNOME's) is asked on the session bus instead.
    """

    name = "wayland"

    def __init__(self, clock: Clock, env: Mapping[str, str], mark_s: float = MARK_S) -> None:
        self._clock, self._env, self._mark_s = clock, env, mark_s

    async def run(self, tell: Tell) -> None:
        """Tell of input and the front window; see `Part`."""
        display = self._env.get("WAYLAND_DISPLAY")
        if not display:
            return
        path = Path(self._env.get("XDG_RUNTIME_DIR", "/run")) / display
        compositor = await Compositor.connect(str(path))
        try:
            await together(compositor.serve(), self._watch(compositor, tell))
        finally:
            await compositor.close()

    async def _watch(self, compositor: Compositor, tell: Tell) -> None:
        def tell_input(what: Input) -> None:
            tell({"display": what})

        await compositor.begin()
        IdleNotifications(compositor, self._clock.monotonic, tell_input, self._mark_s).begin()
        FrontWindow(compositor, tell).begin()
        while True:
            await compositor.sync()
            await asyncio.sleep(_CHECK_S)
