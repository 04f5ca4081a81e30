"""The proxy between hostile servers and hostile guests: nobody gets a wrong object, nobody gets elsewhere."""

import asyncio
import contextlib
import hashlib
import http.client
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from client.appliance.cvmfs import doorman
from client.appliance.cvmfs.rules import AllowList
from client.appliance.cvmfs.serve import Running
from tests.helpers.cvmfs import NAME, FileHandler, FileServer, serve_files

pytestmark = pytest.mark.integration
DATA = bytes(range(256)) * 2000
DIGEST = hashlib.sha1(DATA).hexdigest()
PATH = f"/cvmfs/{NAME}/data/{DIGEST[:2]}/{DIGEST[2:]}"
STALL_S, HEAD_LIMIT_S = 2.0, 2.0


class Table:
    """A proxy in this very process, impatient, and a server of which the tests say how it misbehaves."""

    def __init__(self, folder: Path, server: FileServer, port: int, running: Running) -> None:
        self.folder = folder
        self.server = server
        self.port = port
        self.running = running

    async def ask(self, text: str | bytes) -> bytes:
        """Send words as they are; returns all that comes until the proxy ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        data = text.encode() if isinstance(text, str) else text
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(60):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def get(self, path: str = PATH, *more: str, method: str = "GET") -> bytes:
        lines = [f"{method} {self.server.base}{path} HTTP/1.1", "Host: x", "Connection: close", *more]
        return await self.ask("\r\n".join([*lines, "", ""]))

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and "short-lived" not in path.parts]

    async def kept(self) -> list[Path]:
        """What it keeps, once it has put away what it does not."""
        async with asyncio.timeout(60):
            while any("parts" in path.parts for path in self.files()):
                await asyncio.sleep(0.01)
        return self.files()


@contextlib.asynccontextmanager
async def open_table(tmp_path: Path, *, head_limit_s: float = HEAD_LIMIT_S) -> AsyncIterator[Table]:
    (tmp_path / "www").mkdir()
    with serve_files(tmp_path / "www") as server:
        allowed = AllowList([server.base], [NAME])
        folder = tmp_path / "cache"
        running = Running(allowed, folder, 8 * 2**20, stall_s=STALL_S, head_limit_s=head_limit_s)
        try:
            yield Table(folder, server, await running.start(0), running)
        finally:
            await running.close()


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    async with open_table(tmp_path) as opened:
        yield opened


def is_whole(answer: bytes) -> bool:
    """Whether an answer would be taken for a whole one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return False
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in lines:
        return len(body) == int(lines[b"content-length"])
    return body.endswith(b"0\r\n\r\n")


# -- servers


def wrong_bytes(handler: FileHandler) -> None:
    handler.answer(DATA[:-1] + b"!")


def other_object(handler: FileHandler) -> None:
    handler.answer(b"something else")


