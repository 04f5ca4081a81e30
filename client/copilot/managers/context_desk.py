"""The original's context manager over a folder: `getContext` is answered by `applyContext` or `noContext`.

A file's name is a context's id, its text the context as machines get it: `key=base64` items joined by `###`. Whoever
asks must say the SHA-1 of the text, so only those who were told the context's key, when it was made, get it.

Source: the original's context manager, which keeps the same in Redis as `copilot:context_manager:context:<id>:data`.
"""

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.copilot.fields import MAX_JOB_TEXT
from client.copilot.managers.reply import Reply
from client.copilot.messages import ApplyContext, Command, GetContext, NoContext
from client.log import logger

log = logger("site")

#: Keys that were wrong are told to the log this often at most in one run.
MAX_TOLD: Final = 1000


@dataclass
class ContextDesk:
    """Gives contexts to those who know their keys."""

    folder: Path
    _told: int = 0

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """The context that was asked for; other commands are for others."""
        if not isinstance(command, GetContext):
            return []
        found = self._read(command.context_id)
        # The same time for contexts that are not there, lest ids can be guessed.
        key = hashlib.sha1(found or b"", usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(key.encode(), command.key.lower().encode("utf-8", "replace")) or found is None:
            self._tell(sender, command.context_id)
            return [Reply(sender, NoContext(command.context_id))]
        log.info("context %s for %s", command.context_id, sender)
        return [Reply(sender, ApplyContext(command.context_id, found.decode("utf-8", "replace")))]

    def tick(self, now: float) -> list[Reply]:
        """Nothing to do."""
        return []

    def _read(self, context_id: str) -> bytes | None:
        try:
            handle = os.open(self.folder / context_id, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            is_file = stat.S_ISREG(os.fstat(handle).st_mode)
            content = os.read(handle, MAX_JOB_TEXT + 1).strip() if is_file else b""
        finally:
            os.close(handle)
        return content if 0 < len(content) <= MAX_JOB_TEXT else None

    def _tell(self, sender: str, context_id: str) -> None:
        if self._told < MAX_TOLD:
            self._told += 1
            log.warning("%s gets no context %s: there is none, or its key is another", sender, context_id)
