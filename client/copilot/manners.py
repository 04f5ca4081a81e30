"""Manners of the original that a native agent has only when its settings ask for them; loaded only then.

"secure":     {"keys": ..., "key_manager": ..., "credential": ...}      see client.copilot.secure_agent
"heartbeat":  {"room": "JID of the room"}
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from client.copilot.conversation import Delivered, Messenger
    from client.copilot.heartbeat import Heartbeat
    from client.copilot.secure_agent import SecureAgent
    from client.copilot.stanza import StanzaCodec
    from client.copilot.transport import XmppTransport

_LOOK_S: Final = 0.2


@dataclass(frozen=True)
class Manners:
    """Those that were asked for."""

    secure: "SecureAgent | None" = None
    heartbeat: "Heartbeat | None" = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Manners":
        """Those of an agent's settings.

        Raises:
            BadInput: they cannot be had.
        """
        secure = heartbeat = None
        job_manager = str(settings["agent"]["job_manager"])
        if settings.get("secure"):
            from client.copilot.secure_agent import SecureAgent

            secure = SecureAgent(settings["secure"], job_manager)
        if settings.get("heartbeat"):
            from client.copilot.heartbeat import Heartbeat

            heartbeat = Heartbeat(str(settings["heartbeat"].get("room", "")), (job_manager,))
        return cls(secure, heartbeat)

    @property
    def codec(self) -> "StanzaCodec | None":
        """For the transport."""
        return self.secure.codec if self.secure else None

    def prepare(self, transport: "XmppTransport") -> None:
        """Has the transport enter the room in each session."""
        if self.heartbeat:
            transport.greeting = self.heartbeat.greeting(transport.resource)

    async def take(self, incoming: "Delivered", transport: "Messenger") -> bool:
        """Whether what was delivered was for them, and not for the agent."""
        if self.secure and self.secure.take(incoming):
            return True
        if self.heartbeat and self.heartbeat.asks(incoming.info):
            await self.heartbeat.serve(incoming, transport)
            return True
        return False

    @contextlib.asynccontextmanager
    async def kept(self, transport: "Messenger", must_end: Callable[[], bool]) -> AsyncIterator[None]:
        """Has a ticket while the context lasts, from its beginning on; begins without one if the agent must end."""
        if self.secure is None:
            yield
            return
        keeper = asyncio.create_task(self.secure.keep(transport))
        try:
            while not must_end() and not await self._has_ticket(self.secure):
                continue
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _has_ticket(self, secure: "SecureAgent") -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await secure.obtained()
                return True
        return False
