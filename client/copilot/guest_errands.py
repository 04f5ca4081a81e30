"""What the host has done in the guest besides jobs: commands, files, messages. Loaded when the first is asked for."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

from client.copilot.guest_commands import Commands, Say, Ways
from client.copilot.guest_files import Files
from client.copilot.guest_mail import SOCKET, Mail
from client.link import Message

log = logging.getLogger("guest")

_MAIL: Final = frozenset({"message", "message_taken"})


class Errands:
    """All errands of this boot."""

    def __init__(self, say: Say, ways: Ways, boot_id: str) -> None:
        self._commands = Commands(say, ways, boot_id)
        self._files = Files(say, boot_id)
        self._mail = Mail(say)

    async def open(self, socket: Path = SOCKET) -> None:
        """Lets programs of the guest send and receive messages; one where that cannot be says so and goes on."""
        try:
            await self._mail.open(socket)
        except OSError as failed:
            log.warning("no messages for programs: %s", failed)

    def take(self, message: Message) -> None:
        """Obeys a message of the host; those of other kinds are none of its matter."""
        if message.kind in _MAIL:
            self._mail.take(message)
        elif message.kind.startswith("exec"):
            self._commands.take(message)
        elif message.kind.startswith("file"):
            self._files.take(message)

    async def close(self, limit_s: float) -> None:
        """Ends all commands and lets go of half files."""
        self._mail.close()
        self._files.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._commands.close()
