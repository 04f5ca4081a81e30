"""The original's secure mode around stanzas: an agent's side (consumer) and a manager's (provider).

    <body session_key='...' info='...'/>    agent to manager
    <body info='...'/>                      back

Acknowledgements, bounces and refusals are never encrypted and never looked into here, and a refusal is never answered:
in the original they met each other and went on for ever.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from client.copilot.account import bare
from client.copilot.errors import NoKeyOf, NotDecoded, TicketRefused
from client.copilot.messages import Error, GetTicket, SecurityError, build_info
from client.copilot.once import Once
from client.copilot.security import PublicKeys, check_ticket, new_session_key, seal, unseal, unwrap_key, wrap_key
from client.copilot.stanza import Kind, Received, build_message, element_of, parse_message
from client.copilot.token_bucket import TokenBuckets

if TYPE_CHECKING:
    from client.copilot.messages import Info

log = logging.getLogger("copilot.security")

TICKET: Final = "componentAuthenticationTicket"
#: Agents whose session key is remembered.
MAX_SESSIONS: Final = 20_000
#: A sender is told at most this often that it was not understood.
REFUSAL_PAUSE_S: Final = 10.0

#: What was not used in so many seconds may be used at once: agents that share an account come in crowds.
BURST_S: Final = 10


class Consumer:
    """An agent's side. ticket: added to everything but the request for one; empty: none yet."""

    def __init__(self, keys: PublicKeys) -> None:
        self.ticket = ""
        self._keys = keys
        self._session_key = new_session_key()

    def build(self, message_id: str, sender: str, recipient: str, info: "Info", *, noack: bool = False) -> str:
        """The stanza that carries a map.

        Raises:
            NoKeyOf: the recipient's key is not known.
        """
        public = self._keys.of(recipient)
        if public is None:
            raise NoKeyOf(recipient)
        if self.ticket and info.get("command") != GetTicket.command:
            info = {**info, TICKET: self.ticket}
        body = {
            "session_key": wrap_key(self._session_key, public),
            "info": seal(element_of(info).encode("utf-8", "surrogateescape"), self._session_key),
        }
        return build_message(message_id, sender, recipient, {}, noack=noack, body=body)

    def parse(self, element: "ElementTree.Element") -> Received:
        """What a stanza says; what cannot be read, and what was not encrypted, says nothing."""
        received = parse_message(element)
        if received.kind in {Kind.ACK, Kind.BOUNCE}:
            return received
        body = _body(element)
        try:
            if received.message_id and body is not None and "info" in body.attrib:
                return _opened(received, unseal(body.attrib["info"], self._session_key))
        except NotDecoded as wrong:
            # It may be meant for a program that ran here before.
            log.warning("message of %s dropped: %s", received.sender, wrong.said)
        if received.info.get("command") == SecurityError.command:
            log.warning("%s does not understand us: %r", received.sender, received.info.get("errorString"))
        return replace(received, kind=Kind.NOTHING, info={})


