"""`main.py heartbeat ROOM`: who of a project is in its chat room, and how their computers do."""

import argparse
import asyncio
import contextlib
import logging
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

from client.command_line import Parser
from client.copilot.account import bare
from client.copilot.conversation import Messenger
from client.copilot.errors import TransportDown
from client.copilot.fields import printable
from client.copilot.heartbeat import GET_STATUS, HAVE_STATUS, PING, PONG, join_stanza
from client.copilot.host_status import COMPONENTS, parse_status
from client.copilot.managers.config import Config
from client.copilot.messages import Info
from client.copilot.stanza import Received, build_message, parse_message
from client.copilot.transport import Incoming, XmppTransport
from client.errors import BadInput
from client.service.site_argument import add_site, existing_site
from client.service.site_legacy import LEGACY_ROOMS
from client.service.table import say, say_json

_PROG: Final = "main.py heartbeat"
_CONNECT_S: Final = 20.0
#: How long somebody who was asked is waited for beyond the time that the user gave.
LINGER_S: Final = 10.0
#: What the original leaves unnamed in its answer.
_UNNAMED: Final = "runningProcesses"
_USUAL: Final = ("systemLoad", "memoryUsage")
#: Most that are shown; a room may have any number of others.
_MAX_SHOWN: Final = 10_000
#: Out of the way of managers: messages to the JID that all managers share must not come here.
_AWAY: Final = "<presence><priority>-1</priority></presence>"


@dataclass
class Round:
    """One ping to a room, and questions to those who answer it.

    Only they are asked, and the next thing when they have answered the last: the original does not send an answer while
    its last one is not confirmed, and one whose answer comes when nobody is there to take it connects anew for ever.

    Attributes:
        ask: components, in this order.
        found: name in the room -> component -> lists.
    """

    room: str
    ask: tuple[str, ...] = ()
    found: dict[str, dict[str, dict[str, list[str]]]] = field(default_factory=dict)
    _transport: Messenger | None = None
    _owed: dict[str, str] = field(default_factory=dict)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_info(self, incoming: Incoming) -> None:
        """For the transport."""
        command = incoming.info.get("command")
        if bare(incoming.sender) != self.room or command not in {PONG, HAVE_STATUS}:
            return
        name = printable(incoming.sender.partition("/")[2])
        if name not in self.found and len(self.found) >= _MAX_SHOWN:
            return
        is_new = name not in self.found
        told = self.found.setdefault(name, {})
        if command == PONG:
            if is_new:
                await self._ask_next(incoming.sender, 0)
            return
        status, component = incoming.info.get("status"), incoming.info.get("component")
        if isinstance(status, str) and isinstance(component, str):
            answered = component if component in COMPONENTS else _UNNAMED
            told[answered] = parse_status(status)
            if self._owed.get(incoming.sender) == answered:
                await self._ask_next(incoming.sender, self.ask.index(answered) + 1)

    async def put(self, transport: Messenger, wait_s: float) -> None:
        """Ask for `wait_s`, then wait for what was asked and not answered, at most LINGER_S."""
        self._transport = transport
        await transport.send(self.room, {"command": PING}, noack=True)
        await asyncio.sleep(wait_s)
        self._transport = None
        if self._owed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._settled.wait()

    async def _ask_next(self, sender: str, number: int) -> None:
        self._owed.pop(sender, None)
        if self._transport is not None and number < len(self.ask):
            self._owed[sender] = self.ask[number]
            question = {"command": GET_STATUS, "component": self.ask[number]}
            try:
                await self._transport.send(sender, question, noack=True)
            except TransportDown:
                del self._owed[sender]
        if not self._owed:
            self._settled.set()
        else:
            self._settled.clear()


class _RoomCodec:
    """What goes to the room goes to everybody in it."""

    def __init__(self, room: str) -> None:
        self._room = room

    def build(self, message_id: str, sender: str, recipient: str, info: Info, *, noack: bool = False) -> str:
        """See StanzaCodec."""
        text = build_message(message_id, sender, recipient, info, noack=noack)
        return text.replace("<message", "<message type='groupchat'", 1) if recipient == self._room else text

    def parse(self, element: Element) -> Received:
        """See StanzaCodec."""
        return parse_message(element)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog=_PROG,
        description="Asks who is in a chat room of the project, and how their computers do (Co-Pilot's heartbeat).",
    )
    parser.add_argument(
        "room", nargs="?", default="", help=f"JID of the room; a name alone is one of {LEGACY_ROOMS} (pilots-lounge)"
    )
    parser.add_argument("--account", type=Path, metavar="FILE", help="configuration of a manager, for its account")
    add_site(parser)
    parser.add_argument(
        "--ask",
        action="append",
        choices=tuple(COMPONENTS),
        default=[],
        metavar="WHAT",
        help=f"one of {', '.join(COMPONENTS)}; may be repeated ({' and '.join(_USUAL)})",
    )
    parser.add_argument("--wait", type=float, default=3.0, metavar="SECONDS", help="for answers (3)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def main(argv: list[str]) -> int:
    """`main.py heartbeat`; exit code 1 when nobody answered."""
    given = build_parser().parse_args(argv)
    if not 0 < given.wait <= 600:
        raise BadInput(_PROG, "--wait must be more than 0 and at most 600 seconds", "give another time")
    logging.basicConfig(level=logging.ERROR)
    room = given.room or "pilots-lounge"
    room = room if "@" in room else f"{room}@{LEGACY_ROOMS}"
    found = asyncio.run(ask_room(_config(given), room, tuple(given.ask) or _USUAL, given.wait))
    if given.json:
        say_json(found)
    else:
        for line in _lines(room, found):
            say(line)
    return 0 if found else 1


async def ask_room(config: Config, room: str, ask: tuple[str, ...], wait_s: float) -> dict[str, Any]:
    """Who answered in that time, by name in the room, and what.

    Raises:
        BadInput: the account cannot be used.
        TransportDown: the server does not let it in.
    """
    account = replace(config.account(), resource=f"heartbeat-{uuid.uuid4().hex[:8]}")
    answers = Round(room, tuple(dict.fromkeys(ask)))
    transport = XmppTransport(account, answers.on_info, resend=False, codec=_RoomCodec(room))
    transport.greeting = _AWAY + join_stanza(room, account.resource)
    try:
        await transport.connect(_CONNECT_S)
        await answers.put(transport, wait_s)
    finally:
        await transport.close()
    return dict(sorted(answers.found.items()))


def _config(given: argparse.Namespace) -> Config:
    if given.account is not None:
        return Config(given.account)
    folder = existing_site(given, _PROG)
    return Config(folder.config("job-manager"))


def _lines(room: str, found: dict[str, Any]) -> list[str]:
    if not found:
        return [f"Nobody answered in {printable(room)}."]
    lines = [f"{len(found)} in {printable(room)}:"]
    for name, told in found.items():
        lines.append(f"  {name}")
        for component, lists in told.items():
            rows = list(zip(*lists.values(), strict=False))
            lines.append(f"    {component}: {'  '.join(lists)}")
            lines += [f"      {'  '.join(row)}" for row in rows]
    return lines
