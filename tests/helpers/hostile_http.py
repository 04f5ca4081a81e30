"""A small web server on 127.0.0.1 that does what it is told, wrong things above all. One file, one list of plays."""

import contextlib
import gzip
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Request:
    """What was asked: header names in lower case; `end` is exclusive."""

    path: str
    headers: dict[str, str]
    start: int
    end: int
    ranged: bool


@dataclass
class Server:
    """The server's content and memory.

    Attributes:
        plays: what to do with the next requests, one each.
        always: what to do with those after.
        sent: bytes of bodies that went out.
    """

    content: bytes
    port: int = 0
    etag: str = '"one"'
    plays: list["Play"] = field(default_factory=list)
    always: "Play | None" = None
    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/image"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def next_play(self) -> "Play":
        with self._lock:
            return self.plays.pop(0) if self.plays else self.always or good

    def count(self, more: int) -> None:
        with self._lock:
            self.sent += more


Play = Callable[["Talk", Server, Request], None]


class Talk:
    """One connection."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        self._connection = connection
        self._server = server
        self.open = True

    def head(self, status: str, **headers: object) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def body(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            sent = self._connection.send(view[: 256 * 1024])
            self._server.count(sent)
            view = view[sent:]

    def close(self, *, reset: bool = False) -> None:
        if reset:  # what is on its way is lost as well
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.open = False


@contextlib.contextmanager
def serving(content: bytes, *plays: Play, always: Play | None = None, tls: Any = None) -> Iterator[Server]:
    """Args: tls: an ssl.SSLContext of a server."""
    server = Server(content, plays=list(plays), always=always)
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    if tls is not None:
        listener = tls.wrap_socket(listener, server_side=True)
    talks: list[tuple[threading.Thread, socket.socket]] = []
    taking = threading.Thread(target=_take, args=(listener, server, talks))
    taking.start()
    try:
        yield server
    finally:
        server.over.set()
        with contextlib.suppress(OSError):  # wakes the thread that waits in accept
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        taking.join(10)
        listener.close()
        for thread, connection in talks:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _take(listener: socket.socket, server: Server, talks: list[tuple[threading.Thread, socket.socket]]) -> None:
    while not server.over.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            continue
        thread = threading.Thread(target=_talk, args=(connection, server))
        talks.append((thread, connection))
        thread.start()


def _talk(connection: socket.socket, server: Server) -> None:
    talk = Talk(connection, server)
    connection.settimeout(5)
    with contextlib.suppress(OSError), connection:
        while talk.open and not server.over.is_set() and (request := _request(connection, server)):
            server.requests.append(request)
            server.next_play()(talk, server, request)


def _request(connection: socket.socket, server: Server) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    first, *lines = data.decode("latin-1").split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines if line)}
    asked = _RANGE.fullmatch(headers.get("range", ""))
    size = len(server.content)
    if not asked:
        return Request(first.split()[1], headers, 0, size, False)
    return Request(first.split()[1], headers, int(asked[1]), int(asked[2] or size - 1) + 1, True)


def _facts(server: Server, request: Request) -> tuple[str, dict[str, object], bytes]:
    """Status, headers and body of an honest answer."""
    size = len(server.content)
    if request.ranged and request.headers.get("if-range", server.etag) == server.etag:
        if request.start >= size:
            return "416 Range Not Satisfiable", {"Content_Range": f"bytes */{size}", "Content_Length": 0}, b""
        end = min(request.end, size)
        told = {"Content_Range": f"bytes {request.start}-{end - 1}/{size}", "Content_Length": end - request.start}
        return "206 Partial Content", told | {"ETag": server.etag}, server.content[request.start : end]
    return "200 OK", {"Content_Length": size, "ETag": server.etag}, server.content


def good(talk: Talk, server: Server, request: Request) -> None:
    status, headers, body = _facts(server, request)
    talk.head(status, **headers)
    talk.body(body)


def cut(after: int, *, reset: bool = False) -> Play:
    """The connection ends after so many bytes of the body."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        status, headers, body = _facts(server, request)
        talk.head(status, **headers)
        talk.body(body[:after])
        talk.close(reset=reset)

    return play


def altered(at: int) -> Play:
    """The byte at that place of the file is another."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        status, headers, body = _facts(server, request)
        changed, place = bytearray(body), at - (request.start if status.startswith("206") else 0)
        if 0 <= place < len(changed):
            changed[place] ^= 0x40
        talk.head(status, **headers)
        talk.body(bytes(changed))

    return play


def other_file(content: bytes, etag: str = '"two"') -> Play:
    """From now on, for this request, the server has another file of any length."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        there = Server(content, etag=etag)
        status, headers, body = _facts(there, request)
        talk.head(status, **headers)
        talk.body(body)

    return play


