"""Heartbeats of the original: who is in a room says that it is there, and how its computer does, when asked.

    Heartbeat:ping                        pong, which nobody confirms
    Heartbeat:getStatus, component=...    haveStatus, component, status

Asked in the room or directly; the answer goes to who asked. Off unless a room is configured. Those in the room are
answered, and managers of the project; at most MAX_ANSWERS in WINDOW_S, so that nobody can make us busy by asking.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from client.copilot.account import bare
from client.copilot.errors import NoKeyOf, TransportDown
from client.copilot.host_status import COMPONENTS, build_status

if TYPE_CHECKING:
    from client.copilot.conversation import Delivered, Messenger
    from client.copilot.messages import Info

PING: Final = "Heartbeat:ping"
GET_STATUS: Final = "Heartbeat:getStatus"
PONG: Final = "pong"
HAVE_STATUS: Final = "haveStatus"
MAX_ANSWERS: Final = 20
WINDOW_S: Final = 10.0
#: The original leaves the component empty in answers about these.
_UNNAMED: Final = "runningProcesses"


class Answer(NamedTuple):
    """A map to be sent. to: who asked."""

    to: str
    info: "Info"
    noack: bool


class Heartbeat:
    """Answers in one room.

    Args:
        room: bare JID of the room; empty: only those of `trusted` are answered.
        trusted: bare JIDs that may ask directly.
        is_private: the processes of this user are told to those of `trusted` only.
    """

    def __init__(
        self,
        room: str,
        trusted: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
        *,
        is_private: bool = False,
    ) -> None:
        self.room = room
        self._is_private = is_private
        self._askers = {room, *trusted} - {""}
        self._clock = clock
        self._answered_at: deque[float] = deque(maxlen=MAX_ANSWERS)

    def greeting(self, nick: str) -> str:
        """The stanza that enters the room; empty without one."""
        return join_stanza(self.room, nick) if self.room else ""

    def asks(self, info: "Info") -> bool:
        """Whether a map is a question of heartbeats, to be kept from others whoever sent it."""
        return info.get("command") in {PING, GET_STATUS}

    async def serve(self, incoming: "Delivered", transport: "Messenger") -> None:
        """Answers a question that was delivered; without a session it is not answered."""
        answer = await self.answer(incoming.sender, incoming.info)
        if answer is not None:
            with contextlib.suppress(TransportDown, NoKeyOf):
                await transport.send(answer.to, answer.info, noack=answer.noack)

    async def answer(self, sender: str, info: "Info") -> Answer | None:
        """What to say to a question; None: nothing."""
        if bare(sender) not in self._askers or not self._may_answer():
            return None
        if info.get("command") == PING:
            return Answer(sender, {"command": PONG}, noack=True)
        component = info.get("component")
        look = COMPONENTS.get(component) if isinstance(component, str) else None
        if look is None or not isinstance(component, str):
            return None
        if self._is_private and component == _UNNAMED and bare(sender) == self.room:
            return None
        status = build_status(await asyncio.to_thread(look))
        shown = "" if component == _UNNAMED else component
        return Answer(sender, {"command": HAVE_STATUS, "component": shown, "status": status}, noack=False)

    def _may_answer(self) -> bool:
        now = self._clock()
        if len(self._answered_at) == MAX_ANSWERS and now - self._answered_at[0] < WINDOW_S:
            return False
        self._answered_at.append(now)
        return True


def join_stanza(room: str, nick: str) -> str:
    """The presence that enters a room. Source: XEP-0045, 7.2."""
    return f"<presence to='{_escape(room)}/{_escape(nick)}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
