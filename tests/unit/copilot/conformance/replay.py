"""Captured conversations, seen from one connection, and played again with one side being ours."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from client.copilot.fields import parse_map
from client.copilot.jdl import parse_jdl
from client.copilot.stanza import Kind, Received, parse_message
from tests.unit.copilot.captured import DATA
from tests.unit.copilot.conformance.wire import Wire

_HEADING = re.compile(r"^ +[0-9.]+ #(\d+) \S+ +([CS])>[CS]\n", re.MULTILINE)
_MESSAGE = re.compile(r"<message\b.*?(?:</message>|(?<=')\s*/>(?=\n\n|\n?\Z))", re.DOTALL)
_SHOWN = re.compile(r'(\w[\w:]*)="(.*?)"(?=\s[\w:]+="|\s*/?>)', re.DOTALL)
#: What differs from run to run and from program to program: our announcements, and measured times.
_FREE = {"extensions"}


@dataclass(frozen=True)
class Step:
    """A stanza of a capture. outgoing: sent by the owner of the connection, else received by it."""

    outgoing: bool
    element: ElementTree.Element

    @property
    def received(self) -> Received:
        return parse_message(self.element)


def steps(name: str, connection: int) -> list[Step]:
    """The messages of one connection of a capture, in order."""
    parts = _HEADING.split((DATA / name).read_text(encoding="utf-8"))[1:]
    found = []
    for number, side, block in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if int(number) == connection:
            texts = _MESSAGE.findall(block)
            found += [Step(side == "C", ElementTree.fromstring(text)) for text in texts]
    return found


def shown_steps(name: str) -> Iterator[Step]:
    """The same of a capture that is kept as shown to people: values decoded, quotes in them not escaped."""
    for part in re.split(r"\n\n", (DATA / name).read_text(encoding="utf-8")):
        heading, _, text = part.strip("\n").partition("\n")
        side = _HEADING.match(heading + "\n")
        if side and text.lstrip().startswith("<message"):
            escaped = _SHOWN.sub(lambda found: f'{found[1]}="{_escape(found[2])}"', text.strip())
            yield Step(side[2] == "C", ElementTree.fromstring(escaped))


def _escape(value: str) -> str:
    quoted = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return quoted.replace("\\n", "&#10;")


def same(ours: Received, theirs: Received) -> None:
    """Asserts that two stanzas mean the same; ids are free."""
    assert (ours.kind, ours.recipient, ours.noack) == (theirs.kind, theirs.recipient, theirs.noack)
    assert meaning(ours.info) == meaning(theirs.info)


def meaning(info: Mapping[str, Any]) -> dict[str, Any]:
    """A map without what is free in it; descriptions of computers by the names in them."""
    found: dict[str, Any] = {}
    for name, value in info.items():
        if name == "jdl":
            found[name] = set(parse_jdl(value)) - {"Swap", "FreeSwap", "Cpus"}
        elif name == "jmJobData":
            found[name] = {key: said for key, said in parse_map(value).items() if key not in {"startedAt", "wallTime"}}
        elif name not in _FREE:
            found[name] = value if isinstance(value, str) else meaning(value)
    return found


async def play(wire: Wire, script: list[Step], ours: bool) -> None:
    """Feeds what the owner of the connection received, and expects of the role what the owner sent.

    Args:
        ours: our role is the owner; else it is the one that the owner talks to, through a server that delivers all.
    """
    ids: dict[str, str] = {}
    for step in script:
        if step.outgoing is ours:
            theirs = step.received
            found = await wire.next(theirs.kind, str(theirs.info.get("command", "")))
            same(found, theirs)
            if theirs.kind is Kind.ACK:
                assert found.message_id == theirs.message_id
            else:
                assert found.message_id
                ids[theirs.message_id] = found.message_id
        else:
            confirmed = step.element.get("ack")
            if confirmed in ids:
                step.element.set("ack", ids[confirmed])
            wire.feed(step.element)
    await wire.settle()
