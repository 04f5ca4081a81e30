"""All traffic together keeps one limit each way, and rests while it is closed: real relays, sockets and processes."""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from client.appliance.transfers import metered
from client.meter import FILE
from tests.helpers.hostile_http import serving
from tests.helpers.metered import Far, Vm, busy, many
from tests.helpers.program import TOP
from tests.integration.appliance.kit import target_of

pytestmark = pytest.mark.integration
LIMIT = 200_000
LARGE = random.Random(3).randbytes(4 << 20)


async def until(holds: Callable[[], bool], limit_s: float = 15.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.alone
@pytest.mark.parametrize("count", [1, 8])
async def test_all_connections_together_keep_the_limit_each_way(tmp_path: Path, count: int) -> None:
    far = Far()
    async with far.serving() as port:
        vm = Vm(tmp_path, port)
        vm.rule(LIMIT, LIMIT)
        async with many(vm, count) as near, busy(near):
            await until(lambda: len(far.sent) == count and all(far.sent) and all(far.taken))
            await asyncio.sleep(0.5)
            began, taken, got = time.monotonic(), sum(far.taken), [one.got for one in near]
            await asyncio.sleep(5)
            lasted = time.monotonic() - began
            each = [one.got - before for one, before in zip(near, got, strict=True)]
            down, up = sum(each) / lasted, (sum(far.taken) - taken) / lasted
            ahead = sum(far.sent) - sum(one.got for one in near)
    assert 0.93 * LIMIT <= down <= 1.05 * LIMIT
    assert 0.93 * LIMIT <= up <= 1.05 * LIMIT
    assert max(each) <= 1.3 * min(each)
    # The system has not taken in much more over the network than that.
    assert ahead < count * 65536


async def test_closed_nothing_moves_and_opened_all_goes_on_without_a_loss(tmp_path: Path) -> None:
    said = bytes(range(256)) * 2000

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        got = await reader.readexactly(len(said))
        writer.write(b"right" if got == said else b"wrong")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        vm = Vm(tmp_path, server.sockets[0].getsockname()[1])
        vm.rule(100_000)
        async with vm.connected() as near:
            got = await near.reader.readexactly(10_000)
            vm.rule(100_000, closed=True)
            # What had passed the meter may still come, more does not.
            await asyncio.sleep(0.5)
            vm.meter.look(0)
            before = vm.meter.moved
            near.writer.write(said)
            await asyncio.sleep(1.5)
            vm.meter.look(1)
            assert vm.meter.moved == before
            vm.rule()
            async with asyncio.timeout(10):
                rest = await near.reader.readexactly(len(said) - len(got))
                assert got + rest == said
                assert await near.reader.read() == b"right"
                near.writer.write_eof()
                await near.child.wait()
    vm.meter.look(2)
    assert vm.meter.moved == (len(said) + 5, len(said))


async def test_who_comes_while_it_is_closed_waits_and_is_served_then(tmp_path: Path) -> None:
    far = Far()
    async with far.serving() as port:
        vm = Vm(tmp_path, port)
        vm.rule(closed=True)
        async with vm.connected() as near:
            near.writer.write(b"hello")
            await asyncio.sleep(0.5)
            assert far.sent == []
            vm.rule()
            await near.reader.readexactly(1)
            await until(lambda: far.taken == [5])


@pytest.mark.parametrize("is_connected", [False, True])
async def test_who_goes_while_it_is_closed_leaves_no_relay(tmp_path: Path, is_connected: bool) -> None:
    far = Far()
    async with far.serving() as port:
        vm = Vm(tmp_path, port)
        vm.rule(closed=not is_connected)
        async with vm.connected() as near:
            if is_connected:
                await near.reader.readexactly(1)
                vm.rule(closed=True)
            near.writer.write(b"hello")
            near.writer.write_eof()
            async with asyncio.timeout(10):
                assert await near.child.wait() == 1


async def test_what_stays_on_this_computer_is_neither_closed_nor_counted(tmp_path: Path) -> None:
    far = Far()
    async with far.serving() as port:
        vm = Vm(tmp_path, port, local=True)
        vm.rule(1000, 1000, closed=True)
        async with vm.connected() as near:
            await near.reader.readexactly(2_000_000)
    vm.meter.look(0)
    assert vm.meter.moved == (0, 0)


async def test_a_change_of_the_limit_holds_for_what_runs(tmp_path: Path) -> None:
    far = Far()
    async with far.serving() as port:
        vm = Vm(tmp_path, port)
        vm.rule(2000)
        async with vm.connected() as near, busy([near], gives=False):
            await until(lambda: near.got > 0)
            vm.rule()
            await until(lambda: near.got > 3_000_000)


def download(folder: Path, url: str, meter: Path) -> tuple[asyncio.Task[Mapping[str, Any]], list[int]]:
    """A download in its own process, and how far it has told to be."""
    order = {
        "target": target_of(LARGE, [url]).to_json(),
        "to": str(folder / "image"),
        "part": str(folder / "image.part"),
    }
    done: list[int] = [0]
    work = metered(meter)("download", order, on_progress=lambda said: done.append(int(said["done_bytes"])))
    return asyncio.ensure_future(work), done


@pytest.mark.alone
async def test_a_download_beside_a_guest_shares_the_limit_with_it(tmp_path: Path) -> None:
    far = Far()
    async with far.serving() as port:
        vm = Vm(tmp_path / "vms", port)
        vm.rule(LIMIT)
        with serving(LARGE) as server:
            async with vm.connected() as near, busy([near], gives=False):
                work, done = download(tmp_path, server.url, tmp_path / "vms" / FILE)
                await until(lambda: done[-1] > 50_000 and near.got > 50_000)
                began, before = time.monotonic(), (near.got, done[-1])
                await asyncio.sleep(5)
                lasted = time.monotonic() - began
                guest, fetched = (near.got - before[0]) / lasted, (done[-1] - before[1]) / lasted
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
    assert 0.9 * LIMIT <= guest + fetched <= 1.07 * LIMIT
    assert 0.4 * LIMIT <= guest <= 0.6 * LIMIT


async def test_a_download_rests_while_it_is_closed_and_all_of_it_is_counted(tmp_path: Path) -> None:
    vm = Vm(tmp_path / "vms", 1)
    vm.rule(400_000)
    with serving(LARGE) as server:
        work, done = download(tmp_path, server.url, tmp_path / "vms" / FILE)
        await until(lambda: done[-1] > 20_000)
        vm.rule(400_000, closed=True)
        await asyncio.sleep(0.5)
        vm.meter.look(0)
        before = vm.meter.moved
        await asyncio.sleep(1)
        vm.meter.look(1)
        assert vm.meter.moved == before
        vm.rule()
        async with asyncio.timeout(20):
            await work
    assert (tmp_path / "image").read_bytes() == LARGE
    vm.meter.look(2)
    assert vm.meter.moved == (len(LARGE), 0)


HAMMER = """
import sys
sys.path.insert(0, sys.argv[1])
from client.meter import DOWN, UP, Meter, clock_ns
meter = Meter(sys.argv[2])
for number in range(2000):
    while meter.enter(number % 2, 7, clock_ns()) is None:
        continue
"""


async def test_no_count_is_lost_between_processes(tmp_path: Path) -> None:
    vm = Vm(tmp_path, 1)
    vm.rule(10**9)
    command = (sys.executable, "-I", "-S", "-c", HAMMER, str(TOP), str(tmp_path / FILE))
    children = [await asyncio.create_subprocess_exec(*command) for _ in range(6)]
    for number in range(50):
        vm.rule(10**9 + number % 2, closed=bool(number % 2))
        await asyncio.sleep(0.005)
    assert [await child.wait() for child in children] == [0] * 6
    vm.meter.look(0)
    assert vm.meter.moved == (6 * 7000, 6 * 7000)
