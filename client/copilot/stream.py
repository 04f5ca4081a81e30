"""One XMPP connection: slixmpp for the stream, TLS, login and binding; messages and counts past its stanza objects.

slixmpp makes an object of each stanza and looks for handlers of it, which is most of what a message costs; so messages
go from its parser straight to us. What is written in one turn of the loop leaves in one piece.
"""

import asyncio
import contextlib
import hashlib
import logging
import socket
import ssl
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from slixmpp import ClientXMPP
from slixmpp.util.sasl.client import SASLFailed
from slixmpp.util.sasl.mechanisms import SCRAM

from client.copilot.errors import AskFailed
from client.copilot.resumption import NAMESPACE, Resumption

if TYPE_CHECKING:  # not loaded: a guest's start is counted in tenths of a second
    from client.copilot.transport import Account

log = logging.getLogger("copilot.transport")

#: So much is kept of an element that has no end, and of what the server does not read; no honest one comes near.
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
_MESSAGE: Final = "{jabber:client}message"
_COUNTED: Final = (_MESSAGE, "{jabber:client}iq", "{jabber:client}presence")
_MANAGEMENT: Final = f"{{{NAMESPACE}}}"
_STANZAS: Final = ("<message", "<iq", "<presence")
_MAX_ITERATIONS: Final = 1_000_000
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Stream(ClientXMPP):
    """One connection; a fresh one is made for each trial, so that no state of a dead one lingers.

    Args:
        resumption: of the session before, which is taken up if it can be; that of this one afterwards.
        on_message: gets each `message` element.
        on_resumed: the session before goes on; what was not confirmed has been sent again.
    """

    def __init__(
        self,
        account: "Account",
        context: ssl.SSLContext,
        resumption: Resumption,
        on_message: Callable[[ElementTree.Element], None],
        on_resumed: Callable[[], None] = lambda: None,
    ) -> None:
        # Plain text passwords stay unsent even inside TLS: the server proves in SCRAM that it knows us.
        config = {"feature_mechanisms": {"encrypted_plain": False}}
        jid = f"{account.jid}/{account.resource}" if account.resource else account.jid
        super().__init__(jid, account.password, plugin_config=config, ssl_context=context)
        self.enable_direct_tls = False
        self.enable_plaintext = False
        self.whitespace_keepalive = False
        self.auto_authorize = False
        self.received_count = 0
        self._unfinished_bytes = 0
        self.has_resumed = False
        self._resumption = resumption
        self._on_message = on_message
        self._on_resumed = on_resumed
        self._is_live = False
        self._can_count = False
        self._answer: asyncio.Future[bool] | None = None
        self._out: list[bytes] = []
        self._asked: dict[str, asyncio.Future[ElementTree.Element]] = {}

    # -- in

    def data_received(self, data: bytes | str) -> None:
        """Counts signs of life, then parses."""
        self.received_count += 1
        self._unfinished_bytes += len(data)
        if self._unfinished_bytes > MAX_HELD_BYTES:
            self._give_up("sends an element without end")
            return
        self._confirm_at_once()
        super().data_received(data)

    def _confirm_at_once(self) -> None:
        """Has the system confirm what was read now: servers that let Nagle wait for it answer 40 ms later otherwise."""
        raw = self.transport.get_extra_info("socket") if self.transport is not None else None
        if _QUICK_ACK is not None and raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _spawn_event(self, xml: ElementTree.Element) -> None:
        """WORKAROUND slixmpp 1.17: its only place before a stanza object is made of an element."""
        self._unfinished_bytes = 0
        if xml.tag in _COUNTED:
            if self._resumption.heard():
                self.send_raw(self._resumption.tell())
            if xml.tag == _MESSAGE:
                self._on_message(xml)
                return
            asked = self._asked.get(xml.get("id", ""))
            if asked is not None and xml.get("type") in {"result", "error"}:
                if not asked.done():
                    asked.set_result(xml)
                return
        elif xml.tag.startswith(_MANAGEMENT):
            self._manage(xml.tag.removeprefix(_MANAGEMENT), xml)
            return
        super()._spawn_event(xml)

    def _manage(self, word: str, xml: ElementTree.Element) -> None:
        """What the server says of the session itself."""
        match word:
            case "r":
                self.send_raw(self._resumption.tell())
            case "a":
                self._resumption.confirm(xml.get("h", ""))
            case "enabled":
                self._resumption.enabled(xml.get("id", ""), resume=xml.get("resume") in {"true", "1"})
            case "failed":
                self._resumption.forget()
                self._settle(False)
            case "resumed" if self._answer is not None and not self._answer.done():
                # At once and in order: whatever follows in the same read belongs to the session already.
                again = self._resumption.resumed(xml.get("h", ""))
                self._write("".join(again))
                self._is_live = self.has_resumed = True
                self._settle(True)
                self._on_resumed()

    def _settle(self, resumed: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(resumed)

    # -- session

    async def _handle_stream_features(self, features: Any) -> bool | None:
        """Takes the session before up where it can be; else slixmpp goes on to bind a new one."""
        self._can_count = features.xml.find(f"{_MANAGEMENT}sm") is not None
        if self._can_count and self.authenticated and self._resumption.is_possible:
            self._answer = asyncio.get_running_loop().create_future()
            self.send_raw(self._resumption.resume())
            if await self._answer:
                self.bound = self.sessionstarted = True
                self.event("session_resumed")
                return True
        return await super()._handle_stream_features(features)

    def begin(self) -> None:
        """To be called when a new session was bound: it is counted if the server can, and told to others."""
        self._resumption.forget()
        self._is_live = True
        if self._can_count:
            self.send_raw(self._resumption.enable())
        self.send_raw("<presence/>")

    def sign_of_life(self, ping_id: str) -> None:
        """Asks the server for something that it answers at once."""
        if self._resumption.counts:
            self.send_raw(self._resumption.sign_of_life())
        else:
            self.send_raw(f"<iq type='get' id='{ping_id}'><ping xmlns='urn:xmpp:ping'/></iq>")

    # -- out

    async def ask(self, to: str, request: ElementTree.Element, timeout_s: float) -> ElementTree.Element:
        """Asks somebody with an `iq` of type get, and returns the answering `iq`.

        Raises:
            AskFailed: it was refused, or nothing came in time.
        """
        ask_id = f"q-{uuid.uuid4().hex}"
        iq = ElementTree.Element("iq", {"type": "get", "id": ask_id, "to": to})
        iq.append(request)
        asked: asyncio.Future[ElementTree.Element] = asyncio.get_running_loop().create_future()
        self._asked[ask_id] = asked
        try:
            self.send_raw(ElementTree.tostring(iq, encoding="unicode"))
            async with asyncio.timeout(timeout_s):
                answer = await asked
        except TimeoutError as late:
            raise AskFailed(to, f"no answer within {timeout_s:.0f} s") from late
        finally:
            del self._asked[ask_id]
        if answer.get("type") != "result" or answer.get("from") != to:
            raise AskFailed(to, "refused")
        return answer

    def send_raw(self, data: str | bytes) -> None:
        """Sends text, and counts it if it is a stanza of the session."""
        text = data if isinstance(data, str) else data.decode()
        if self._is_live and text.startswith(_STANZAS) and self._resumption.sent(text):
            text += self._resumption.ask()
        self._write(text)

    def _write(self, text: str) -> None:
        if not self._is_live:
            # Login: an upgrade to TLS may follow at once.
            super().send_raw(text)
            return
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(text.encode())

    def _flush(self) -> None:
        data, self._out = b"".join(self._out), []
        # What a closing connection does not take any more is among what a resumed session sends again.
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
            if self.transport.get_write_buffer_size() > MAX_HELD_BYTES:
                self._give_up("reads nothing")

    def _give_up(self, why: str) -> None:
        """Of a server that would have us keep ever more; in a resumed session it could go on with that."""
        log.warning("the server %s, connecting anew", why)
        self._resumption.forget()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()

    def discard(self) -> None:
        """Closes at once and leaves no task behind."""
        self.cancel_connection_attempt()
        if self._answer is not None:
            self._answer.cancel()
        if self.transport is not None and self.transport.is_closing():
            # WORKAROUND CPython 3.11.2 (the guest's): a TLS transport that is closed twice forgets its protocol and
            # cannot be aborted any more, and slixmpp closes before it aborts.
            with contextlib.suppress(AttributeError):
                self.transport.abort()
        else:
            self.abort()
        # WORKAROUND slixmpp 1.17: nothing else ends the sending task of a stream that is not used again.
        if self._run_out_filters is not None:
            self._run_out_filters.cancel()


def tls_context(ca_pem: str) -> ssl.SSLContext:
    """A context that checks the server's certificate. ca_pem: empty for the computer's own collection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    else:
        context.load_default_certs()
    return context


def _salted_password(mechanism: Any, text: Any, salt: bytes, iterations: int) -> bytes:
    """PBKDF2 in C; refuses an iteration count that would only burn time."""
    if not 0 < iterations <= _MAX_ITERATIONS:
        raise SASLFailed("iteration count out of bounds")  # type: ignore[no-untyped-call]
    name = mechanism.hash_name.replace("-", "").lower()
    return hashlib.pbkdf2_hmac(name, bytes(text), salt, iterations)


# WORKAROUND slixmpp 1.17: its own loop over HMAC in Python takes eight times as long, 0.3 s in an emulated guest.
SCRAM.Hi = _salted_password  # type: ignore[method-assign,assignment]
