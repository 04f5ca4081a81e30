"""Places for uploads, asked from the XMPP server's upload service (XEP-0363) with the manager's own account.

Each is good for one file of a stated size, for a few minutes, by a token of its own. Guests cannot ask the service.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from client.copilot import fields as wire
from client.copilot.errors import AskFailed, TransportDown
from client.log import logger

log = logger("site")

NAMESPACE: Final = "urn:xmpp:http:upload:0"
#: Every place is for a file of this name; what is in it, the place's id tells.
FILE_NAME: Final = "output.tgz"
#: Agents wait 10 s for an answer, and there may be another way to offer.
ANSWER_S: Final = 5.0
_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,100}", re.ASCII)

Ask = Callable[[str, Element, float], Awaitable[Element]]


@dataclass(frozen=True)
class Slot:
    """A place for one upload: its id, and where and with what headers the file is to be put."""

    id: str
    put_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)


class UploadService:
    """Asks for places. address: JID of the service."""

    def __init__(self, ask: Ask, address: str) -> None:
        self._ask = ask
        self._address = address

    async def slot(self, size_bytes: int) -> Slot | None:
        """A place for a file of that size; None when the service is away or refuses, which is logged."""
        request = Element(f"{{{NAMESPACE}}}request", {"filename": FILE_NAME, "size": str(size_bytes)})
        try:
            return read_slot(await self._ask(self._address, request, ANSWER_S))
        except (AskFailed, TransportDown, ValueError) as failed:
            log.warning("no place for an upload of %d bytes: %s", size_bytes, failed)
            return None


def read_slot(answer: Element) -> Slot:
    """The place in an answer of the service.

    Raises:
        ValueError: there is none that can be used.
    """
    put = answer.find(f"{{{NAMESPACE}}}slot/{{{NAMESPACE}}}put")
    url = wire.URL.parse(put.get("url", "") if put is not None else "")
    if put is None or not url:
        raise ValueError("the answer names no address")
    lines = (f"{header.get('name', '')}: {header.text or ''}" for header in put.iter(f"{{{NAMESPACE}}}header"))
    slot_id = urlsplit(url).path.split("/")[-2]
    if not _ID.fullmatch(slot_id):
        raise ValueError("the address names no place")
    return Slot(slot_id, url, wire.HEADERS.parse("\n".join(lines)))
