"""The store of appliances: how fast it is verified and mended, and what a VM's own layer over a shared disk costs."""

import asyncio
import hashlib
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from client.appliance.errors import ApplianceAltered
from client.appliance.manifest import read_manifest
from client.appliance.target import PIECE_BYTES
from client.appliance.worker import run_worker
from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.qemu.disk import make_scratch, scratch_template
from client.hypervisor.qemu.find import find_qemu
from client.hypervisor.qemu.folder import VmFolder
from tests.bench.harness import Row, against, at_least, at_most, bench, plain
from tests.helpers.appliances import CONTENT, Operator, Volunteer
from tests.helpers.program import APPLIANCE

TRIALS = 11


@bench("store: verify before a boot")
def verify() -> Iterator[Row]:
    appliance = read_manifest(APPLIANCE)
    names = appliance.needed(direct=True)
    paths = [APPLIANCE / name for name in names]
    size = sum(path.stat().st_size for path in paths)
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        content = {
            "vmlinux": (APPLIANCE / "vmlinux").read_bytes(),
            "initrd.img": (APPLIANCE / "initrd.img").read_bytes(),
            "root.squashfs": b"".join((APPLIANCE / name).read_bytes() for name in names if name.endswith(".squashfs")),
            "scratch.qcow2": (APPLIANCE / "scratch.qcow2").read_bytes(),
        }
        ours = asyncio.run(_verified(Path(folder), content))
    floor = [
        _seconds(lambda: subprocess.run(["sha256sum", *map(str, paths)], check=True, stdout=subprocess.DEVNULL))
        for _ in ours
    ]
    yield against("store: verify the appliance before a boot", ours, "s", "sha256sum of the same bytes", floor, 1.15)
    yield plain("store: verification rate", [size / one / 1e6 for one in ours], "MB/s")


@bench("store: mend by pieces")
def mend() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        ratios = asyncio.run(_mended(Path(folder)))
    yield at_most("store: bytes to mend one flipped bit / one piece", ratios, "x", 1.02)


@bench("store: check in the background")
def check() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        path = Path(folder) / "disk"
        chance = random.Random(5)
        data = b"".join(chance.randbytes(PIECE_BYTES) for _ in range(64))
        path.write_bytes(data)
        pieces = [hashlib.sha256(data[at : at + PIECE_BYTES]).hexdigest() for at in range(0, len(data), PIECE_BYTES)]
        target = {"name": "disk", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pieces": pieces}
        order = {"files": [{"path": str(path), "target": target}]}
        rates = [len(data) / _seconds(lambda: asyncio.run(run_worker("verify", order))) / 1e6 for _ in range(5)]
    yield at_least("store: monthly check, its process included", rates, "MB/s", 100)


@bench("overlay creation")
def overlay() -> Iterator[Row]:
    template = APPLIANCE / "scratch.qcow2"
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as folder:
        ours = asyncio.run(_overlays(Path(folder), template))
        copies = [_seconds(lambda: _copied(template, Path(folder) / "copy")) for _ in ours]
        size = (Path(folder) / "scratch.qcow2").stat().st_size
    yield at_most(
        "overlay: a VM's own disk over the shared one",
        ours,
        "s",
        0.1,
        peer="a copy of it, synced",
        peer_value=statistics.median(copies),
    )
    yield plain(
        "overlay: bytes on the disk",
        [size / 1e6],
        "MB",
        peer="the shared template",
        peer_value=template.stat().st_size / 1e6,
    )


async def _verified(folder: Path, content: dict[str, bytes]) -> list[float]:
    async with Operator(folder / "operator").serving() as operator:
        await asyncio.to_thread(operator.publish, "1.0", content)
        volunteer = Volunteer(folder / "client", operator.wish)
        await volunteer.fetch()
        times = []
        for _ in range(TRIALS):
            began = time.perf_counter()
            await volunteer.verified()
            times.append(time.perf_counter() - began)
    return times


async def _mended(folder: Path) -> list[float]:
    async with Operator(folder / "operator").serving() as operator:
        await asyncio.to_thread(operator.publish)
        volunteer = Volunteer(folder / "client", operator.wish)
        await volunteer.fetch()
        ratios = []
        for number in range(3):
            operator.sent.clear()
            volunteer.harm("root.squashfs", number * PIECE_BYTES + number)
            await _notice(volunteer)
            await volunteer.fetch()
            ratios.append(operator.sent_of("root.squashfs") / PIECE_BYTES)
            assert volunteer.is_right(CONTENT)
    return ratios


async def _notice(volunteer: Volunteer) -> None:
    try:
        await volunteer.verified()
    except ApplianceAltered:
        return
    raise AssertionError("a flipped bit was not noticed")


async def _overlays(folder: Path, template: Path) -> list[float]:
    qemu, vm = await find_qemu(), VmFolder(folder)
    spec = VmSpec("bench", "bench", 1, 256, (Medium(MediumRole.SCRATCH, template),))
    assert scratch_template(spec) == template
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        await make_scratch(qemu, vm, template)
        times.append(time.perf_counter() - began)
    return times


def _copied(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
