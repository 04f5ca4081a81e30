"""All errands in one VM's guest besides its jobs: commands, files, messages. Joins them to the guest link."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from client.clock import Clock
from client.guest.commands import Commands, Say
from client.guest.files import Exchange, Files
from client.guest.ledger import Ledger
from client.guest.mailbox import Mailbox
from client.link import Message
from client.log import logger

_MAIL: Final = frozenset({"message", "message_taken"})


class Errands:
    """One VM's. Feed it what the guest says (`take`), and tell it when the guest went off.

    Attributes:
        commands, files, mailbox: what faces use.
        ledger: results of what nobody waited for.
    """

    def __init__(self, folder: Path, say: Say, clock: Clock, exchange: Exchange | None = None) -> None:
        """Build them; nothing is read or written. folder: theirs alone."""
        self.ledger = Ledger(folder, clock)
        self.commands = Commands(say, self.ledger)
        self.files = Files(say, self.ledger, exchange)
        self.mailbox = Mailbox(say, folder)
        self._boot = ""
        self._over: set[str] = set()

    @property
    def boot(self) -> str:
        """The boot of the guest that speaks; empty when none has spoken yet, or the guest is off."""
        return self._boot

    def load(self) -> None:
        """Take up what the last client left. Needs a running loop.

        Raises:
            OSError: the folder cannot be used.
        """
        entries = self.ledger.load()
        self.commands.load(entries)
        self.files.load(entries)
        self.mailbox.load()

    def take(self, message: Message, boot: str) -> bool:
        """A message of the guest; whether it was for an errand. boot: names the boot that it comes from."""
        handler = self._handler(message.kind)
        try:
            if boot != self._boot and boot not in self._over:
                self._meet(boot)
            if handler is not None and boot == self._boot:
                handler(message)
        except OSError as error:
            # What could not be noted on the disk is not confirmed to the guest either, but for commands' ends.
            logger("guest").warning("An errand in the guest could not be noted: %s", error)
        return handler is not None

    def went_off(self, cause: str = "guest-gone") -> None:
        """The guest is off, or begins anew; its state is not kept. Idempotent. cause: see Ended."""
        if self._boot:
            self._over = {self._boot}
            self._boot = ""
        self.commands.went_off(cause)
        self.files.went_off()

    async def close(self) -> None:
        """Leave what is under way to the next client."""
        await self.files.close()

    def _meet(self, boot: str) -> None:
        self._boot = boot
        self.commands.met(boot)
        self.files.met(boot)
        self.mailbox.met(boot)

    def _handler(self, kind: str) -> Callable[[Message], Any] | None:
        if kind in _MAIL:
            return self.mailbox.take
        if kind.startswith("exec"):
            return self.commands.take
        return self.files.take if kind.startswith("file") else None
