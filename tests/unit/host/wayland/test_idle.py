"""Idle notifications, against a compositor of a few lines that speaks the wire format."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.host.part import Input
from client.host.wayland.connection import Compositor, CompositorRefused, text, text_at
from client.host.wayland.idle import IdleNotifications

NOW = 500.0


class FakeCompositor:
    """Answers a registry and `sync`, notes what else is asked, and says what a test wants."""

    def __init__(self, offers: list[tuple[str, int]]) -> None:
        self.offers = offers
        self.asked: list[tuple[int, int, bytes]] = []
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                number, word = struct.unpack("=II", await reader.readexactly(8))
                body = await reader.readexactly((word >> 16) - 8)
                self._take(number, word & 0xFFFF, body)
        writer.close()

    def _take(self, number: int, opcode: int, body: bytes) -> None:
        if (number, opcode) == (1, 0):
            self.say(struct.unpack("=I", body)[0], 0, struct.pack("=I", 0))
        elif (number, opcode) == (1, 1):
            for name, (interface, version) in enumerate(self.offers, 1):
                self.say(2, 0, struct.pack("=I", name) + text(interface) + struct.pack("=I", version))
        else:
            self.asked.append((number, opcode, body))

    def say(self, number: int, opcode: int, body: bytes = b"") -> None:
        assert self.writer is not None
        self.writer.write(struct.pack("=II", number, (8 + len(body)) << 16 | opcode) + body)


@contextlib.asynccontextmanager
async def connected(tmp_path: Path, fake: FakeCompositor) -> AsyncIterator[Compositor]:
    server = await asyncio.start_unix_server(fake.serve, str(tmp_path / "wayland-0"))
    compositor = await Compositor.connect(str(tmp_path / "wayland-0"))
    serving = asyncio.create_task(compositor.serve())
    try:
        await compositor.begin()
        yield compositor
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await compositor.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("interface", "version", "opcode", "order"),
    [
        ("ext_idle_notifier_v1", 1, 1, ("new", "mark", "seat")),
        ("ext_idle_notifier_v1", 2, 2, ("new", "mark", "seat")),
        ("org_kde_kwin_idle", 1, 0, ("new", "seat", "mark")),
    ],
)
async def test_a_notification_is_asked_for_in_the_words_of_the_protocol(
    tmp_path: Path, interface: str, version: int, opcode: int, order: tuple[str, ...]
) -> None:
    fake = FakeCompositor([("wl_seat", 7), (interface, version)])
    async with connected(tmp_path, fake) as compositor:
        said: list[Input] = []
        assert IdleNotifications(compositor, lambda: NOW, said.append).begin()
        await compositor.sync()
        *_, (_, asked, body) = fake.asked
        values = dict(zip(order, struct.unpack("=III", body), strict=True))
        assert (asked, values["mark"]) == (opcode, 2000)
        fake.say(values["new"], 0)
        await compositor.sync()
        fake.say(values["new"], 1)
        await compositor.sync()
    assert said == [Input(None), Input(NOW - 2.0), Input(None)]


async def test_all_seats_have_to_be_idle(tmp_path: Path) -> None:
    fake = FakeCompositor([("wl_seat", 7), ("ext_idle_notifier_v1", 1), ("wl_seat", 7)])
    async with connected(tmp_path, fake) as compositor:
        said: list[Input] = []
        IdleNotifications(compositor, lambda: NOW, said.append).begin()
        await compositor.sync()
        numbers = [struct.unpack("=III", body)[0] for _, opcode, body in fake.asked if opcode == 1]
        assert len(numbers) == 2
        for number in numbers:
            fake.say(number, 0)
            await compositor.sync()
    assert said == [Input(None), Input(None), Input(NOW - 2.0)]


@pytest.mark.parametrize("offers", [[], [("wl_seat", 7)], [("ext_idle_notifier_v1", 1)]])
async def test_a_compositor_that_does_not_tell(tmp_path: Path, offers: list[tuple[str, int]]) -> None:
    async with connected(tmp_path, FakeCompositor(offers)) as compositor:
        said: list[Input] = []
        assert not IdleNotifications(compositor, lambda: NOW, said.append).begin()
        assert said == []


async def test_an_error_of_the_compositor_ends_the_connection(tmp_path: Path) -> None:
    fake = FakeCompositor([])
    server = await asyncio.start_unix_server(fake.serve, str(tmp_path / "wayland-0"))
    compositor = await Compositor.connect(str(tmp_path / "wayland-0"))
    serving = asyncio.create_task(compositor.serve())
    await compositor.begin()
    fake.say(1, 0, struct.pack("=II", 3, 1) + text("no such thing"))
    with pytest.raises(CompositorRefused, match="no such thing"):
        await serving
    await compositor.close()
    server.close()
    await server.wait_closed()


@given(st.text(max_size=40).filter(lambda value: "\0" not in value))
def test_strings_come_back(value: str) -> None:
    data = text(value)
    assert len(data) % 4 == 0
    assert text_at(b"head" + data, 4) == (value, 4 + len(data))


@given(st.binary(max_size=24))
def test_a_broken_string_is_an_error_that_is_expected(data: bytes) -> None:
    try:
        value, _ = text_at(data, 0)
    except struct.error:
        return
    assert isinstance(value, str)