class Provider:
    """A manager's side.

    Args:
        tickets_of: key of the key manager whose tickets are asked for; None: none are.
        only: nothing is taken that was not encrypted.
        per_s: messages of one account that are decrypted in a second, or those of BURST_S seconds at once. Each costs
            about a millisecond, and whoever has an account may send any number.
    """

    def __init__(
        self,
        private: RSAPrivateKey,
        tickets_of: RSAPublicKey | None = None,
        *,
        only: bool = False,
        per_s: int = 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._private = private
        self._tickets_of = tickets_of
        self._only = only
        self._clock = clock
        self._buckets = TokenBuckets(per_s, per_s * BURST_S)
        self._hasty = Once()
        self._told = Once()
        self._sessions: OrderedDict[str, bytes] = OrderedDict()
        self._refused_at: OrderedDict[str, float] = OrderedDict()

    def build(self, message_id: str, sender: str, recipient: str, info: "Info", *, noack: bool = False) -> str:
        """The stanza that carries a map, encrypted for those who encrypt theirs.

        Raises:
            NoKeyOf: nothing encrypted came of the recipient, and nothing else is to be sent.
        """
        key = self._sessions.get(recipient)
        if key is not None:
            body = {"info": seal(element_of(info).encode("utf-8", "surrogateescape"), key)}
            return build_message(message_id, sender, recipient, {}, noack=noack, body=body)
        if self._only:
            raise NoKeyOf(recipient)
        return build_message(message_id, sender, recipient, info, noack=noack)

    def parse(self, element: "ElementTree.Element") -> Received:
        """What a stanza says; `answer` is the refusal if it says nothing."""
        received = parse_message(element)
        if received.kind in {Kind.ACK, Kind.BOUNCE}:
            return received
        body = _body(element)
        if not received.message_id or body is None or "info" not in body.attrib or "session_key" not in body.attrib:
            return replace(received, kind=Kind.NOTHING, info={}) if self._only else received
        if not self._may_open(received.sender):
            return replace(received, kind=Kind.NOTHING, info={})
        try:
            return self._open(received, body)
        except NotDecoded as wrong:
            # Whoever sent it has another key, so this is said in clear.
            self._sessions.pop(received.sender, None)
            return self._refusal(received, build_info(SecurityError(wrong.said)))
        except TicketRefused as wrong:
            return self._refusal(received, build_info(Error(wrong.said)))

    def _may_open(self, sender: str) -> bool:
        if self._buckets.take(bare(sender)):
            return True
        if self._hasty.is_new(bare(sender)):
            log.warning("%s sends more than is decrypted in a second; the rest is dropped, said once", bare(sender))
        return False

    def _open(self, received: Received, body: "ElementTree.Element") -> Received:
        key = unwrap_key(body.attrib["session_key"], self._private)
        found = _opened(received, unseal(body.attrib["info"], key))
        self._sessions[received.sender] = key
        self._sessions.move_to_end(received.sender)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        ticket = found.info.get(TICKET, "")
        if self._tickets_of is not None and found.info.get("command") != GetTicket.command:
            holder = check_ticket(ticket if isinstance(ticket, str) else "", self._tickets_of, self._clock()).holder
            # The original takes everybody's from anybody. Its agents show what they were given under the same account.
            if bare(holder) != bare(received.sender):
                raise TicketRefused("The ticket is of another account")
        return replace(found, info={name: value for name, value in found.info.items() if name != TICKET})

    def _refusal(self, received: Received, info: "Info") -> Received:
        now = self._clock()
        nothing = replace(received, kind=Kind.NOTHING, info={})
        if now - self._refused_at.get(received.sender, -REFUSAL_PAUSE_S) < REFUSAL_PAUSE_S:
            return nothing
        self._refused_at[received.sender] = now
        if len(self._refused_at) > MAX_SESSIONS:
            self._refused_at.popitem(last=False)
        # Without its times, which are others each time.
        said = str(info.get("errorString")).partition(" (")[0]
        if self._told.is_new(bare(received.sender), said):
            log.warning("message of %s refused, said once: %s", received.sender, said)
        own, its, message_id = received.recipient.partition("/")[0], received.sender, f"refused-{received.message_id}"
        if its in self._sessions:
            return replace(nothing, answer=self.build(message_id, own, its, info, noack=True))
        return replace(nothing, answer=build_message(message_id, own, its, info, noack=True))


def _body(element: "ElementTree.Element") -> "ElementTree.Element | None":
    found = [child for child in element if child.tag.rpartition("}")[2] == "body"]
    return found[-1] if found else None


def _opened(received: Received, xml: bytes) -> Received:
    """The message as if the element had come in clear."""
    if b"<!" in xml or b"<?" in xml:
        # No honest peer declares entities.
        raise NotDecoded("Could not decrypt the message")
    try:
        info = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as wrong:
        raise NotDecoded("Could not decrypt the message") from wrong
    message = ElementTree.Element("message", {"id": received.message_id})
    ElementTree.SubElement(message, "body").append(info)
    said = parse_message(message)
    return replace(received, kind=said.kind, info=said.info)
