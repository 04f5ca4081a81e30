"""A client with the manners of the original Co-Pilot's XMPP library, on a raw socket: PLAIN, TLS 1.2, no checks."""

import asyncio
import base64
import re
import ssl
import uuid
from collections.abc import Mapping
from xml.etree import ElementTree

from client.copilot.messages import Info
from client.copilot.stanza import Kind, Received, build_ack, build_message, parse_message

_WITHIN_S = 30.0
_STREAM = "<stream:stream to='{}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
_MESSAGE = re.compile(r"<message\b(?:[^<>]*/>|.*?</message>)", re.DOTALL)


class OldClient:
    """One session; messages are confirmed as the original confirms them."""

    def __init__(self, domain: str, name: str, password: str) -> None:
        self.domain = domain
        self.name = name
        self.jid = f"{name}@{domain}"
        self.full_jid = ""
        self.mechanisms: list[str] = []
        self.tls_version = ""
        self._password = password
        self._text = ""

    async def connect(self, port: int, *, newest_tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        await self._open()
        await self._ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = newest_tls
        await self._writer.start_tls(context)
        self.tls_version = self._writer.get_extra_info("ssl_object").version()
        self.mechanisms = re.findall("<mechanism>(.*?)</mechanism>", await self._open())
        secret = base64.b64encode(f"\0{self.name}\0{self._password}".encode()).decode()
        await self._ask(
            f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}\n</auth>", "<success"
        )
        await self._open()
        resource = uuid.uuid4().hex
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{}</resource></bind>"
        await self._ask(f"<iq id='b' type='set'>{bind.format(resource)}</iq>", "</iq>")
        session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
        await self._ask(f"<iq id='s' type='set'>{session}</iq>", "type='result'")
        self._write("<presence/>")
        self.full_jid = f"{self.jid}/{resource}"

    def send(self, to: str, info: Info, *, noack: bool = False) -> str:
        message_id = str(uuid.uuid4())
        self._write(build_message(message_id, self.jid, to, info, noack=noack))
        return message_id

    def send_raw(self, text: str) -> None:
        self._write(text)

    async def next(self) -> Received:
        """The next message; one with a map is confirmed at once."""
        async with asyncio.timeout(_WITHIN_S):
            while (found := _MESSAGE.search(self._text)) is None:
                await self._read()
        self._text = self._text[found.end() :]
        received = parse_message(ElementTree.fromstring(found[0]))
        if received.kind is Kind.INFO and not received.noack:
            self._write(build_ack(received.message_id, received.recipient, received.sender))
        return received

    async def command(self, command: str) -> Received:
        """The next message with that command; others are left out."""
        while True:
            received = await self.next()
            if received.info.get("command") == command:
                return received

    async def ask(self, to: str, info: Mapping[str, str], answer: str) -> Received:
        self.send(to, info)
        return await self.command(answer)

    async def text_with(self, part: str) -> str:
        """Everything up to that part, whatever it is."""
        async with asyncio.timeout(_WITHIN_S):
            while part not in self._text:
                await self._read()
        text, self._text = self._text, ""
        return text

    async def close(self) -> None:
        self._writer.transport.abort()
        await asyncio.sleep(0)

    async def _open(self) -> str:
        return await self._ask(_STREAM.format(self.domain), "</stream:features>")

    async def _ask(self, text: str, until: str) -> str:
        self._write(text)
        return await self.text_with(until)

    def _write(self, text: str) -> None:
        self._writer.write(text.encode())

    async def _read(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionError(f"the server has closed the stream after {self._text[-300:]!r}")
        self._text += data.decode()
