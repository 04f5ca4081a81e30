"""Message stanzas of the Co-Pilot protocol: maps to XML text and received elements to maps.

Pure work on text and ElementTree elements; no stream is needed. We write every value with the `_BASE64:` prefix and
MIME line breaks, as the original does. We accept what the original is known to write: the prefix with or without
colon, any white space in the base64, elements whose values are all plain (its resent stanzas), and the stray
attributes that those carry.

A message's `noack` asks the receiver not to acknowledge it; an `ack` attribute names the message that it confirms.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:  # what only types need is not loaded: a guest's start is counted in tenths of a second
    from xml.etree import ElementTree

    from client.copilot.messages import Info

_PREFIX: Final = "_BASE64"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
#: A Perl reference printed by accident in a stanza that the original sends again.
_STRAY: Final = re.compile(r"HASH\(0x[0-9a-f]+\)")
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/]")
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"}
#: Deepest nesting of maps that is accepted; redirect needs 3.
MAX_DEPTH: Final = 5
#: Most attributes and children of one element.
MAX_VALUES: Final = 200


class Kind(StrEnum):
    """What a received message stanza is."""

    #: carries a map with a command
    INFO = "info"
    #: confirms a message of ours
    ACK = "ack"
    #: a message of ours that came back undelivered
    BOUNCE = "bounce"
    #: nothing for us: no id, no map, human text
    NOTHING = "nothing"


@dataclass(frozen=True)
class Received:
    """A message stanza taken apart.

    Attributes:
        message_id: of an ack or a bounce, the id of our message that it is about.
        sender: full JID as set by the server.
        noack: the sender wants no acknowledgement.
        condition: why it bounced, as the server named it.
        answer: a stanza to be written in return, of a codec that has something to say itself; empty for none.
    """

    kind: Kind
    message_id: str = ""
    sender: str = ""
    recipient: str = ""
    info: "Info" = field(default_factory=dict)
    noack: bool = False
    condition: str = ""
    answer: str = ""


class StanzaCodec(Protocol):
    """How maps become stanzas and back; the functions of this module are the usual one."""

    def build(self, message_id: str, sender: str, recipient: str, info: "Info", *, noack: bool = False) -> str:
        """See build_message."""

    def parse(self, element: "ElementTree.Element") -> Received:
        """See parse_message."""


def encode_value(text: str) -> str:
    """A value as written: prefix, base64 in lines of 76, each ended by a line feed."""
    return f"{_PREFIX}:{base64.encodebytes(text.encode('utf-8', 'surrogateescape')).decode('ascii')}"


def decode_value(text: str) -> str:
    """A value as meant; text without the prefix is taken as it is. Never fails."""
    if not text.startswith(_PREFIX):
        return text
    letters = _NOT_BASE64.sub("", text[len(_PREFIX) :])
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    padded = letters + "=" * (-len(letters) % 4)
    return base64.b64decode(padded).decode("utf-8", "surrogateescape")


def build_message(
    message_id: str,
    sender: str,
    recipient: str,
    info: "Info",
    *,
    noack: bool = False,
    body: Mapping[str, str] | None = None,
) -> str:
    """The stanza that carries a map.

    Args:
        body: attributes of the body, of values that are coded already, instead of the map.

    Raises:
        ValueError: a name in the map cannot be an attribute or element.
    """
    head = _attributes({"from": sender, "to": recipient, "id": message_id, **({"noack": "1"} if noack else {})})
    if body is not None:
        # Their line feeds stay raw, as those in maps do.
        inner = "".join(f" {name}='{value}'" for name, value in body.items())
        return f"<message{head}><body{inner}/></message>"
    return f"<message{head}><body>{_element('info', info)}</body></message>"


def element_of(info: "Info") -> str:
    """The element that carries a map, alone.

    Raises:
        ValueError: a name in the map cannot be an attribute or element.
    """
    return _element("info", info)


def build_ack(message_id: str, sender: str, recipient: str) -> str:
    """The stanza that confirms a message: neither id nor body."""
    return f"<message{_attributes({'from': sender, 'to': recipient, 'ack': message_id})}/>"


def parse_message(element: "ElementTree.Element") -> Received:
    """Takes a received `message` element apart; whatever is malformed is Kind.NOTHING."""
    found = Received(
        Kind.NOTHING,
        message_id=element.get("id", ""),
        sender=element.get("from", ""),
        recipient=element.get("to", ""),
        noack=element.get("noack") == "1",
    )
    if element.get("type") == "error":
        return replace(found, kind=Kind.BOUNCE, condition=_condition(element))
    confirmed = element.get("ack")
    if confirmed is not None:
        return replace(found, kind=Kind.ACK, message_id=confirmed)
    body = _child(element, "body")
    child = _child(body, "info") if body is not None else None
    if not found.message_id or child is None:
        return found
    return replace(found, kind=Kind.INFO, info=_map(child, 1))


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}='{_escape(value)}'" for name, value in values.items())


def _escape(text: str) -> str:
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in text)
    return escaped.replace("\n", "&#10;").replace("\t", "&#9;").replace("\r", "&#13;")


def _element(name: str, values: "Info") -> str:
    if not all(map(_NAME.fullmatch, (name, *values))):
        raise ValueError(f"not a name: {[found for found in (name, *values) if not _NAME.fullmatch(found)]}")
    # The line feeds stay raw, as the original writes them; the receiver's parser turns them into blanks.
    head = "".join(f" {key}='{encode_value(value)}'" for key, value in values.items() if isinstance(value, str))
    inner = "".join(_element(key, value) for key, value in values.items() if not isinstance(value, str))
    return f"<{name}{head}>{inner}</{name}>" if inner else f"<{name}{head}/>"


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _child(element: "ElementTree.Element", name: str) -> "ElementTree.Element | None":
    """The last child of that name: the original keeps one per name too."""
    found = [child for child in element if _local(child.tag) == name]
    return found[-1] if found else None


def _map(element: "ElementTree.Element", depth: int) -> "Info":
    values: dict[str, str | Info] = {}
    for name, value in list(element.attrib.items())[:MAX_VALUES]:
        if _NAME.fullmatch(name):
            values[name] = decode_value(value)
    if depth < MAX_DEPTH:
        for child in element[:MAX_VALUES]:
            # A child wins over the stray attribute of the same name in a resent stanza.
            name = _local(child.tag)
            if _NAME.fullmatch(name):
                values[name] = _map(child, depth + 1)
    return {name: value for name, value in values.items() if not _is_stray(value)}


def _is_stray(value: "str | Info") -> bool:
    return isinstance(value, str) and _STRAY.fullmatch(value) is not None


def _condition(element: "ElementTree.Element") -> str:
    error = _child(element, "error")
    names = [_local(child.tag) for child in error] if error is not None else []
    return next((name for name in names if name != "text"), "undefined")
