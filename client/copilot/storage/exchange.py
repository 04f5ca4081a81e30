"""One HTTPS connection, used from a thread: files out by PUT, in by GET. `client.copilot.storage.https` drives it.

Memory is bounded, every wait has its limit, and `abort` ends whatever goes on. Nothing is followed: a server that sends
elsewhere has refused.
"""

import contextlib
import errno
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from client.copilot.errors import FileTooBig, TransferFailed

CHUNK_BYTES: Final = 64 * 1024
#: A piece counts as moved when all of it is there.
_RECEIVED_BYTES: Final = 16 * 1024
#: What is on its way when the last byte is written; more would make the wait for the answer long on slow lines.
_SEND_BUFFER_BYTES: Final = 256 * 1024
_OK: Final = 200
_PARTIAL: Final = 206
_TAKEN: Final = frozenset({200, 201, 204})
#: these may be other tomorrow; so may all from 500 up
_TRANSIENT: Final = frozenset({408, 416, 421, 425, 429})
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15}|\*)")


class LocalTrouble(Exception):
    """The local file failed, not the line. An inner signal."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _Connection(http.client.HTTPSConnection):
    """To a server that is reached under another address than it has in its certificate."""

    def __init__(self, server: tuple[str, int], reached: tuple[str, int], context: ssl.SSLContext, limit_s: float):
        super().__init__(*server, timeout=limit_s, context=context)
        self.is_aborted = False
        self._reached = reached
        self._tls = context

    def connect(self) -> None:
        """Connects and checks whom."""
        raw = socket.create_connection(self._reached, self.timeout)
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self._tls.wrap_socket(raw, server_hostname=self.host, do_handshake_on_connect=False)
        except BaseException:
            raw.close()
            raise
        # Known before the handshake, so that this can be aborted; who came earlier found nothing to abort.
        self.sock = sock
        if self.is_aborted:
            raise ConnectionAbortedError(errno.ECONNABORTED, "given up")
        sock.do_handshake()


class Exchange:
    """See the module. Not for use by two threads at once, but for `abort`.

    Args:
        server: host, port as the addresses name them; the certificate must be for that host.
        reached: host, port where it is reached from here.
        idle_limit_s: longest silence of the server.

    Attributes:
        name: `host:port` of the server.
        etag: the server's mark for what it sent last; empty for none.
        moved: bytes of the file that have gone or come; any thread may look.
        phase: another number when something else is waited for than before.
        why_aborted: said instead of the error that ends what went on.
    """

    def __init__(
        self, server: tuple[str, int], reached: tuple[str, int], context: ssl.SSLContext, idle_limit_s: float
    ) -> None:
        self.name = f"{server[0]}:{server[1]}"
        self.etag = ""
        self.moved = self.phase = 0
        self.why_aborted = ""
        self._connection = _Connection(server, reached, context, idle_limit_s)
        self._used = False

    def put(self, path: str, headers: Iterable[tuple[str, str]], local: Path) -> int:
        """Sends a file; returns its size in bytes. Raises TransferFailed, LocalTrouble."""
        with contextlib.closing(_open(local)) as source:
            size = os.fstat(source.fileno()).st_size
            try:
                status = self._put(path, headers, source, size)
            except (OSError, http.client.HTTPException) as broken:
                raise self._failed(path, broken) from broken
        if status not in _TAKEN:
            raise self._refused(path, status)
        return size

    def get(self, path: str, part: Path, etag: str, limit_bytes: int) -> int:
        """Fetches into `part`, which is gone on with if it is of that etag; returns the size in bytes.

        Raises:
            TransferFailed: what has come stays in `part`.
            FileTooBig, LocalTrouble: see there.
        """
        have = part.stat().st_size if etag and part.exists() else 0
        try:
            answer = self._ask(path, have, etag)
            begin, length = self._announced(answer, path, have)
            if begin + length > limit_bytes:
                raise FileTooBig(path, begin + length, limit_bytes)
            self._receive(answer, part, begin, length)
        except (OSError, http.client.HTTPException) as broken:
            raise self._failed(path, broken) from broken
        except (TransferFailed, FileTooBig, LocalTrouble):
            self.close()
            raise
        return begin + length

    def abort(self) -> None:
        """From any thread: whatever goes on ends soon, with an error."""
        self._connection.is_aborted = True
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which is not for two threads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()

    def _put(self, path: str, headers: Iterable[tuple[str, str]], source: BinaryIO, size: int) -> int:
        connection = self._connection
        connection.putrequest("PUT", path, skip_accept_encoding=True)
        for name, value in (*headers, ("Content-Type", "application/octet-stream"), ("Content-Length", str(size))):
            connection.putheader(name, value)
        connection.endheaders()
        left = size
        try:
            while left and (chunk := _read(source, min(CHUNK_BYTES, left))):
                left -= len(chunk)
                connection.send(chunk)
                self.moved += len(chunk)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # A server that refuses may say why and go, without reading the rest.
            left = 0
        if left:
            raise LocalTrouble(OSError(f"the file became shorter by {left} bytes"))
        self.phase += 1
        answer = connection.getresponse()
        answer.read(CHUNK_BYTES)
        self.close()
        return answer.status

    def _ask(self, path: str, have: int, etag: str) -> http.client.HTTPResponse:
        headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
        again = self._used
        self._used = True
        try:
            self._connection.request("GET", path, headers=headers)
            return self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            self.close()
            if not again or self._connection.is_aborted:
                raise
        # A kept connection may have been ended by the server meanwhile; this says nothing about a new one.
        self._connection.request("GET", path, headers=headers)
        return self._connection.getresponse()

    def _announced(self, answer: http.client.HTTPResponse, path: str, have: int) -> tuple[int, int]:
        """Where in the file the answer begins, and how many bytes it has."""
        if answer.status not in {_OK, _PARTIAL}:
            raise self._refused(path, answer.status)
        begin, length = _begin(answer), answer.length
        # Without a length a cut could not be told from the end.
        if begin not in {0, have} or answer.chunked or length is None:
            raise TransferFailed(self.name, path, "the server did not say what it sent", False)
        mark = answer.getheader("ETag", "")
        self.etag = "" if mark.startswith("W/") else mark
        return begin, length

    def _receive(self, answer: http.client.HTTPResponse, part: Path, begin: int, length: int) -> None:
        left = length
        self.phase += 1
        with contextlib.closing(_open(part, begin)) as target:
            while left:
                chunk = answer.read(min(_RECEIVED_BYTES, left))
                if not chunk:
                    raise http.client.IncompleteRead(b"", left)
                left -= len(chunk)
                self.moved += len(chunk)
                _write(target, chunk)

    def _failed(self, path: str, broken: Exception) -> TransferFailed:
        self.close()
        permanent = isinstance(broken, ssl.SSLCertVerificationError)
        said = self.why_aborted or str(broken) or type(broken).__name__
        return TransferFailed(self.name, path, said, permanent)

    def _refused(self, path: str, status: int) -> TransferFailed:
        said = f"{status} {http.client.responses.get(status, '')}".rstrip()
        return TransferFailed(self.name, path, said, status < 500 and status not in _TRANSIENT)


def _begin(answer: http.client.HTTPResponse) -> int:
    """Where in the file the answer begins; -1 when that cannot be told."""
    if answer.status == _OK:
        return 0
    found = _RANGE.fullmatch(answer.getheader("Content-Range", ""))
    return int(found[1]) if found else -1


def _open(path: Path, begin: int | None = None) -> BinaryIO:
    """For reading, or for writing from `begin` on."""
    try:
        if begin is None:
            return path.open("rb")
        target = path.open("r+b" if begin else "wb")
        target.truncate(begin)
        target.seek(begin)
    except OSError as error:
        raise LocalTrouble(error) from error
    return target


def _read(source: BinaryIO, size: int) -> bytes:
    try:
        return source.read(size)
    except OSError as error:
        raise LocalTrouble(error) from error


def _write(target: BinaryIO, chunk: bytes) -> None:
    try:
        target.write(chunk)
    except OSError as error:
        raise LocalTrouble(error) from error
