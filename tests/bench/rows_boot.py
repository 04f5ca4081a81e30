"""Power-on to XMPP session: the program's way against bare QEMU, in pairs, on the same files and devices."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from client.appliance.manifest import read_manifest
from tests.bench.boots import VM_ID, Pair
from tests.bench.harness import Row, against, at_most, bench
from tests.helpers.program import APPLIANCE, open_site

PAIRS = 11
PEER = "bare QEMU, same files and devices"


@bench("boot to XMPP session")
def boot() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        ours, bare = _measure(Path(name))
    yield against("boot: power-on to XMPP session (TCG)", ours, "s", PEER, bare, 1.10)


def _measure(folder: Path) -> tuple[list[float], list[float]]:
    with open_site(folder / "site") as site:
        return asyncio.run(_pairs(Pair(folder / "base", site.project)))


@bench("boot medium: size of the ISO")
def iso() -> Iterator[Row]:
    appliance = read_manifest(APPLIANCE)
    assert appliance.iso is not None
    size = appliance.files[appliance.iso].size_bytes
    yield at_most("boot medium: size of the ISO", [size / 1e6], "MB", 32)


async def _pairs(pair: Pair) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    bare: list[float] = []
    try:
        await pair.fetch()
        # One boot that does not count brings the files into memory.
        await pair.ours()
        for number in range(PAIRS):
            ways = [(ours, pair.ours), (bare, pair.bare)]
            for times, way in ways if number % 2 else reversed(ways):
                times.append(await way())
    finally:
        await pair.driver.destroy(VM_ID)
        await pair.driver.close()
    return ours, bare
