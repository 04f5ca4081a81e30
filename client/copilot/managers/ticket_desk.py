"""A key manager of the original's kind: `getTicket` is answered by `storeTicket`.

As the original's it tells nobody apart: the credential is one word for all, and what the ticket says of its holder is
not looked at by anybody. Secure mode is for talking to the original, not for keeping anybody out.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from client.copilot.managers.reply import Reply
from client.copilot.messages import Command, GetTicket, StoreTicket
from client.copilot.security import make_ticket
from client.log import logger

log = logger("site")

VALIDITY_S: Final = 86400


@dataclass
class TicketDesk:
    """Gives tickets. credential: what askers must say; empty: anything will do."""

    private: RSAPrivateKey = field(repr=False)
    validity_s: int = VALIDITY_S
    credential: str = field(default="", repr=False)

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """A ticket for whoever asks; other commands are for others."""
        if not isinstance(command, GetTicket):
            return []
        if self.credential and command.credential != self.credential:
            log.warning("%s gets no ticket: it does not say the credential", sender)
            return []
        log.info("ticket for %s", sender)
        return [Reply(sender, StoreTicket(make_ticket(sender, self.private, now, self.validity_s)))]

    def tick(self, now: float) -> list[Reply]:
        """Nothing to do."""
        return []
