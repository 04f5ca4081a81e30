"""Whether one limit each way holds for all traffic together, over 30 s: relays as QEMU starts them, and a download."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from client.appliance.transfers import metered
from client.meter import FILE
from tests.bench.harness import TOP, Row, bench, plain
from tests.helpers.hostile_http import serving
from tests.helpers.metered import Far, Vm, busy, many
from tests.integration.appliance.kit import target_of

LIMIT = 200_000
LASTS_S = 30.0
#: the goal
LEAST, MOST = 190, 205


@bench("throttle traffic of one connection")
def one() -> Iterator[Row]:
    yield from _rows(1, "one connection")


@bench("throttle traffic of eight connections")
def eight() -> Iterator[Row]:
    yield from _rows(8, "8 connections")


@bench("throttle traffic of a guest and a download")
def beside() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        guest, download = asyncio.run(_beside(Path(folder)))
    yield _held("throttle traffic, guest and download: down", guest + download)
    yield plain("throttle traffic, guest and download: the guest's part", [100 * guest / (guest + download)], "%")


@bench("throttle traffic relay's start")
def start() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        took = asyncio.run(_starts(Path(folder)))
    bare = [_bare_ms() for _ in took]
    yield plain("throttle traffic, relay's start", took, "ms", peer="bare Python", peer_value=statistics.median(bare))


def _held(name: str, bytes_s: float) -> Row:
    value = bytes_s / 1000
    return Row(name, value, "KB/s", goal=f"{LEAST} .. {MOST}", met=LEAST <= value <= MOST)


def _rows(count: int, words: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        down, up, each, ahead = asyncio.run(_flood(Path(folder), count))
    yield _held(f"throttle traffic, {words}: down", down)
    yield _held(f"throttle traffic, {words}: up", up)
    yield plain(f"throttle traffic, {words}: taken in ahead", [ahead / 1000], "KB")
    if count > 1:
        yield plain(f"throttle traffic, {words}: most to least", [max(each) / min(each)], "times")


async def _flood(folder: Path, count: int) -> tuple[float, float, list[int], int]:
    """Bytes a second both ways, what each connection got, and what the system had taken in and no guest had."""
    far = Far()
    async with far.serving() as port:
        vm = Vm(folder, port)
        vm.rule(LIMIT, LIMIT)
        # From the first byte on: what a limit lets through at once is part of the figure.
        async with many(vm, count) as near, busy(near, gives=True):
            while len(far.sent) < count:
                await asyncio.sleep(0.005)
            began = time.monotonic()
            await asyncio.sleep(LASTS_S)
            lasted = time.monotonic() - began
            each = [one.got for one in near]
            return sum(each) / lasted, sum(far.taken) / lasted, each, sum(far.sent) - sum(each)


async def _beside(folder: Path) -> tuple[float, float]:
    far, content = Far(), bytes(range(256)) * (40 << 10)
    async with far.serving() as port:
        vm = Vm(folder / "vms", port)
        vm.rule(LIMIT)
        with serving(content) as server:
            target = target_of(content, [server.url], 1 << 20)
            paths = {"to": str(folder / "image"), "part": str(folder / "image.part")}
            done = [0]
            work = asyncio.ensure_future(
                metered(folder / "vms" / FILE)(
                    "download",
                    {"target": target.to_json(), **paths},
                    on_progress=lambda said: done.append(int(said["done_bytes"])),
                )
            )
            async with vm.connected() as near, busy([near], gives=False):
                while not done[-1]:
                    await asyncio.sleep(0.005)
                began, before = time.monotonic(), (near.got, done[-1])
                await asyncio.sleep(LASTS_S)
                lasted = time.monotonic() - began
                rates = (near.got - before[0]) / lasted, (done[-1] - before[1]) / lasted
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                return rates


async def _starts(folder: Path) -> list[float]:
    """Milliseconds until the target sees the connection."""
    took: list[float] = []
    far = Far(sends=False)
    async with far.serving() as port:
        vm = Vm(folder, port)
        vm.rule(LIMIT, LIMIT)
        for number in range(30):
            began = time.perf_counter()
            async with vm.connected():
                while len(far.sent) <= number:
                    await asyncio.sleep(0.0005)
                took.append((time.perf_counter() - began) * 1000)
    return took


def _bare_ms() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True, cwd=TOP)
    return (time.perf_counter() - began) * 1000
