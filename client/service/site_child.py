"""One child process of a site, kept alive: started, watched, started again with growing pauses."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client import process
from client.errors import ToolMissing
from client.log import logger

log = logger("site")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
#: A child that ran this long was well; its next pause is the first again.
_WELL_AFTER_S: Final = 30.0
_LOOK_S: Final = 0.2


@dataclass(frozen=True)
class ChildSpec:
    """What to run.

    Attributes:
        output: file for what it writes.
        is_ready: whether it serves now.
        is_server: others talk to it, so it is stopped after them.
        is_needed: False: the site is up without it, and does not wait for it.
    """

    name: str
    command: Sequence[str]
    output: Path
    is_ready: Callable[[], bool]
    is_server: bool = False
    is_needed: bool = True


class SiteChild:
    """A child that is meant to run."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.restarts = 0
        self._child: process.Child | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._child.identity.pid if self._child and self._child.exit_code is None else None

    async def start(self) -> None:
        """Start it. It ends when this program does.

        Raises:
            ToolMissing: it is not installed.
        """
        self._child = await process.start(self.spec.command, output=self.spec.output)

    async def until_ready(self, timeout_s: float) -> bool:
        """Whether it serves within the time; False at once when it has ended."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self.pid is not None and loop.time() < end:
            if self.spec.is_ready():
                return True
            await asyncio.sleep(0.02)
        return False

    async def keep(self) -> None:
        """Start it again whenever it ends; to be cancelled."""
        loop = asyncio.get_running_loop()
        pause_s, started_at = _FIRST_PAUSE_S, loop.time()
        while True:
            code = await self._until_ended()
            if loop.time() - started_at > _WELL_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            log.warning("%s ended (exit code %s), started again in %.1f s", self.spec.name, code, pause_s)
            self._end_group()
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            self.restarts += 1
            started_at = loop.time()
            try:
                await self.start()
            except (OSError, ToolMissing) as error:
                # Removed while the site runs, or no memory for a process: it may be back at the next trial.
                log.error("%s cannot be started: %s", self.spec.name, error)

    async def _until_ended(self) -> int | None:
        """Its exit code, once it has ended."""
        while True:
            if self._child is None or self._child.exit_code is not None:
                return self._child.exit_code if self._child else None
            await asyncio.sleep(_LOOK_S)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """End it and what it started; idempotent."""
        if self._child is not None:
            await self._child.stop(timeout_s)
            self._end_group()

    def _end_group(self) -> None:
        """Servers that fork per connection leave those behind; they are all in the child's own session."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.identity.pid, signal.SIGKILL)
