"""The host's end of the link over a real stream pair."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from client.guest import channel as channel_module
from client.guest.channel import LinkChannel
from client.hypervisor.errors import LinkUnavailable
from client.link import MAX_KEPT, LinkEnd, Message
from tests.helpers.clock import FakeClock


class Guest:
    """The guest's end in memory: a stream pair per connection."""

    def __init__(self) -> None:
        self.end = LinkEnd("guest")
        self.opened = 0
        self.fail_first = 0
        self.heard: list[Message] = []
        self._server: asyncio.Server | None = None
        self.writer: StreamWriter | None = None

    async def open(self) -> tuple[StreamReader, StreamWriter]:
        self.opened += 1
        if self.opened <= self.fail_first:
            raise LinkUnavailable("work-1", "not yet")
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return await asyncio.open_connection(host, port)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.writer = writer
        writer.write(self.end.hello(version="1"))
        while data := await reader.read(65536):
            self.heard += self.end.receive(data)
            writer.write(self.end.replies())
        writer.close()

    async def close(self) -> None:
        if self.writer:
            self.writer.close()
        if self._server:
            self._server.close()
            await self._server.wait_closed()


@asynccontextmanager
async def talking(guest: Guest) -> AsyncIterator[tuple[LinkChannel, list[Message], FakeClock]]:
    heard: list[Message] = []
    clock = FakeClock()
    channel = LinkChannel(guest.open, heard.append, clock)
    task = asyncio.create_task(channel.run())
    try:
        async with asyncio.timeout(10):
            yield channel, heard, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await guest.close()


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.005)


async def test_a_command_sent_before_the_guest_is_there_reaches_it() -> None:
    guest = Guest()
    guest.fail_first = 1
    async with talking(guest) as (channel, _, _):
        channel.send("finish", undo=False)
        await until(lambda: any(m.kind == "finish" for m in guest.heard))
        assert guest.opened == 2


async def test_a_cut_link_is_opened_again_and_nothing_reliable_is_lost() -> None:
    guest = Guest()
    async with talking(guest) as (channel, heard, _):
        await until(lambda: channel.connected and guest.writer and heard)
        assert guest.writer is not None
        guest.writer.transport.abort()
        guest.end.send("log", text="while nobody listened")
        await until(lambda: any(m.fields.get("text") == "while nobody listened" for m in heard))


async def test_each_ping_tells_what_share_of_the_processor_the_guest_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "RESEND_INTERVAL_S", 0.01)
    monkeypatch.setattr(channel_module, "PING_INTERVAL_S", 0.0)
    guest = Guest()
    async with talking(guest) as (channel, _, _):
        await until(lambda: any(m.fields.get("share") == 1.0 for m in guest.heard))
        channel.share = 0.25
        await until(lambda: any(m.kind == "ping" and m.fields.get("share") == 0.25 for m in guest.heard))


async def test_a_guest_that_stands_still_is_sent_no_pings_that_it_would_find_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns, has_room = [0], channel_module._has_room
    monkeypatch.setattr(channel_module, "RESEND_INTERVAL_S", 0.01)
    monkeypatch.setattr(channel_module, "PING_INTERVAL_S", 0.0)
    monkeypatch.setattr(channel_module, "_has_room", lambda writer: turns.append(0) or has_room(writer))
    guest = Guest()
    async with talking(guest) as (channel, _, _):
        channel.is_held, channel.share = True, 0.25
        await until(lambda: len(turns) > 5)
        channel.is_held, channel.share = False, 0.5
        await until(lambda: any(m.fields.get("share") == 0.5 for m in guest.heard))
        assert not any(m.fields.get("share") == 0.25 for m in guest.heard)


async def test_garbage_is_counted_and_does_not_end_the_link() -> None:
    guest = Guest()
    async with talking(guest) as (channel, heard, _):
        await until(lambda: guest.writer)
        assert guest.writer is not None
        guest.writer.write(b"\xff\x00 garbage\n" * 1000 + guest.end.send("boot", step="python"))
        await until(lambda: any(m.kind == "boot" for m in heard))
        assert channel.noise == 1000


async def test_after_a_pause_the_guest_is_told_and_silence_counts_anew() -> None:
    guest = Guest()
    async with talking(guest) as (channel, heard, clock):
        await until(lambda: heard)
        clock.advance(3600)
        channel.expect_resume()
        assert channel.heard_at == clock.monotonic()
        await until(lambda: any(m.kind == "resumed" for m in guest.heard))
        (resumed,) = [m for m in guest.heard if m.kind == "resumed"]
        assert resumed.fields["wall_clock"] == clock.now().timestamp()
        assert len(str(resumed.fields["entropy"])) == 64


async def test_a_guest_that_asks_and_never_reads_costs_bounded_memory_and_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_module, "DRAIN_LIMIT_S", 0.2)
    monkeypatch.setattr(channel_module, "CLOSE_LIMIT_S", 0.1)
    clock, guest, most = FakeClock(), LinkEnd("guest"), 0
    theirs: list[socket.socket] = []
    writers: list[StreamWriter] = []

    async def open_link() -> tuple[StreamReader, StreamWriter]:
        ours, other = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        other.setblocking(False)
        theirs.append(other)
        reader, writer = await asyncio.open_connection(sock=ours)
        writers.append(writer)
        return reader, writer

    channel = LinkChannel(open_link, lambda message: None, clock)
    for _ in range(MAX_KEPT):
        channel.send("shutdown", reason="x" * 200)
    once = len(channel._end.hello())
    task = asyncio.create_task(channel.run())
    async with asyncio.timeout(10):
        while len(theirs) < 2:
            clock.advance(1)
            if theirs:
                with suppress(OSError):
                    theirs[0].send(guest.hello())
            await asyncio.sleep(0.005)
            most = max([most, *(writer.transport.get_write_buffer_size() for writer in writers)])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for other in theirs:
        other.close()
    assert most < 2.5 * once


async def test_a_guest_that_asks_all_the_time_is_answered_once_a_second() -> None:
    guest = Guest()
    async with talking(guest) as (channel, heard, clock):
        await until(lambda: channel.connected and guest.writer and heard)
        channel.send("finish", undo=False)
        await until(lambda: any(m.kind == "finish" for m in guest.heard))
        # As a guest that confirms nothing.
        guest.end = LinkEnd("deaf")
        assert guest.writer is not None
        for _ in range(20):
            before = len(heard)
            guest.writer.write(LinkEnd("forgetful").hello())
            await until(lambda before=before: len(heard) > before)
        assert guest.end.dropped.repeated == 0
        assert [m.kind for m in guest.heard if m.kind == "finish"] == ["finish"]
        clock.advance(2)
        await until(lambda: [m.kind for m in guest.heard].count("finish") == 2)