def ignores_ranges(talk: Talk, server: Server, request: Request) -> None:
    talk.head("200 OK", Content_Length=len(server.content))
    talk.body(server.content)


def shifted(by: int) -> Play:
    """Sends another range than it was asked for, and says so."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        if not request.ranged:
            return good(talk, server, request)
        start = max(0, request.start + by)
        body = server.content[start : request.end]
        size = len(server.content)
        talk.head(
            "206 Partial Content", Content_Range=f"bytes {start}-{request.end - 1}/{size}", Content_Length=len(body)
        )
        return talk.body(body)

    return play


def says_range(text: str | None) -> Play:
    """A right body under a wrong Content-Range; None: under none."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        if not request.ranged:
            return good(talk, server, request)
        _, headers, body = _facts(server, request)
        headers.pop("Content_Range")
        talk.head("206 Partial Content", **headers, **({} if text is None else {"Content_Range": text}))
        return talk.body(body)

    return play


def shifted_secretly(by: int) -> Play:
    """Sends another range than it was asked for, and says that it is the right one."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        status, headers, body = _facts(server, request)
        talk.head(status, **headers)
        start = max(0, request.start + by)
        talk.body((server.content + server.content)[start : start + len(body)])

    return play


def answers(status: str, **headers: object) -> Play:
    """A status and nothing else."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        talk.head(status, **({"Content_Length": 0} | headers))

    return play


def without_ranges(talk: Talk, server: Server, request: Request) -> None:
    """The whole file, whatever part of it was asked for."""
    talk.head("200 OK", Content_Length=len(server.content))
    talk.body(server.content)


def endless(talk: Talk, server: Server, request: Request) -> None:
    """Right bytes, and then more and more."""
    talk.head("200 OK", ETag=server.etag)
    talk.body(server.content)
    while not server.over.is_set():
        talk.body(bytes(65536))


def endless_redirect(talk: Talk, server: Server, request: Request) -> None:
    """A redirect whose body does not end."""
    talk.head("302 Found", Location="/elsewhere")
    while not server.over.is_set():
        talk.raw(bytes(65536))


def says_gzip(talk: Talk, server: Server, request: Request) -> None:
    """Right bytes that it says are packed."""
    status, headers, body = _facts(server, request)
    talk.head(status, **headers, Content_Encoding="gzip")
    talk.body(body)


def is_gzip(talk: Talk, server: Server, request: Request) -> None:
    """Packed bytes, though none were asked for."""
    body = gzip.compress(server.content, 1)
    talk.head("200 OK", Content_Length=len(body), Content_Encoding="gzip")
    talk.body(body)


def chunked(talk: Talk, server: Server, request: Request) -> None:
    """No length is told before."""
    status, headers, body = _facts(server, request)
    headers.pop("Content_Length")
    talk.head(status, **headers, Transfer_Encoding="chunked")
    for start in range(0, len(body), 50_000):
        part = body[start : start + 50_000]
        talk.raw(f"{len(part):x}\r\n".encode())
        talk.body(part)
        talk.raw(b"\r\n")
    talk.raw(b"0\r\n\r\n")


def silent_after(count: int) -> Play:
    """Sends so many bytes of the body, then nothing, and keeps the connection."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        status, headers, body = _facts(server, request)
        talk.head(status, **headers)
        talk.body(body[:count])
        server.over.wait(30)
        talk.close()

    return play


def drips(pause_s: float, size: int = 1) -> Play:
    """A few bytes now and then."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        status, headers, body = _facts(server, request)
        talk.head(status, **headers)
        for start in range(0, len(body), size):
            talk.body(body[start : start + size])
            if server.over.wait(pause_s):
                break
        talk.close()

    return play


def drips_head(talk: Talk, server: Server, request: Request) -> None:
    """The headers come byte by byte and never end."""
    talk.raw(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not server.over.wait(0.05):
        talk.raw(b"x")


def garbage(talk: Talk, server: Server, request: Request) -> None:
    """Not HTTP at all."""
    talk.raw(b"\x00\xff\x16\x03 nothing that anybody speaks\r\n\r\n")
    talk.close()


def steady(bytes_per_s: int) -> Play:
    """A line of that speed."""

    def play(talk: Talk, server: Server, request: Request) -> None:
        status, headers, body = _facts(server, request)
        talk.head(status, **headers)
        step = max(1, bytes_per_s // 50)
        for start in range(0, len(body), step):
            talk.body(body[start : start + step])
            if server.over.wait(0.02):
                break

    return play
