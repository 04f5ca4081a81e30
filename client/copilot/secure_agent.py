"""The original's secure mode at an agent: its codec, and the ticket without which no manager hears it.

The part `secure` of the settings:

    "keys":         file of public keys: a line with a JID, then its key in PEM; repeated
    "key_manager":  bare JID of the key manager; none: the managers ask for no tickets
    "credential":   what the key manager wants to hear; the original's launcher says "blah"
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from client.copilot.account import bare
from client.copilot.errors import BadStanza, TicketRefused, TransportDown
from client.copilot.messages import GetTicket, StoreTicket, build_info, parse_info
from client.copilot.security import PublicKeys, check_ticket
from client.copilot.security_codec import Consumer
from client.errors import BadInput

if TYPE_CHECKING:
    from client.copilot.conversation import Delivered, Messenger

log = logging.getLogger("agent")

USUAL_CREDENTIAL: Final = "blah"
#: What an agent without a key manager says in the place of a ticket.
NO_TICKET: Final = "No ticket"
ASK_AGAIN_S: Final = 10.0


class SecureAgent:
    """Gets the ticket and renews it when half of its time has gone; the original never renews.

    Raises:
        BadInput: the settings cannot be used.
    """

    def __init__(self, secure: Mapping[str, Any], job_manager: str) -> None:
        keys = PublicKeys(Path(str(secure.get("keys", ""))))
        self.codec = Consumer(keys)
        self._key_manager = str(secure.get("key_manager", ""))
        self._credential = str(secure.get("credential", USUAL_CREDENTIAL))
        for jid in (job_manager, self._key_manager):
            if jid and keys.of(jid) is None:
                raise BadInput(str(secure["keys"]), f"there is no key of {jid} in it", "add it, or correct the JID")
        self._signed_by = keys.of(self._key_manager) if self._key_manager else None
        self._had = asyncio.Event()
        if self._signed_by is None:
            self.codec.ticket = NO_TICKET
            self._had.set()

    def take(self, incoming: "Delivered") -> bool:
        """Whether it was a ticket; a good one of the key manager is used from now on."""
        if self._signed_by is None or incoming.info.get("command") != StoreTicket.command:
            return False
        if bare(incoming.sender) != bare(self._key_manager):
            log.warning("ticket of %s, who is not the key manager, dropped", incoming.sender)
            return True
        try:
            command = parse_info(incoming.info)
            if isinstance(command, StoreTicket):
                check_ticket(command.ticket, self._signed_by, time.time())
                self.codec.ticket = command.ticket
                self._had.set()
        except (BadStanza, TicketRefused) as wrong:
            log.error("the ticket of %s is not good: %s", incoming.sender, wrong)
        return True

    async def keep(self, transport: "Messenger") -> None:
        """Has a ticket at all times; to be cancelled with the agent."""
        while self._signed_by is not None:
            self._had.clear()
            while not self._had.is_set():
                await self._ask(transport)
            now = time.time()
            good_to = check_ticket(self.codec.ticket, self._signed_by, now).good_to
            await asyncio.sleep(max(ASK_AGAIN_S, (good_to - now) / 2))

    async def obtained(self) -> None:
        """Returns when there is a ticket, or none is needed."""
        if not self.codec.ticket:
            await self._had.wait()

    async def _ask(self, transport: "Messenger") -> None:
        try:
            sent = await transport.send(self._key_manager, build_info(GetTicket(self._credential)))
        except TransportDown:
            sent = ""
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                await self._had.wait()
        except TimeoutError:
            log.info("no ticket of %s yet", self._key_manager)
        transport.forget(sent)
