"""HTTP as the client needs it, out of the standard library: one request, no redirects, nothing kept afterwards.

The usual library for this takes 12 MB of memory in a program that asks for one token a boot; this takes 2 MB. What it
needs is loaded at the first request. Proxies are those of the environment and, on Windows and macOS, of the system.
"""

import contextlib
import ssl
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

_SCHEMES: Final = ("http", "https")


class Reply:
    """The answer to a request.

    Attributes:
        status: as the server gave it; 3xx as well, since redirects are not followed.
    """

    def __init__(self, response: "HTTPResponse") -> None:
        self.status = response.status
        self._response = response

    def read(self, size_bytes: int) -> bytes:
        """At most so many bytes of the body; empty at its end.

        Raises:
            OSError: the connection broke, or the body ended before the length that was announced.
        """
        from http.client import HTTPException

        try:
            data = self._response.read(size_bytes)
        except HTTPException as error:
            raise ConnectionError(str(error)) from error
        if not data and size_bytes and self._response.length:
            raise ConnectionError(f"{self._response.length} bytes of the body are missing")
        return data

    def read_at_most(self, limit_bytes: int) -> bytes:
        """The whole body, or its first `limit_bytes`.

        Raises:
            OSError: as `read`.
        """
        body = bytearray()
        while len(body) < limit_bytes and (data := self.read(limit_bytes - len(body))):
            body += data
        return bytes(body)


@contextlib.contextmanager
def request(
    url: str,
    *,
    timeout_s: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    ca_pem: str = "",
) -> Iterator[Reply]:
    """Send a GET, or a POST if there is a body; blocks.

    Args:
        url: http or https.
        timeout_s: of each wait for the server.
        ca_pem: the only certificates that may vouch for the server; empty: the computer's own collection.

    Raises:
        OSError: no answer; the system's own error where there is one.
        ValueError: the address cannot be used.
    """
    from http.client import HTTPException
    from urllib.error import URLError
    from urllib.request import Request

    try:
        response = _opener(url, ca_pem).open(Request(url, body, dict(headers or {})), timeout=timeout_s)
    except URLError as error:
        raise (error.reason if isinstance(error.reason, OSError) else ConnectionError(str(error.reason))) from error
    except HTTPException as error:
        raise ConnectionError(str(error)) from error
    with contextlib.closing(response):
        yield Reply(response)


def _opener(url: str, ca_pem: str) -> "OpenerDirector":
    """One that knows HTTP alone: no files, no FTP, no redirects, and no exception for any status."""
    from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler

    scheme = url.partition(":")[0].lower()
    if scheme not in _SCHEMES:
        raise ValueError(f"{scheme} is neither http nor https")
    opener = OpenerDirector()
    opener.add_handler(ProxyHandler())
    opener.add_handler(HTTPHandler())
    if scheme == "https":
        opener.add_handler(HTTPSHandler(context=_vouched_by(ca_pem) if ca_pem else authorities()))
    return opener


def _vouched_by(ca_pem: str) -> ssl.SSLContext:
    """One that believes these authorities and nobody else.

    Raises:
        ConnectionError: they are no certificates.
    """
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise ConnectionError(f"the project file's certificates cannot be used ({error})") from error


def authorities() -> ssl.SSLContext:
    """The computer's own certificate authorities; those of the package certifi where Python knows of none.

    Source: Python's documentation of ssl.get_default_verify_paths; installers for macOS come without any.
    """
    known = ssl.get_default_verify_paths()
    if sys.platform == "win32" or known.cafile or known.capath:
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
