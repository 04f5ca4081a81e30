"""All traffic together keeps one limit each way, and rests while it is closed: real relays, sockets and processes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.helpers.metered import Far, Near, Vm, many

pytestmark = pytest.mark.integration
LIMIT = 200_000


@contextlib.asynccontextmanager
async def busy(near: list[Near], *, gives: bool = True) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.take()) for one in near]
    if gives:
        tasks += [asyncio.create_task(one.give()) for one in near]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
            # What the system takes in ahead of the relays comes first.
            await asyncio.sleep(2)
            began, before = time.monotonic(), (sum(far.sent), sum(far.taken), [one.got for one in near])
            await asyncio.sleep(5)
            lasted = time.monotonic() - began
            down, up = (sum(far.sent) - before[0]) / lasted, (sum(far.taken) - before[1]) / lasted
            each = [one.got - got for one, got in zip(near, before[2], strict=True)]
    assert 0.93 * LIMIT <= down <= 1.05 * LIMIT
    assert 0.93 * LIMIT <= up <= 1.05 * LIMIT
    assert max(each) <= 1.3 * min(each)


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
