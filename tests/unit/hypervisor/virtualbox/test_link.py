"""The guest link against a server like VirtualBox's: one connection at a time, others are closed at once."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client import filenames
from client.hypervisor.errors import LinkUnavailable
from client.hypervisor.virtualbox import link
from client.hypervisor.virtualbox.link import Link, link_address

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a local socket is needed")


class Uart:
    """VirtualBox's end. With `is_stuck` it goes on believing in a connection that is gone."""

    def __init__(self) -> None:
        self.has_one = False
        self.is_stuck = False
        self.replugs = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.has_one:
            writer.close()
            return
        self.has_one = True
        while data := await reader.read(100):
            writer.write(data.upper())
        self.has_one = self.is_stuck
        writer.close()

    async def replug(self) -> None:
        self.replugs += 1
        self.has_one = False


@pytest.fixture
async def uart(tmp_path: Path) -> AsyncIterator[Uart]:
    one = Uart()
    server = await asyncio.start_unix_server(one.serve, tmp_path / filenames.VM_LINK_SOCKET)
    yield one
    server.close()


async def says(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes:
    streams[1].write(text)
    async with asyncio.timeout(5):
        return await streams[0].readexactly(len(text))


async def test_a_new_stream_replaces_the_old(tmp_path: Path, uart: Uart) -> None:
    end = Link("one", tmp_path, uart.replug)
    for text in (b"one", b"two", b"three"):
        assert await says(await end.open("address"), text) == text.upper()
    assert uart.replugs == 0
    await end.close()


async def test_one_that_will_not_let_go_is_plugged_out_and_in(
    tmp_path: Path, uart: Uart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_TRY_FOR_S", 0.1)
    end = Link("one", tmp_path, uart.replug)
    uart.is_stuck = True
    assert await says(await end.open("address"), b"one") == b"ONE"
    assert await says(await end.open("address"), b"two") == b"TWO"
    assert uart.replugs == 1
    await end.close()


async def test_one_that_was_left_unplugged_is_plugged_in(tmp_path: Path) -> None:
    uart, servers = Uart(), []

    async def plug() -> None:
        servers.append(await asyncio.start_unix_server(uart.serve, tmp_path / filenames.VM_LINK_SOCKET))

    end = Link("one", tmp_path, plug)
    assert await says(await end.open("address"), b"one") == b"ONE"
    await end.close()
    servers[0].close()


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(LinkUnavailable):
        await Link("one", tmp_path, Uart().replug).open("address")


def test_a_deep_folder_gets_a_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = Path(tempfile.mkdtemp(prefix="vc-t-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(short))
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    address = link_address(deep, "12345678-1234-4234-8234-123456789abc")
    assert len(address) <= 103
    stale = deep / filenames.VM_LINK_SOCKET
    stale.write_text("left by a process that was killed")
    for _ in range(2):
        link.prepare(deep, address)
        assert Path(address).parent.resolve() == deep.resolve() and not stale.exists()
    link.forget(deep, address)
    assert list(short.iterdir()) == []
    short.rmdir()
    flat = tmp_path / "f"
    if len(str(flat)) < 80:
        assert link_address(flat, "x") == str(flat / filenames.VM_LINK_SOCKET)


async def test_a_pipe_that_is_waited_for_without_end_is_plugged_out_and_in(
    tmp_path: Path, uart: Uart, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Link._connect

    async def wait(self: Link, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not uart.replugs:
            await asyncio.Event().wait()
        return await connect(self, address)

    monkeypatch.setattr(link, "_TRY_FOR_S", 0.1)
    monkeypatch.setattr(Link, "_connect", wait)
    end = Link("one", tmp_path, uart.replug)
    async with asyncio.timeout(5):
        assert await says(await end.open("address"), b"one") == b"ONE"
    await end.close()


async def test_an_end_that_takes_nothing_does_not_hold_up_the_close(
    tmp_path: Path, uart: Uart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_LAST_BYTES_LIMIT_S", 0.1)
    here, there = socket.socketpair()
    with there:
        _, writer = await asyncio.open_connection(sock=here)
        writer.write(bytes(1 << 22))
        async with asyncio.timeout(5):
            await link._drop(writer)
        assert here.fileno() == -1 or writer.transport.is_closing()
