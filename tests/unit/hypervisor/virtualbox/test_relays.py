"""The host's end of a VM's routes."""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.hypervisor.driver import Route, Traffic
from client.hypervisor.errors import RoutePortTaken
from client.hypervisor.virtualbox.folder import Ledger
from client.hypervisor.virtualbox.ports import Ports, _alone
from client.hypervisor.virtualbox.relays import LOOPBACK, MOST_CONNECTIONS, Budget, Relays
from client.hypervisor.virtualbox.shape import HOST_ADDRESS
from client.meter import CREDIT_S, FILE, Meter, clock_ns
from tests.helpers.clock import FakeClock


@contextlib.asynccontextmanager
async def echo(greeting: bytes = b"") -> AsyncIterator[int]:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(greeting)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def planned(tmp_path: Path, port: int) -> Route:
    ports = Ports(Ledger(tmp_path / "ports.json"))
    (route,) = ports.plan("one", (Route("xmpp", "10.0.2.100", 5222, LOOPBACK, port),), frozenset())
    assert route.guest_host == HOST_ADDRESS
    return route


async def talk(port: int, data: bytes) -> bytes:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(data)
        writer.write_eof()
        said = await reader.read()
        writer.close()
        return said


def relays(tmp_path: Path, route: Route, meter: Meter | None = None) -> Relays:
    made = Relays("one", tmp_path / "traffic.json", SystemClock(), meter)
    made.set_routes((route,))
    return made


async def test_bytes_both_ways_and_their_count(tmp_path: Path) -> None:
    async with echo(b"hi ") as port:
        route = planned(tmp_path, port)
        one = relays(tmp_path, route)
        await one.open()
        await one.open()
        data = bytes(range(256)) * 4000
        assert await talk(route.guest_port, data) == b"hi " + data
        await one.close()
    count = Traffic(len(data), len(data) + 3)
    assert one.traffic() == count
    assert relays(tmp_path, route).traffic() == count, "a new client goes on counting"


def ruled(tmp_path: Path, down: int = 0, up: int = 0, *, closed: bool = False) -> Meter:
    meter = Meter(str(tmp_path / FILE))
    assert meter.set_rule(down, up, closed, clock_ns())
    return meter


def moved(meter: Meter) -> tuple[int, int]:
    meter.look(clock_ns())
    return meter.moved


async def test_the_meter_counts_all_but_what_stays_here(tmp_path: Path) -> None:
    meter = ruled(tmp_path)
    async with echo(b"hi ") as port:
        for local in (False, True):
            route = replace(planned(tmp_path, port), local=local)
            one = relays(tmp_path, route, Meter(str(tmp_path / FILE)))
            await one.open()
            assert await talk(route.guest_port, b"x" * 100) == b"hi " + b"x" * 100
            await one.close()
            assert moved(meter) == (103, 100)


async def test_closed_it_waits_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("client.meter", "client.hypervisor.virtualbox.relays"):
        monkeypatch.setattr(f"{module}.CLOSED_LOOK_S", 0.02)
    meter = ruled(tmp_path, closed=True)
    async with echo(b"hi ") as port:
        route = planned(tmp_path, port)
        one = relays(tmp_path, route, Meter(str(tmp_path / FILE)))
        await one.open()
        reader, writer = await asyncio.open_connection(LOOPBACK, route.guest_port)
        writer.write(b"early")
        # The turn of whoever talks to nobody comes while the other waits.
        with contextlib.suppress(ConnectionError):
            assert await talk(route.guest_port, b"x") == b""
        assert moved(meter) == (0, 0)
        ruled(tmp_path)
        async with asyncio.timeout(10):
            assert await reader.readexactly(8) == b"hi early"
            ruled(tmp_path, closed=True)
            writer.write(b"late")
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        assert moved(meter) == (8, 5)
        writer.close()
        await one.close()


@pytest.mark.parametrize("way", ["down", "up"])
async def test_all_connections_together_keep_the_limit(tmp_path: Path, way: str) -> None:
    size = 40_000
    meter = ruled(tmp_path, **{way: 100_000})
    async with echo() as port:
        route = planned(tmp_path, port)
        one = relays(tmp_path, route, Meter(str(tmp_path / FILE)))
        await one.open()
        began = clock_ns()
        said = await asyncio.gather(*(talk(route.guest_port, bytes(size)) for _ in range(2)))
        lasted_s = (clock_ns() - began) / 1e9
        await one.close()
    assert [len(one) for one in said] == [size, size]
    assert lasted_s >= 2 * size / 100_000 - CREDIT_S - 0.1
    assert moved(meter) == (2 * size, 2 * size)


