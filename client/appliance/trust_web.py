"""How workers fetch small files of a catalogue: into memory, with a limit on length and on time."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import requests
import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient import FetcherInterface

from client.appliance.answer import Opener
from client.appliance.errors import DownloadFailed
from client.appliance.fault import Fault, cause_of
from client.appliance.trust_words import said_of
from client.appliance.worker_child import Face
from client.meter import DOWN, Meter, Share, clock_ns

_CHUNK_BYTES: Final = 64 * 1024
#: whatever a signed list says of the length of another, no more is taken into memory
MOST_BYTES: Final = 16 * 2**20
#: an answer must have begun by then: who waits for the catalogue shall be told soon, and there is another try
_FIRST_S: Final = 10.0
#: of all files together, in one refresh from one address
MOST_TOGETHER_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class Limits:
    """How long a server may be silent, and how long one refresh from it may take, in seconds."""

    stall_s: float = 30.0
    # A line of 64 kbit/s fetches 2 MB in that time; what came is kept for the next try.
    whole_s: float = 300.0


class Web(FetcherInterface):
    """Fetches from one address of a catalogue. What it returns is not verified, and not written anywhere.

    Attributes:
        date: the server's clock, as far as it told (aware UTC); not signed, a hint only.
        contents: what came, by the end of the address: the newest of each.
    """

    def __init__(self, wanted: Face, proxy: str | None, limits: Limits) -> None:
        self.date: datetime | None = None
        self.contents: dict[str, bytes] = {}
        self._wanted = wanted
        self._share = Share(Meter(wanted.meter), DOWN) if wanted.meter else None
        self._opener = Opener(proxy, limits.stall_s)
        self._ends_at = time.monotonic() + limits.whole_s
        self._left_bytes = MOST_TOGETHER_BYTES

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """A file's bytes.

        Raises:
            DownloadError: or one of its kinds: no answer, too slow, too long.
        """
        response = self._answer(url)
        try:
            if response.status_code != 200:
                raise DownloadHTTPError(f"the server says {response.status_code}", response.status_code)
            self._note_date(response.headers)
            content = self._read(response, min(max_length, MOST_BYTES, self._left_bytes))
            self._left_bytes -= len(content)
        finally:
            response.close()
        self.contents[url.rpartition("/")[2]] = content
        return content

    def close(self) -> None:
        """Give up all connections."""
        self._opener.close()
        if self._share is not None:
            self._share.enter(clock_ns())

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self.download_bytes(url, MOST_BYTES),))

    def _answer(self, url: str) -> requests.Response:
        self._check_time()
        try:
            return self._opener.respond(url, {}, self._wanted, _FIRST_S)
        except Fault as fault:
            raise DownloadError(fault.said) from fault

    def _read(self, response: requests.Response, most: int) -> bytes:
        content = bytearray()
        announced = response.headers.get("Content-Length", "")
        while True:
            self._wanted.check()
            self._check_time()
            try:
                part = response.raw.read1(_CHUNK_BYTES, decode_content=False) or b""
            except (OSError, urllib3.exceptions.HTTPError) as error:
                raise DownloadError(cause_of(error)) from error
            content += part
            if self._share is not None:
                # They are short, and counted only.
                self._share.moved(len(part), clock_ns())
            if len(content) > most:
                raise DownloadLengthMismatchError(f"it sends more than the {most} bytes that it may")
            if not part:
                break
        if announced.isdecimal() and len(announced) < 15 and len(content) != int(announced):
            raise DownloadError("the connection ended too early")
        return bytes(content)

    def _check_time(self) -> None:
        if time.monotonic() > self._ends_at:
            raise SlowRetrievalError("it is too slow")

    def _note_date(self, headers: Mapping[str, str]) -> None:
        try:
            told = parsedate_to_datetime(headers.get("Date", ""))
        except (TypeError, ValueError):
            return
        self.date = told if told.tzinfo else told.replace(tzinfo=UTC)


def fetch_small(url: str, limit_bytes: int, wanted: Face, limits: Limits | None = None) -> bytes:
    """A small file's bytes, not verified: a manifest that no catalogue names. Blocks.

    Raises:
        DownloadFailed: no answer, one that is too slow, or more than `limit_bytes`.
    """
    with contextlib.closing(Web(wanted, None, limits or Limits())) as web:
        try:
            return web.download_bytes(url, limit_bytes)
        except DownloadError as error:
            raise DownloadFailed(url, said_of(error)) from error
