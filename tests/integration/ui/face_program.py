"""The real window and tray on a core that only plays: `face_program REPORT COMMANDS [--minimized]`.

It publishes a working guest twice a second and writes each command that it is asked as a line to COMMANDS.
"""

import argparse
import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from client.commands import Pause, Quit, Resume
from client.snapshot import ClientSnapshot
from tests.unit.ui import samples
from ui import application
from ui.bridge import CorePort

#: A tray that is gone for so long is gone; short, so that the test is.
application.UNREACHABLE_LIMIT_MS = 1000  # type: ignore[misc]


class Player:
    """A core that pauses and resumes at once."""

    def __init__(self, commands: Path) -> None:
        self._commands = commands
        self._now: ClientSnapshot = samples.WORKING

    async def obey(self, port: CorePort) -> None:
        while True:
            command = await port.next_command()
            with self._commands.open("a", encoding="utf-8") as file:
                file.write(f"{type(command).__name__}\n")
            if isinstance(command, Quit):
                return
            if isinstance(command, Pause | Resume):
                self._now = samples.PAUSED if isinstance(command, Pause) else samples.WORKING
            port.publish(self._now)

    async def play(self, port: CorePort) -> None:
        seq = 0
        while True:
            seq += 1
            port.publish(replace(self._now, seq=seq, taken_at=datetime.now(UTC)))
            await asyncio.sleep(0.5)

    async def __call__(self, port: CorePort) -> None:
        playing = asyncio.create_task(self.play(port))
        await self.obey(port)
        playing.cancel()


def main() -> int:
    """Run until Quit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=Path)
    parser.add_argument("commands", type=Path)
    parser.add_argument("--minimized", action="store_true")
    said = parser.parse_args()
    return application.run(Player(said.commands), minimized=said.minimized, theme="light", report_file=said.report)


if __name__ == "__main__":
    sys.exit(main())
