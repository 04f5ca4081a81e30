"""The host's end of the link over a real stream pair."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from client.guest.channel import LinkChannel
from client.hypervisor.errors import LinkUnavailable
from client.link import LinkEnd, Message
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
