"""Holding up sleep and shutdown for the few seconds that logind grants, so that guests can be paused before."""

import os
from typing import Final

from client.host.dbus.link import Link

_LOGIN: Final = "org.freedesktop.login1"
_WHAT: Final = "sleep:shutdown"


class DelayLock:
    """A delay lock of logind. It holds as long as its file is open, and ends with this process at the latest.

    Source: "Inhibitor Locks" of systemd; a lock that was given back has to be taken anew after each sleep.
    """

    def __init__(self) -> None:
        self._file = -1

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        return self._file >= 0

    async def take(self, link: Link) -> None:
        """Take it, unless it is held.

        Raises:
            OSError: logind does not grant it.
        """
        if self.held:
            return
        body = (_WHAT, "Volunteer Cloud", "Virtual machines are paused first", "delay")
        path, interface = "/org/freedesktop/login1", f"{_LOGIN}.Manager"
        self._file = await link.call_for_file(_LOGIN, path, interface, "Inhibit", "ssss", *body)

    def let_go(self) -> None:
        """Give it back: the computer sleeps or shuts down at once if it was to."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
