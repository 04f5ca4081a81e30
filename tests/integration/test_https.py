"""The agent's HTTPS transfers against a small HTTPS server of the test's own, and what such a server may do to it."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from client.copilot.errors import FileTooBig, TransferFailed
from client.copilot.storage import https
from client.copilot.storage.https import HttpsTransfer
from client.copilot.storage.pace import USUAL, PaceLimits
from tests.helpers.servers import make_certificate

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
WITHIN_S = 30.0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        content = self.server.files.get(self.path)
        if self.server.status or content is None:
            self.answer(self.server.status or 404)
            return
        begin = 0
        if "Range" in self.headers and self.headers.get("If-Range") == self.server.etag:
            begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if begin else 200)
        self.send_header("ETag", self.server.etag)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        cut, self.server.cut_at = self.server.cut_at, None
        if self.server.drips.is_set():
            for number in range(begin, len(content)):
                self.wfile.write(content[number : number + 1])
                if self.server.release.wait(0.02):
                    return
        self.wfile.write(content[begin:cut])
        if cut is not None:
            self.close_connection = True
        if self.server.hangs_up:
            self.close_connection = True

    def do_PUT(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.status:
            # As prosody: said before the body has come.
            self.close_connection = True
            self.answer(self.server.status)
            return
        left, size = int(self.headers["Content-Length"]), 0
        while left and (chunk := self.rfile.read(min(left, MIB))):
            self.server.begun.set()
            if self.server.stuck.is_set():
                self.server.release.wait(WITHIN_S)
                return
            left -= len(chunk)
            size += len(chunk)
        self.server.sizes.append(size)
        self.answer(201)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        make_certificate(folder)
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.ca_pem = (folder / "cert.pem").read_text()
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sizes: list[int] = []
        self.status = 0
        self.etag = '"one"'
        self.cut_at: int | None = None
        self.hangs_up = False
        self.drips = threading.Event()
        self.begun, self.stuck, self.release = threading.Event(), threading.Event(), threading.Event()

    def handle_error(self, *_: object) -> None:
        """Clients that go are part of the tests."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def transfer(self, idle_limit_s: float = WITHIN_S, pace: PaceLimits = USUAL) -> HttpsTransfer:
        stated = f"localhost:{self.port}"
        return HttpsTransfer(stated, self.ca_pem, {stated: f"127.0.0.1:{self.port}"}, idle_limit_s, pace=pace)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    with Server(folder) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.05))
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(os.urandom(3 * MIB))
    return path


async def test_a_file_goes_out_with_its_headers_and_comes_in(server: Server, local: Path, tmp_path: Path) -> None:
    transfer = server.transfer()
    assert await transfer.put(f"{server.url}/up/x", (("Authorization", "Bearer t"),), local) == 3 * MIB
    [(path, headers)] = server.asked
    assert (path, headers["Authorization"], headers["Host"]) == ("/up/x", "Bearer t", f"localhost:{server.port}")
    assert server.sizes == [3 * MIB]
    server.files = {"/in/a%20b/c": local.read_bytes(), "/in/d": b""}
    assert await transfer.get(f"{server.url}/in", "a b/c", tmp_path / "c", limit_bytes=3 * MIB) == 3 * MIB
    assert await transfer.get(f"{server.url}/in/", "d", tmp_path / "d", limit_bytes=0) == 0
    assert (tmp_path / "c").read_bytes() == local.read_bytes()
    assert (tmp_path / "d").read_bytes() == b""
    await transfer.close()


async def test_a_cut_file_is_gone_on_with(server: Server, local: Path, tmp_path: Path) -> None:
    server.files = {"/in/f": local.read_bytes()}
    server.cut_at = MIB
    transfer = server.transfer()
    with pytest.raises(TransferFailed) as failed:
        await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=4 * MIB)
    assert not failed.value.permanent
    assert await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=4 * MIB) == 3 * MIB
    assert server.asked[1][1]["Range"] == f"bytes={MIB}-"
    assert (tmp_path / "f").read_bytes() == local.read_bytes()
    await transfer.close()


async def test_a_cut_file_that_is_another_now_begins_anew(server: Server, local: Path, tmp_path: Path) -> None:
    server.files = {"/in/f": local.read_bytes()}
    server.cut_at = MIB
    transfer = server.transfer()
    with pytest.raises(TransferFailed):
        await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=4 * MIB)
    server.files, server.etag = {"/in/f": b"short"}, '"two"'
    assert await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=4 * MIB) == 5
    assert (tmp_path / "f").read_bytes() == b"short"
    await transfer.close()


async def test_what_is_too_big_is_not_fetched(server: Server, tmp_path: Path) -> None:
    server.files = {"/in/f": b"x" * 100}
    transfer = server.transfer()
    with pytest.raises(FileTooBig):
        await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=99)
    assert list(tmp_path.glob("f*")) == []
    await transfer.close()


