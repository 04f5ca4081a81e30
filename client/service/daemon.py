"""The program without a window: the same core, progress on the terminal or as JSON lines."""

import asyncio
import json
import signal
import sys
from typing import Final

from client.board import without_log
from client.commands import Command, Quit, WhatOfWork
from client.paths import Paths
from client.service.control import InstanceLock
from client.service.printer import Outlet, Printer, Show
from client.service.quota import Outcome
from client.service.session import Options, run
from client.snapshot import ClientSnapshot


class JsonLines:
    """One snapshot a line on standard output, log lines left to the log file."""

    backlog = 64

    def __init__(self, outlet: Outlet | None = None) -> None:
        self.outlet = outlet or Outlet()

    def show(self, snapshot: ClientSnapshot) -> None:
        """Print it; a reader that went away ends the printing, not the work."""
        if self.outlet.over:
            return
        said = without_log(snapshot).to_json()
        del said["log"]
        self.outlet.write(json.dumps(said) + "\n")

    def close(self) -> None:
        """Nothing to tidy."""


class TerminalPort:
    """The border between the core and a terminal."""

    def __init__(self, show: Show) -> None:
        self._printer = Printer(show)
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._left = False

    def publish(self, snapshot: ClientSnapshot) -> None:
        """Have it drawn beside the loop; a slow reader misses some."""
        self._printer.put(snapshot)

    async def close(self) -> None:
        """Draw the last state, for a moment at most."""
        await self._printer.close()

    def show_window(self) -> bool:
        """A terminal has no window."""
        return False

    async def next_command(self) -> Command:
        """What signals call for."""
        return await self._commands.get()

    def leave(self) -> None:
        """End the run and save the work; a second call insists: it is stopped, not saved."""
        self._commands.put_nowait(Quit(WhatOfWork.STOP if self._left else WhatOfWork.SAVE))
        self._left = True


LEAVE_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


def main(options: Options, *, as_json: bool) -> int:
    """Run until told to end, or until `options.jobs` jobs are finished. Returns the exit code.

    Raises:
        AlreadyRunning: another instance holds the base folder.
    """
    show: Show
    if as_json:
        show = JsonLines()
    else:
        from client.service.terminal import make_terminal

        show = make_terminal()
    try:
        with InstanceLock(Paths(options.base)):
            return asyncio.run(_run(options, TerminalPort(show))).exit_code(options.jobs)
    finally:
        show.close()


async def _run(options: Options, port: TerminalPort) -> Outcome:
    loop = asyncio.get_running_loop()
    for name in LEAVE_SIGNALS:
        if hasattr(signal, name) and sys.platform != "win32":
            loop.add_signal_handler(getattr(signal, name), port.leave)
    try:
        return await run(options, port)
    finally:
        await port.close()
