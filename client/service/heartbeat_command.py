"""`main.py heartbeat ROOM`: who of a project is in its chat room, and how their computers do."""

import argparse
import asyncio
import logging
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

from client.command_line import Parser
from client.copilot.account import bare
from client.copilot.conversation import Messenger
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
_USUAL: Final = ("systemLoad", "memoryUsage")
#: Most that are shown; a room may have any number of others.
_MAX_SHOWN: Final = 10_000
#: Out of the way of managers: messages to the JID that all managers share must not come here.
_AWAY: Final = "<presence><priority>-1</priority></presence>"


@dataclass
class Round:
    """What one question brought. found: name in the room -> component -> lists."""

    room: str
    found: dict[str, dict[str, dict[str, list[str]]]] = field(default_factory=dict)

    async def on_info(self, incoming: Incoming) -> None:
        """For the transport."""
        command = incoming.info.get("command")
        if bare(incoming.sender) != self.room or command not in {PONG, HAVE_STATUS} or len(self.found) >= _MAX_SHOWN:
            return
        told = self.found.setdefault(printable(incoming.sender.partition("/")[2]), {})
        status, component = incoming.info.get("status"), incoming.info.get("component")
        if command == HAVE_STATUS and isinstance(status, str) and isinstance(component, str):
            told[component if component in COMPONENTS else "runningProcesses"] = parse_status(status)


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
    answers = Round(room)
    transport = XmppTransport(account, answers.on_info, resend=False, codec=_RoomCodec(room))
    transport.greeting = _AWAY + join_stanza(room, account.resource)
    try:
        await transport.connect(_CONNECT_S)
        await put_questions(transport, room, ask, wait_s)
    finally:
        await transport.close()
    return dict(sorted(answers.found.items()))


async def put_questions(transport: Messenger, room: str, ask: tuple[str, ...], wait_s: float) -> None:
    """Asks, and waits for answers, `wait_s` in all.

    One component after the other: the original does not send an answer while its last one is not confirmed.
    """
    await transport.send(room, {"command": PING}, noack=True)
    for component in ask:
        await transport.send(room, {"command": GET_STATUS, "component": component}, noack=True)
        await asyncio.sleep(wait_s / len(ask))


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