@pytest.mark.parametrize(("status", "permanent"), [(401, True), (404, True), (429, False), (302, True), (503, False)])
async def test_refusals_are_told_from_troubles(
    server: Server, local: Path, tmp_path: Path, status: int, permanent: bool
) -> None:
    server.status = status
    transfer = server.transfer()
    with pytest.raises(TransferFailed, match=str(status)) as failed:
        await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=9)
    assert failed.value.permanent is permanent
    with pytest.raises(TransferFailed) as failed:
        await transfer.put(f"{server.url}/up", (), local)
    await transfer.close()


async def test_nobody_else_is_talked_to(server: Server, local: Path, tmp_path: Path) -> None:
    transfer = server.transfer()
    for url in (f"https://127.0.0.1:{server.port}/x", f"http://localhost:{server.port}/x", "https://localhost/x"):
        with pytest.raises(TransferFailed, match="not the project's") as failed:
            await transfer.put(url, (), local)
        assert failed.value.permanent
    stranger = HttpsTransfer(f"127.0.0.1:{server.port}", server.ca_pem)
    with pytest.raises(TransferFailed, match="certificate") as failed:
        await stranger.put(f"https://127.0.0.1:{server.port}/x", (), local)
    assert failed.value.permanent
    assert server.asked == []


async def test_a_server_that_is_away_or_silent_is_left_in_time(server: Server, local: Path) -> None:
    server.stuck.set()
    with pytest.raises(TransferFailed) as failed:
        await server.transfer(0.3).put(f"{server.url}/up", (), local)
    assert not failed.value.permanent
    gone = HttpsTransfer("localhost:1", server.ca_pem)
    with pytest.raises(TransferFailed):
        await gone.put("https://localhost:1/up", (), local)


async def test_a_server_that_gives_or_takes_in_drips_is_left_in_time(
    server: Server, local: Path, tmp_path: Path
) -> None:
    transfer = server.transfer(pace=PaceLimits(grace_s=0.1, window_s=0.2, least_rate=1e5))
    server.files["/in/f"] = bytes(MIB)
    server.drips.set()
    with pytest.raises(TransferFailed, match="slower than") as slow:
        await transfer.get(f"{server.url}/in", "f", tmp_path / "f", limit_bytes=2 * MIB)
    assert not slow.value.permanent
    server.stuck.set()
    with pytest.raises(TransferFailed, match="slower than"):
        await transfer.put(f"{server.url}/up", (), local)
    await transfer.close()


async def test_marks_of_half_files_go_with_their_folders(server: Server, tmp_path: Path) -> None:
    transfer = server.transfer()
    server.files["/in/f"] = bytes(MIB)
    for number in range(3):
        folder = tmp_path / f"job-{number}"
        folder.mkdir()
        server.cut_at = MIB // 2
        with pytest.raises(TransferFailed):
            await transfer.get(f"{server.url}/in", "f", folder / "f", limit_bytes=2 * MIB)
        assert list(transfer._etags) == [folder / "f.part"]
        shutil.rmtree(folder)
    await transfer.close()


async def test_an_upload_can_be_given_up_at_once(server: Server, local: Path) -> None:
    server.stuck.set()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(server.transfer().put(f"{server.url}/up", (), local))
    assert await asyncio.to_thread(server.begun.wait, WITHIN_S)
    began = loop.time()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert loop.time() - began < WITHIN_S / 2


async def test_a_transfer_given_up_while_it_connects_asks_for_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting, go = threading.Event(), threading.Event()
    connect = socket.create_connection

    def slowly(*where: Any) -> socket.socket:
        connecting.set()
        go.wait(WITHIN_S)
        return connect(*where)

    monkeypatch.setattr(socket, "create_connection", slowly)
    monkeypatch.setattr(https, "_END_S", 0.01)
    server.files = {"/in/a": b"late"}
    getting = asyncio.create_task(server.transfer().get(f"{server.url}/in", "a", tmp_path / "a", limit_bytes=9))
    await asyncio.to_thread(connecting.wait, WITHIN_S)
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    go.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert server.asked == []
    assert not list(tmp_path.glob("a*"))


async def test_a_kept_connection_that_the_server_ended_is_replaced(server: Server, tmp_path: Path) -> None:
    server.files = {"/in/f": b"x", "/in/g": b"y"}
    server.hangs_up = True
    transfer = server.transfer()
    for name in ("f", "g", "f"):
        assert await transfer.get(f"{server.url}/in", name, tmp_path / name, limit_bytes=9) == 1
    await transfer.close()


async def test_a_local_file_that_fails_is_no_fault_of_the_server(server: Server, tmp_path: Path) -> None:
    server.files = {"/in/f": b"x"}
    transfer = server.transfer()
    with pytest.raises(FileNotFoundError):
        await transfer.put(f"{server.url}/up", (), tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        await transfer.get(f"{server.url}/in", "f", tmp_path / "no" / "f", limit_bytes=9)
    await transfer.close()