def too_short(handler: FileHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    handler.wfile.write(DATA[:-10])
    handler.close_connection = True


def chunked(handler: FileHandler, *pieces: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for piece in pieces:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


def endless(handler: FileHandler) -> None:
    chunked(handler, *[bytes(100_000)] * 200)
    handler.close_connection = True


def stalls(handler: FileHandler) -> None:
    chunked(handler, DATA[:1000])
    handler.connection.settimeout(5)
    with contextlib.suppress(OSError):
        handler.rfile.read(1)
    handler.close_connection = True


def says_nothing(handler: FileHandler) -> None:
    handler.connection.settimeout(5)
    with contextlib.suppress(OSError):
        handler.rfile.read(1)
    handler.close_connection = True


def nonsense(handler: FileHandler) -> None:
    handler.wfile.write(b"\x16\x03\x01 what?\r\n\r\n")
    handler.close_connection = True


def huge_head(handler: FileHandler) -> None:
    handler.answer(DATA, X_Padding="x" * 100_000)


def two_lengths(handler: FileHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(DATA)
    handler.close_connection = True


def packed(handler: FileHandler) -> None:
    handler.answer(DATA, Content_Encoding="gzip")


def sends_away(handler: FileHandler) -> None:
    handler.answer(b"", status=302, Location="http://169.254.169.254/latest/")


def part_of_it(handler: FileHandler) -> None:
    handler.answer(DATA[:100], status=206, Content_Range=f"bytes 0-99/{len(DATA)}")


FAULTS = [
    wrong_bytes,
    other_object,
    too_short,
    endless,
    stalls,
    says_nothing,
    nonsense,
    huge_head,
    two_lengths,
    packed,
    sends_away,
    part_of_it,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_hostile_server_gets_nothing_into_the_cache(table: Table, fault: Callable[[FileHandler], None]) -> None:
    table.server.faults[PATH] = fault
    answer = await table.get()
    assert not is_whole(answer)
    assert b"169.254" not in answer
    assert await table.kept() == []
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    answer = await table.get()
    assert is_whole(answer)
    assert answer.partition(b"\r\n\r\n")[2] == DATA
    assert [path.read_bytes() for path in await table.kept()] == [DATA]


async def test_a_hostile_manifest_is_bounded(table: Table) -> None:
    path = f"/cvmfs/{NAME}/.cvmfspublished"
    for fault in (endless, stalls, says_nothing, nonsense, huge_head, packed, sends_away):
        table.server.faults[path] = fault
        assert b" 502 " in (await table.get(path)).partition(b"\r\n")[0]
    assert [one for one in table.folder.rglob("*") if one.is_file()] == []


async def test_heads_of_servers_are_not_repeated(table: Table) -> None:
    path = f"/cvmfs/{NAME}/.cvmfspublished"
    table.server.faults[path] = lambda handler: handler.answer(
        b"fine", Set_Cookie="a=b", Content_Type="text/html\x01", ETag='"\x7f"', X_Own="c", Server="d"
    )
    answer = await table.get(path)
    assert is_whole(answer)
    assert not [word for word in (b"Cookie", b"X-Own", b"\x01", b"\x7f") if word in answer]


# -- guests


async def test_guests_heads_do_not_reach_the_server(table: Table) -> None:
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    await table.get(
        PATH, "Cookie: a=b", "X-Forwarded-For: me", "Authorization: Basic eDp5", "Proxy-Connection: Keep-Alive"
    )
    ((_, head),) = table.server.heads
    assert set(head) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert head["Host"] == f"127.0.0.1:{table.server.port}"


async def test_the_full_target_counts_and_not_the_host_line(table: Table) -> None:
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    answer = await table.ask(f"GET {table.server.base}{PATH} HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n")
    assert is_whole(answer)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
        ("CONNECT 10.0.0.1:22 HTTP/1.1\r\n\r\nSSH-2.0", 400),
        ("POST {base}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("PUT {base}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        ("DELETE {base}{path} HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("TRACE {base}{path} HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n", 403),
        ("GET http://127.0.0.1:1{path} HTTP/1.1\r\nHost: {host}\r\n\r\n", 403),
        ("GET {base}/cvmfs/other.org/x HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        ("GET {base}/cvmfs/test.example.org/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        ("GET {base}/cvmfs/test.example.org/%2e%2e/%2e%2e/x HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        ("GET {base}@10.0.0.1{path} HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        ("GET http://10.0.0.1#{host}{path} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", 400),
        (
            "GET {base}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            400,
        ),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nabcde", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\n X-Folded: y\r\nZ\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\nHost: x\n\n", 400),
        ("GET {base}{path} HTTP/9.9\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\r\nHost: x\r\nX: " + "y" * 9000 + "\r\n\r\n", 400),
        ("GET {base}{path}" + "y" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET {base}{path} HTTP/1.1\r\n" + "X: y\r\n" * 200 + "\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("EHLO me\r\n", 400),
    ],
)
async def test_a_hostile_guest_is_turned_away(table: Table, request_text: str, status: int) -> None:
    text = request_text.replace("{base}", table.server.base).replace("{path}", PATH)
    answer = await table.ask(text.replace("{host}", f"127.0.0.1:{table.server.port}"))
    assert answer.startswith(b"HTTP/1.") and int(answer.split()[1]) == status
    # A second answer would come after the first one's length; what is wrong with a request may be quoted within it.
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert not table.server.asked


async def test_what_follows_a_refused_request_is_not_taken_for_another(table: Table) -> None:
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    second = f"GET {table.server.base}{PATH} HTTP/1.1\r\nHost: x\r\n\r\n"
    body = f"GET {table.server.base}{PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(second)}\r\n\r\n{second}"
    answer = await table.ask(body)
    assert answer.startswith(b"HTTP/1.1 400")
    assert not table.server.asked


async def test_requests_in_a_row_are_answered_in_a_row(table: Table) -> None:
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    one = f"GET {table.server.base}{PATH} HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await table.ask(one * 3)  # ended by the proxy, since nothing more comes
    assert answer.count(DATA) == 3
    assert table.server.asked[PATH] == 1


@pytest.mark.parametrize("words", ["", "GET", "GET http://x HTTP/1.1\r\nHost: "])
async def test_a_guest_that_says_nothing_is_shown_out(table: Table, words: str) -> None:
    assert await table.ask(words) == b""


async def test_a_guest_that_says_it_slowly_is_shown_out(table: Table) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", table.port)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET http://x HTTP/1.1\r\n")
        while not reader.at_eof() and loop.time() < began + 15:
            writer.write(b"X: y\r\n")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)
    assert loop.time() - began < 10
    writer.close()


async def test_not_everybody_comes_in(tmp_path: Path) -> None:
    async with open_table(tmp_path, head_limit_s=60) as table:
        table.server.faults[PATH] = lambda handler: handler.answer(DATA)
        async with contextlib.AsyncExitStack() as guests:
            for _ in range(doorman.MOST_CONNECTIONS + 20):
                _, writer = await asyncio.open_connection("127.0.0.1", table.port)
                guests.callback(writer.close)
            assert await table.get() == b""
        async with asyncio.timeout(60):
            while not is_whole(await table.get()):
                await asyncio.sleep(0.05)


async def test_a_guest_that_leaves_in_the_middle_harms_nobody(table: Table) -> None:
    data = os.urandom(4_000_000)
    digest = hashlib.sha1(data).hexdigest()
    path = f"/cvmfs/{NAME}/data/{digest[:2]}/{digest[2:]}"
    table.server.faults[path] = lambda handler: handler.answer(data)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", table.port)) as leaving:
            leaving.sendall(f"GET {table.server.base}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await asyncio.to_thread(leaving.recv, 10)
    answer = await table.get(path)
    assert answer.partition(b"\r\n\r\n")[2] == data
    assert table.server.asked[path] == 1


async def test_head_asks_for_no_body(table: Table) -> None:
    place = table.folder.parent / "www" / PATH[1:]
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    for _ in range(2):  # from the server, and from the cache
        head, _, body = (await table.get(method="HEAD")).partition(b"\r\n\r\n")
        assert b"200" in head and f"Content-Length: {len(DATA)}".encode() in head
        assert body == b""
        await table.get()


async def test_http_1_0_is_understood(table: Table) -> None:
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    for _ in range(2):
        answer = await table.ask(f"GET {table.server.base}{PATH} HTTP/1.0\r\n\r\n")
        assert answer.partition(b"\r\n\r\n")[2] == DATA


async def test_many_guests_at_once_are_one_to_the_server(table: Table) -> None:
    table.server.faults[PATH] = lambda handler: handler.answer(DATA)
    answers = await asyncio.gather(*(table.get() for _ in range(30)))
    assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {DATA}
    assert table.server.asked[PATH] == 1


async def test_names_that_are_not_kept_are_passed_through(table: Table) -> None:
    path = f"/cvmfs/{NAME}/.cvmfsreflog"
    table.server.faults[path] = lambda handler: handler.answer(b"log")
    for _ in range(2):
        assert (await table.get(path)).endswith(b"log")
    assert table.server.asked[path] == 2


async def test_this_computer_is_not_reached_by_a_name_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that is somebody's else sends the proxy to a service on this computer."""
    (tmp_path / "www").mkdir()
    with serve_files(tmp_path / "www") as server:
        name = f"http://files.example.org:{server.port}"
        running = Running(AllowList([name], [NAME]), tmp_path / "cache", 10**6)
        port = await running.start(0)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

        async def looked_up(*_: object, **__: object) -> list[object]:
            return list(found)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", looked_up)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            await asyncio.to_thread(connection.request, "GET", f"{name}{PATH}")
            response = await asyncio.to_thread(connection.getresponse)
            assert response.status == 502
            response.read()
            connection.close()
            assert not server.asked
        finally:
            await running.close()
