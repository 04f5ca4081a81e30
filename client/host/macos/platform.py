"""The parts of a Mac."""

import asyncio
import getpass
from collections.abc import Callable, Sequence
from typing import Final

from client import process
from client.clock import Clock
from client.errors import CommandFailed, ToolMissing
from client.host.macos.facts import awake_in, saver_in, session_in
from client.host.macos.system import input_idle_s
from client.host.part import Facts, Part, Tell
from client.host.polled_input import PolledInput

_LIMIT_S: Final = 2.0
_MOST_BYTES: Final = 1 << 20


class Asked:
    """A program of the system that is run now and then, and what its words tell."""

    def __init__(self, name: str, command: Sequence[str], every_s: float, read: Callable[[str], Facts]) -> None:
        self.name = name
        self._command, self._every_s, self._read = tuple(command), every_s, read

    async def run(self, tell: Tell) -> None:
        """Ask until cancelled; see `Part`."""
        while True:
            try:
                done = await process.run(self._command, timeout_s=_LIMIT_S, most_bytes=_MOST_BYTES)
            except (CommandFailed, ToolMissing) as error:
                raise OSError(str(error)) from error
            tell(self._read(done.text))
            await asyncio.sleep(self._every_s)


def parts(clock: Clock) -> list[Part]:
    """What runs by itself."""
    user = getpass.getuser()
    return [
        PolledInput(clock, input_idle_s),
        Asked("console", ("/usr/sbin/ioreg", "-n", "Root", "-d1", "-a"), 10.0, lambda text: session_in(text, user)),
        Asked("assertions", ("/usr/bin/pmset", "-g", "assertions"), 20.0, awake_in),
        Asked("low power mode", ("/usr/bin/pmset", "-g"), 60.0, saver_in),
    ]
