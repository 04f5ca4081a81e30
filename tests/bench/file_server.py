"""A web server for one folder, fast enough to be no part of what is measured: the kernel moves the bytes.

Run it as a process of its own: `file_server.py FOLDER`; it says its port and serves until its input ends, then it says
how many bytes of bodies it has sent. Of an address, ?rate=N sends so many bytes a second. It knows several ranges in
one request as well, as zsync asks for them.
"""

import contextlib
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

BOUNDARY = "next-part"
sent = [0]
lock = threading.Lock()


def main(folder: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_take, args=(listener, Path(folder)), daemon=True).start()
    sys.stdin.read()
    print(sent[0], flush=True)


def _take(listener: socket.socket, folder: Path) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection, folder), daemon=True).start()


def _talk(connection: socket.socket, folder: Path) -> None:
    with contextlib.suppress(OSError), connection:
        while request := _request(connection):
            path = re.match(rb"GET (?:http://[^/]*)?/([^? ]*)", request)
            with (folder / (path[1].decode() if path else "")).open("rb") as file:
                _answer(connection, file.fileno(), request)
            if b"HTTP/1.0\r\n" in request or re.search(rb"(?i)\r\nconnection: close", request):
                return


def _request(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    return data


def _answer(connection: socket.socket, file: int, request: bytes) -> None:
    size = os.fstat(file).st_size
    asked = re.search(rb"(?i)\r\nrange: bytes=([\d,-]+)", request)
    pairs = [one.split(b"-") for one in asked[1].strip(b",").split(b",")] if asked else [[b"0", b""]]
    ranges = [(int(first), int(last or size - 1) + 1) for first, last in pairs]
    rate = re.match(rb"GET \S*rate=(\d+)", request)
    if len(ranges) > 1:
        return _parts(connection, file, size, ranges)
    ((start, end),) = ranges
    head = f"HTTP/1.1 {'206 Partial Content' if asked else '200 OK'}\r\nContent-Length: {end - start}\r\n"
    if asked:
        head += f"Content-Range: bytes {start}-{end - 1}/{size}\r\n"
    connection.sendall((head + "\r\n").encode())
    return _send(connection, file, start, end, int(rate[1]) if rate else 0)


def _parts(connection: socket.socket, file: int, size: int, ranges: list[tuple[int, int]]) -> None:
    heads = [f"\r\n--{BOUNDARY}\r\nContent-Range: bytes {start}-{end - 1}/{size}\r\n\r\n" for start, end in ranges]
    tail = f"\r\n--{BOUNDARY}--\r\n"
    length = sum(map(len, heads)) + len(tail) + sum(end - start for start, end in ranges)
    kind = f"Content-Type: multipart/byteranges; boundary={BOUNDARY}"
    connection.sendall(f"HTTP/1.1 206 Partial Content\r\n{kind}\r\nContent-Length: {length}\r\n\r\n".encode())
    for head, (start, end) in zip(heads, ranges, strict=True):
        connection.sendall(head.encode())
        _send(connection, file, start, end, 0)
    connection.sendall(tail.encode())


def _send(connection: socket.socket, file: int, start: int, end: int, rate: int) -> None:
    began, first = time.monotonic(), start
    while start < end:
        count = os.sendfile(connection.fileno(), file, start, min(end - start, rate // 50 or 2**24))
        start += count
        with lock:
            sent[0] += count
        if rate:
            # Not a wait for anything: the time itself is what a slow line costs.
            time.sleep(max(0.0, began + (start - first) / rate - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1])
