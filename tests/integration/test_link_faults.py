"""A guest that sends garbage on its link, 100 MB of it: it costs the guest time, and the volunteer hardly anything."""

import asyncio
import json
import os
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from client.clock import SystemClock
from client.guest.channel import RATE_BYTES_PER_S, LinkChannel
from client.link import LinkEnd, Message

pytestmark = pytest.mark.integration
GARBAGE_BYTES = 100_000_000
PIECE_BYTES = 65_536
#: what this process may grow by
GROWTH_BYTES = 20_000_000
#: longest that a task of the same loop may be kept waiting
LATE_S = 0.25
TICK_S = 0.01


def noise() -> bytes:
    """Random bytes, some of which end lines."""
    return os.urandom(PIECE_BYTES)


def endless_line() -> bytes:
    return b"x" * PIECE_BYTES


def deep_json() -> bytes:
    line = b'{"v":1,"i":"g","n":1,"k":"log","b":' + b"[" * 30_000 + b"\n"
    return line * (PIECE_BYTES // len(line))


def false_messages() -> bytes:
    """Well-formed lines of kinds, fields and numbers that there are not."""
    said = {"v": 1, "i": "g", "n": 10**30, "o": -1, "a": "x", "k": "destroy", "b": {"path": "/"}}
    line = json.dumps(said).encode() + b"\n"
    return line * (PIECE_BYTES // len(line))


def short_lines() -> bytes:
    """As many lines as bytes allow: each costs the reader something."""
    return b"x\n" * (PIECE_BYTES // 2)


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-link-", dir="/tmp") as name:
        yield Path(name) / "link.sock"


class Wakings:
    """How long at worst a task that wants to run every TICK_S was kept from it by what this thread computed.

    Not by the clock on the wall: other programs may take the processor away for longer.
    """

    def __init__(self) -> None:
        self.latest_s = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(TICK_S)
            self.latest_s = max(self.latest_s, time.thread_time() - before)

    def stop(self) -> None:
        self._task.cancel()


@asynccontextmanager
async def babbler(
    socket: Path, pieces: list[Callable[[], bytes]], size_bytes: int = GARBAGE_BYTES
) -> AsyncIterator[asyncio.Event]:
    """A guest that sends garbage of each kind in turn, then a line's end and a message; sets the event when it has."""
    sent = asyncio.Event()
    words = LinkEnd("guest-after-all")

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        for piece in pieces:
            for _ in range(size_bytes // len(pieces) // PIECE_BYTES):
                writer.write(piece())
                await writer.drain()
        writer.write(b"\n" + words.hello(version="9") + words.send("job", job_id="j1", state="executing", done=3))
        await writer.drain()
        sent.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, socket)
    try:
        yield sent
    finally:
        server.close()


async def test_a_hundred_megabytes_of_garbage_cost_the_guest_only(socket: Path) -> None:
    heard: list[Message] = []
    channel = LinkChannel(lambda: asyncio.open_unix_connection(socket), heard.append, SystemClock())
    mine = psutil.Process()
    async with babbler(socket, [noise, deep_json, false_messages, *[endless_line] * 7]) as sent:
        before = mine.memory_info().rss
        wakings = Wakings()
        talk = asyncio.create_task(channel.run())
        began = time.monotonic()
        most = before
        async with asyncio.timeout(120):
            while not any(message.kind == "job" for message in heard):
                await asyncio.sleep(0.05)
                most = max(most, mine.memory_info().rss)
        wakings.stop()
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)
        assert sent.is_set()
    assert [(one.kind, dict(one.fields).get("done")) for one in heard if one.kind in {"job", "hello"}][-1] == ("job", 3)
    assert channel.noise > 100
    assert time.monotonic() - began >= 0.9 * GARBAGE_BYTES / RATE_BYTES_PER_S
    assert most - before < GROWTH_BYTES
    assert wakings.latest_s < LATE_S
    print(f"grew {(most - before) / 1e6:.1f} MB, woken {wakings.latest_s * 1e3:.0f} ms late at worst")


def many_messages() -> Callable[[], bytes]:
    """Messages as they should be, without end."""
    words = LinkEnd("flood")
    return lambda: b"".join(words.send("job", job_id=f"j{number}", state="done") for number in range(100))


@pytest.mark.parametrize("piece", [short_lines, many_messages()], ids=["lines", "messages"])
async def test_many_small_words_do_not_take_the_loop(socket: Path, piece: Callable[[], bytes]) -> None:
    """What costs more time than bytes: the guest has to wait for its turn."""

    def take_message(message: Message) -> None:
        # What a record on the disk may cost.
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass

    channel = LinkChannel(lambda: asyncio.open_unix_connection(socket), take_message, SystemClock())
    async with babbler(socket, [piece]):
        talk = asyncio.create_task(channel.run())
        wakings, used, began = Wakings(), time.process_time(), time.monotonic()
        await asyncio.sleep(3)
        used, took = time.process_time() - used, time.monotonic() - began
        wakings.stop()
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)
    assert channel.heard_at is not None or channel.noise > 1000
    assert used < took / 3
    assert wakings.latest_s < LATE_S
