"""Joins the window to a run of the program: the lock, the core's coroutine, the exit code."""

import asyncio
import os
from pathlib import Path

from client import filenames
from client.errors import AlreadyRunning, NotRunning
from client.paths import Paths
from client.service.control import InstanceLock, ask
from client.service.quota import Outcome
from client.service.session import Options, check, run
from ui.application import run as run_window
from ui.bridge import CorePort
from ui.display import need_display


def main(options: Options, *, theme: str, minimized: bool, report: Path | None = None) -> int:
    """Open the window and work until Quit. A second start shows the first one's window and ends.

    Raises:
        AlreadyRunning: another instance holds the base folder and has no window to show.
        BadInput: there is no display to open a window on, or a word of the command line does not fit.
    """
    check(options)
    paths = Paths(options.base)
    try:
        with InstanceLock(paths):
            return _run(options, theme, minimized, report)
    except AlreadyRunning:
        if _show_other(paths):
            return 0
        raise


def _run(options: Options, theme: str, minimized: bool, report: Path | None) -> int:
    need_display(os.environ)
    outcome = Outcome()

    async def core(port: CorePort) -> None:
        nonlocal outcome
        outcome = await run(options, port)

    place = options.base / filenames.WINDOW
    status = run_window(core, minimized=minimized, theme=theme, settings_file=place, report_file=report)
    return status or outcome.exit_code(options.jobs)


def _show_other(paths: Paths) -> bool:
    try:
        return bool(asyncio.run(ask(paths, "show"))["ok"])
    except NotRunning:
        return False