async def test_targets_change_for_new_connections(tmp_path: Path) -> None:
    async with echo(b"first") as first, echo(b"second") as second:
        route = planned(tmp_path, first)
        one = relays(tmp_path, route)
        await one.open()
        assert await talk(route.guest_port, b"") == b"first"
        one.set_routes((replace(route, port=second),))
        assert await talk(route.guest_port, b"") == b"second"
        await one.close()


async def test_a_target_that_is_down_closes_the_connection(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind((LOOPBACK, 0))
        route = planned(tmp_path, free.getsockname()[1])
    one = relays(tmp_path, route)
    await one.open()
    with contextlib.suppress(ConnectionError):
        assert await talk(route.guest_port, b"x") == b""
    await one.close()


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with echo(b"!") as port:
        route = planned(tmp_path, port)
        one = relays(tmp_path, route)
        await one.open()
        held = [await asyncio.open_connection(LOOPBACK, route.guest_port) for _ in range(MOST_CONNECTIONS)]
        for reader, _ in held:
            assert await reader.readexactly(1) == b"!"
        with contextlib.suppress(ConnectionError):
            assert await talk(route.guest_port, b"") == b""
        await one.close()
        for reader, writer in held:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()


async def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    route = planned(tmp_path, 1)
    with contextlib.closing(socket.socket()) as other:
        other.bind((LOOPBACK, route.guest_port))
        other.listen()
        one = relays(tmp_path, route)
        with pytest.raises(RoutePortTaken) as caught:
            await one.open()
        assert (caught.value.port, caught.value.route) == (route.guest_port, "xmpp")
        assert planned(tmp_path, 1).guest_port != route.guest_port, "the next plan gives another one"


def test_ports_are_kept_and_apart(tmp_path: Path) -> None:
    ports = Ports(Ledger(tmp_path / "ports.json"))
    wanted = tuple(Route(name, "10.0.2.100", 1, LOOPBACK, 1) for name in ("xmpp", "chirp"))
    first = ports.plan("one", wanted, frozenset())
    assert ports.plan("one", wanted, frozenset()) == first
    second = ports.plan("two", wanted, frozenset())
    assert len({route.guest_port for route in (*first, *second)}) == 4
    ports.forget("one")
    assert "one" not in Ledger(tmp_path / "ports.json").all()


def test_a_budget_is_kept_in_the_long_run() -> None:
    clock = FakeClock()
    budget = Budget(1000, clock)
    moved = 0
    began = clock.ticks
    for _ in range(100):
        chunk = budget.chunk_bytes()
        moved += chunk
        clock.advance(budget.wait_s(chunk))
    assert 900 <= moved / (clock.ticks - began) <= 1100
    assert Budget(None, clock).wait_s(1 << 30) == 0.0


async def test_one_taken_port_spoils_no_other_route(tmp_path: Path) -> None:
    ports = Ports(Ledger(tmp_path / "ports.json"))
    async with echo(b"good") as target:
        wanted = tuple(Route(name, "10.0.2.100", 1, LOOPBACK, target) for name in ("bad", "good"))
        bad, good = ports.plan("one", wanted, frozenset())
        one = Relays("one", tmp_path / "traffic.json", SystemClock())
        one.set_routes((bad, good))
        with contextlib.closing(socket.socket()) as other:
            other.bind((LOOPBACK, bad.guest_port))
            other.listen()
            for _ in range(2):
                with pytest.raises(RoutePortTaken):
                    await one.open()
                assert await talk(good.guest_port, b"") == b"good"
        await one.open()
        assert await talk(bad.guest_port, b"") == b"good"
        await one.close()


async def test_opened_twice_at_once(tmp_path: Path) -> None:
    route = planned(tmp_path, 1)
    one = relays(tmp_path, route)
    await asyncio.gather(one.open(), one.open())
    assert one.ports == {route.guest_port}
    await one.close()


def test_the_port_that_a_guest_was_told_is_taken_again_when_free(tmp_path: Path) -> None:
    ports = Ports(Ledger(tmp_path / "ports.json"))
    wanted = (Route("xmpp", "10.0.2.100", 1, LOOPBACK, 1),)
    (first,) = ports.plan("one", wanted, frozenset())
    told = {"xmpp": first.guest_port}
    with contextlib.closing(socket.socket()) as other:
        other.bind((LOOPBACK, first.guest_port))
        other.listen()
        assert ports.plan("one", wanted, frozenset(), told) != (first,)
    assert ports.plan("one", wanted, frozenset(), told) == (first,)


def test_on_windows_a_port_is_taken_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    assert _alone("win32") == (-5, 1) and _alone("linux") == (socket.SO_REUSEADDR, 1)
