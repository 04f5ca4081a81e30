"""The relay, as the real process that a guest's connection gets."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import meter
from client.guest import relay

SOURCE = Path(relay.__file__)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Serve) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def relayed(
    folder: Path, port: int, name: str = "chirp", limit: str = "-", vm_pid: int | str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.subprocess.Process]]:
    (folder / "routes").write_text(f"chirp\t127.0.0.1\t{port}\t{limit}\n")
    (folder / "pid").write_text(f"{vm_pid or os.getpid()}\n")
    (folder / "traffic").mkdir(exist_ok=True)
    # As libslirp makes it: a TCP connection on the loopback interface.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    arguments = (name, str(folder / "routes"), str(folder / "traffic"), str(folder / "pid"))
    with theirs:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(SOURCE), *arguments, stdin=theirs, stdout=theirs, stderr=theirs
        )
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        yield reader, writer, child
    finally:
        writer.close()
        if child.returncode is None:
            child.kill()
        await child.wait()


def counts(folder: Path) -> list[tuple[int, ...]]:
    return [tuple(map(int, file.read_text().split())) for file in (folder / "traffic").iterdir()]


async def shout_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only once it has seen the end of what was sent: needs the half-close to pass."""
    data = await reader.read()
    writer.write(data.upper())
    await writer.drain()


async def test_both_ways_with_half_close_and_counts(tmp_path: Path) -> None:
    said = b"abc" * 100_000
    async with serving(shout_back) as port, relayed(tmp_path, port) as (reader, writer, child):
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(10):
            assert await reader.read() == said.upper()
            assert await child.wait() == 0
    assert counts(tmp_path) == [(len(said), len(said))]


async def test_a_name_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    async with serving(shout_back) as port, relayed(tmp_path, port, name="lan") as (reader, _, child):
        async with asyncio.timeout(10):
            assert await reader.read() == b""
            assert await child.wait() != 0
    assert counts(tmp_path) == []


async def test_a_target_that_is_down_ends_it_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begun = time.monotonic()
    async with relayed(tmp_path, port) as (reader, _, child):
        assert await reader.read() == b""
        assert await child.wait() == 1
    assert time.monotonic() - begun < 3


async def test_it_ends_with_the_vm(tmp_path: Path) -> None:
    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        await reader.read()
        await asyncio.sleep(60)

    vm = await asyncio.create_subprocess_exec("sleep", "60")
    async with serving(stay) as port, relayed(tmp_path, port, vm_pid=vm.pid) as (reader, writer, child):
        assert await reader.readexactly(4) == b"here"
        writer.write_eof()
        vm.kill()
        await vm.wait()
        async with asyncio.timeout(6):
            assert await child.wait() == 0


@pytest.mark.parametrize(("living", "answer"), [(relay.MOST_RELAYS, b""), (relay.MOST_RELAYS - 1, b"HELLO")])
async def test_a_guest_has_only_so_many_connections(tmp_path: Path, living: int, answer: bytes) -> None:
    folder = tmp_path / "traffic"
    folder.mkdir()
    others = [folder / f"{os.getpid()}-{number}" for number in range(living)]
    gone = [folder / f"{2**22 + 1 + number}-1" for number in range(50)]
    for file in [*others, *gone, folder / "total.json"]:
        file.write_text("0 0")
    async with serving(shout_back) as port, relayed(tmp_path, port) as (reader, writer, child):
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                writer.write(b"hello")
                writer.write_eof()
                assert await reader.read() == answer
            assert await child.wait() == (0 if answer else 1)
    # One that was refused leaves no file.
    assert len(list(folder.iterdir())) == living + 51 + bool(answer)


@pytest.mark.parametrize("way", ["up", "down"])
async def test_the_limit_holds_each_way(tmp_path: Path, way: str) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if way == "down":
            writer.write(bytes(100_000))
            writer.write_eof()
        await reader.read()

    begun = time.monotonic()
    async with serving(flood) as port, relayed(tmp_path, port, limit="100000") as (reader, writer, child):
        if way == "up":
            writer.write(bytes(100_000))
        writer.write_eof()
        async with asyncio.timeout(10):
            got = await reader.read()
            await child.wait()
    # A quarter of a second's worth may come at once.
    assert 0.6 < time.monotonic() - begun < 4
    assert len(got) == (100_000 if way == "down" else 0)


async def test_nothing_of_it_reaches_the_guest_when_it_breaks(tmp_path: Path) -> None:
    async with serving(shout_back) as port, relayed(tmp_path, port, vm_pid="no number") as (reader, _, child):
        async with asyncio.timeout(10):
            assert await reader.read() == b""
            assert await child.wait() != 0


def test_it_imports_next_to_nothing() -> None:
    source = SOURCE.read_text()
    imported = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert set(imported) == {"os", "sys", "time", "_socket", "select", "client.meter"}
    # What the meter imports is loaded with it.
    loaded = [line.split()[1] for line in Path(meter.__file__).read_text().splitlines() if line.startswith("import ")]
    assert set(loaded) == {"os", "sys", "time"}


@given(st.text(), st.text())
def test_any_routes_text_gives_a_route_or_an_error(text: str, name: str) -> None:
    try:
        host, port, limit = relay.parse_route(text, name)
    except (KeyError, ValueError):
        return
    assert host in text
    assert isinstance(port, int)
    assert limit is None or isinstance(limit, int)


def test_the_route_of_that_name_is_taken() -> None:
    text = "xmpp\t127.0.0.1\t5222\t-\nchirp\tfiles.example\t9094\t250000\n"
    assert relay.parse_route(text, "chirp") == ("files.example", 9094, 250000)
    assert relay.parse_route(text, "xmpp") == ("127.0.0.1", 5222, None)
    with pytest.raises(KeyError):
        relay.parse_route(text, "xm")
