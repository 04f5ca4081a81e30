"""A mirror's answer to "from this byte on": checked before it is believed, read with a limit on every wait."""

import contextlib
import queue
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import get_environ_proxies

from client import __version__, web
from client.appliance.errors import ApplianceTruncated, DownloadFailed
from client.appliance.fault import Fault, cause_of
from client.appliance.target import is_url
from client.meter import window_bytes

MOST_REDIRECTS: Final = 5
#: no server is waited for longer than this because it says so
MOST_WAIT_S: Final = 120.0
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,15})")
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_BUSY: Final = {408, 425, 429, 500, 502, 503, 504}


class Wanted(Protocol):
    """What asks whether all this is still wanted."""

    def check(self) -> None:
        """Raises something if it is not."""


@dataclass(frozen=True)
class Ask:
    """What is asked of a mirror: bytes `start` to `end` (exclusive) of a file of `size_bytes`.

    Attributes:
        etag: the strong tag that the mirror gave the file before; empty if none.
        plain: ask for the whole file, since the mirror cannot give parts.
    """

    url: str
    start: int
    end: int
    size_bytes: int
    etag: str = ""
    plain: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Of the request."""
        if self.plain or (self.start, self.end) == (0, self.size_bytes):
            return {}
        return {"Range": f"bytes={self.start}-{self.end - 1}"} | ({"If-Range": self.etag} if self.etag else {})


def judge(ask: Ask, status: int, headers: Mapping[str, str]) -> int:
    """Check the head of an answer; returns how many bytes of its body come before those that were asked for.

    Raises:
        Fault
    """
    length = _number(headers.get("Content-Length"))
    if status == 206 and "Range" in ask.headers:
        return _judge_part(ask, headers, length)
    if status == 200:
        if length is not None and length != ask.size_bytes:
            raise Fault("it has a file of another length", refusal=_other_length(ask, length))
        if "If-Range" in ask.headers and headers.get("ETag") != ask.etag:
            raise Fault("the file has changed on the server", without_tag=True)
        return ask.start
    if status == 416:
        told = _UNSATISFIED.fullmatch(headers.get("Content-Range", ""))
        refusal = _other_length(ask, int(told[1])) if told and int(told[1]) != ask.size_bytes else None
        raise Fault("it does not give that part of the file", refusal=refusal, without_ranges=True)
    wait_s = _number(headers.get("Retry-After")) or 0
    if status in _BUSY:
        raise Fault(f"the server is busy (status {status})", wait_s=min(MOST_WAIT_S, wait_s))
    raise _hopeless(ask.url, f"the server says {status}")


def _judge_part(ask: Ask, headers: Mapping[str, str], length: int | None) -> int:
    told = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not told:
        raise Fault("it does not say which part of the file it sends", without_ranges=True)
    first, last, total = int(told[1]), int(told[2]), _number(told[3])
    if total is not None and total != ask.size_bytes:
        raise Fault("it has a file of another length", refusal=_other_length(ask, total))
    if first != ask.start or not first <= last < ask.end:
        raise Fault("it sends another part of the file than it was asked for", without_ranges=True)
    if length is not None and length != last - first + 1:
        raise Fault("it contradicts itself about the length of what it sends", without_ranges=True)
    return 0


def _other_length(ask: Ask, found: int) -> ApplianceTruncated:
    return ApplianceTruncated(ask.url, ask.size_bytes, found)


def _hopeless(url: str, said: str) -> Fault:
    return Fault(said, refusal=DownloadFailed(url, said))


def _number(text: str | None) -> int | None:
    # Python takes signs, spaces, underlines and other scripts' digits too, and very long ones slowly.
    return int(text) if text and len(text) <= 15 and text.isascii() and text.isdecimal() else None


class Answer:
    """The body of an answer that was found good."""

    def __init__(self, response: requests.Response, skip: int) -> None:
        self._response = response
        tag = response.headers.get("ETag", "")
        #: strong tags only: a weak one does not promise the same bytes (RFC 9110, 8.8.1)
        self.etag = tag if tag.startswith('"') and len(tag) < 500 else ""
        #: how many bytes come first that were not asked for
        self.skip = skip
        #: seconds spent waiting for the mirror
        self.waited_s = 0.0

    def read(self, most: int) -> bytes:
        """Some bytes of the body; empty at its end.

        Raises:
            Fault: the connection broke, nothing came for long, or less came than was announced.
        """
        began = time.monotonic()
        try:
            return self._response.raw.read1(most, decode_content=False) or b""
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise Fault(cause_of(error)) from error
        finally:
            self.waited_s = time.monotonic() - began

    def close(self) -> None:
        """Nothing more is read."""
        self._response.close()


class Opener:
    """Asks mirrors.

    Args:
        proxy: None: that of the environment or the system; empty: none; else its address.
        stall_s: how long a server may stay silent, and how long it may take until its answer has begun.
        limit_bytes_s: as fast it is read; 0: as fast as it comes.
    """

    def __init__(self, proxy: str | None, stall_s: float, limit_bytes_s: int = 0) -> None:
        self._proxy = proxy
        self._stall_s = stall_s
        # Else the system would take in megabytes ahead of who reads slowly.
        self._window = window_bytes(limit_bytes_s) if limit_bytes_s else 0
        self._session = _session(self._window)

    def close(self) -> None:
        """Give up all connections."""
        self._session.close()

    def open(self, ask: Ask, wanted: Wanted, patience_s: float | None = None) -> Answer:
        """Ask and check the answer.

        Args:
            patience_s: how long the server may take until its answer has begun, if less than usual.

        Raises:
            Fault
        """
        return self._checked(ask, self.respond(ask.url, ask.headers, wanted, patience_s))

    def respond(
        self, url: str, headers: Mapping[str, str], wanted: Wanted, patience_s: float | None = None
    ) -> requests.Response:
        """What stands at the end of redirects, whatever its status. Its body has not been read.

        Raises:
            Fault
        """
        at, limit_s = url, min(self._stall_s, patience_s or self._stall_s)
        for _ in range(MOST_REDIRECTS + 1):
            response = self._get(at, headers, wanted, limit_s)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            at = _next(at, response.headers.get("Location", ""))
        raise _hopeless(url, "the server sends us from one address to the next without end")

    def _checked(self, ask: Ask, response: requests.Response) -> Answer:
        try:
            return Answer(response, judge(ask, response.status_code, response.headers))
        except Fault:
            response.close()
            raise

    def _get(self, url: str, headers: Mapping[str, str], wanted: Wanted, limit_s: float) -> requests.Response:
        """One request, in a thread: neither names that are not resolved nor dripping headers have a limit of time."""
        told: queue.Queue[requests.Response | Exception] = queue.Queue()
        gone = threading.Event()
        threading.Thread(target=self._ask, args=(self._session, url, headers, told, gone), daemon=True).start()
        ends = time.monotonic() + limit_s
        while True:
            wanted.check()
            with contextlib.suppress(queue.Empty):
                found = told.get(timeout=0.1)
                break
            if time.monotonic() > ends:
                gone.set()
                # Its connections belong to the thread that is left behind.
                self._session = _session(self._window)
                raise Fault("no answer in time")
        if isinstance(found, requests.Response):
            return found
        raise Fault(cause_of(found)) from found

    def _ask(
        self,
        session: requests.Session,
        url: str,
        headers: Mapping[str, str],
        told: "queue.Queue[requests.Response | Exception]",
        gone: threading.Event,
    ) -> None:
        proxies = get_environ_proxies(url, None) if self._proxy is None else _both(self._proxy)
        try:
            response = session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=self._stall_s, proxies=proxies
            )
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            told.put(error)
            return
        told.put(response)
        if gone.is_set():
            response.close()


class _Narrow(HTTPAdapter):
    """Has the system take in no more than so many bytes before they are read; 0: as much as it likes."""

    def __init__(self, window: int) -> None:
        self._window = window
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        more |= self._options()
        super().init_poolmanager(*args, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        more |= self._options()
        return super().proxy_manager_for(proxy, **more)

    def _options(self) -> dict[str, Any]:
        if not self._window:
            return {}
        usual = urllib3.connection.HTTPConnection.default_socket_options
        return {"socket_options": [*usual, (socket.SOL_SOCKET, socket.SO_RCVBUF, self._window)]}


class _Adapter(_Narrow):
    """Trusts whom the computer trusts."""

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "ssl_context": web.authorities()}


class _Session(requests.Session):
    """Asks once. The library would read the body of a redirect to its end, however long, even if it does not follow."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self._window = window
        if window:
            self.mount("http://", _Narrow(window))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None

    def get_adapter(self, url: str) -> BaseAdapter:
        # Not before it is needed: to read all authorities takes 30 ms.
        if url.lower().startswith("https:") and not isinstance(self.adapters["https://"], _Adapter):
            self.mount("https://", _Adapter(self._window))
        return super().get_adapter(url)


def _session(window: int) -> requests.Session:
    session = _Session(window)
    # Else it would send passwords out of ~/.netrc to mirrors.
    session.trust_env = False
    session.headers.update({"User-Agent": f"VolunteerCloud/{__version__}", "Accept-Encoding": "identity"})
    return session


def _both(proxy: str) -> dict[str, str]:
    return {"http": proxy, "https": proxy} if proxy else {}


def _next(url: str, location: str) -> str:
    """Where a redirect leads; never from https to http.

    Raises:
        Fault
    """
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    if not location or not is_url(target):
        raise _hopeless(url, "the server sends us to an address that cannot be used")
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise _hopeless(url, "the server sends us from a safe address (https) to one that is not")
    return target
