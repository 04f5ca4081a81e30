"""A key manager of the original's kind: `getTicket` is answered by `storeTicket`.

As the original's it tells nobody apart: the credential is one word for all. Secure mode is for talking to the
original, not for keeping anybody out.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from client.copilot.account import bare
from client.copilot.managers.reply import Reply
from client.copilot.messages import Command, GetTicket, StoreTicket
from client.copilot.once import Once
from client.copilot.security import make_ticket
from client.copilot.token_bucket import TokenBuckets
from client.log import logger

log = logger("site")

VALIDITY_S: Final = 86400
#: For one account; an agent of the original asks once, and there may be many with one account.
TICKETS_PER_S: Final = 1.0
BURST: Final = 50


@dataclass
class TicketDesk:
    """Gives tickets. credential: what askers must say; empty: anything will do."""

    private: RSAPrivateKey = field(repr=False)
    validity_s: int = VALIDITY_S
    credential: str = field(default="", repr=False)
    _buckets: TokenBuckets = field(default_factory=lambda: TokenBuckets(TICKETS_PER_S, BURST))
    _hasty: Once = field(default_factory=Once)
    _strangers: Once = field(default_factory=Once)

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """A ticket for whoever asks; other commands are for others."""
        if not isinstance(command, GetTicket):
            return []
        if self.credential and command.credential != self.credential:
            if self._strangers.is_new(bare(sender)):
                log.warning("%s gets no ticket: it does not say the credential; said once", bare(sender))
            return []
        # Also those who ask in clear have it cost the private key.
        if not self._buckets.take(bare(sender)):
            if self._hasty.is_new(bare(sender)):
                log.warning("%s asks for too many tickets; it gets one a second, said once", bare(sender))
            return []
        log.info("ticket for %s", sender)
        return [Reply(sender, StoreTicket(make_ticket(sender, self.private, now, self.validity_s)))]

    def tick(self, now: float) -> list[Reply]:
        """Nothing to do."""
        return []
