"""From the command to its effect: Start to a job that executes, Pause to a held guest."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from client import filenames
from client.paths import Paths
from client.service import control
from tests.bench.faces import (
    Headless,
    Snapshot,
    busiest_thread,
    is_executing,
    last_executed_at,
    open_face,
    state_of,
)
from tests.bench.harness import Row, bench, plain
from tests.helpers.program import Site, open_site

RUNS, PAUSES = 5, 11
#: so many that no job ends while it is measured
EVENTS = "20000"


@bench("start to first job executing")
def start() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name, open_site(Path(name) / "site") as site:
        site.submit("--events", EVENTS, "--number", str(2 * RUNS + 2))
        base = Path(name) / "base"
        # This run fetches the appliance and does not count.
        _cold(base, site)
        pairs = [(_cold(base, site), _restored(base, site)) for _ in range(RUNS)]
    yield plain("start: Start to job executing, cold (TCG)", [cold for cold, _ in pairs], "s")
    yield plain("start: Start to job executing, from saved state (TCG)", [restored for _, restored in pairs], "s")


@bench("pause latency")
def pause() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name, open_site(Path(name) / "site") as site:
        site.submit("--events", EVENTS, "--number", "1")
        base = Path(name) / "base"
        with open_face(base, "headless", site, "--json", "--start") as process:
            Headless(base, process).until(is_executing)
            stopped, held, goes_on = asyncio.run(_pauses(Paths(base)))
    yield plain("pause latency: command to guest's processor held", stopped, "ms")
    yield plain("pause latency: command to snapshot that says paused", held, "ms")
    yield plain("pause latency: resume to snapshot that says running", goes_on, "ms")


def _cold(base: Path, site: Site) -> float:
    """Boots a VM that is not defined yet; it is saved at the end."""
    for folder in ("vms", "context"):
        shutil.rmtree(base / folder, ignore_errors=True)
    return _start(base, site)


def _restored(base: Path, site: Site) -> float:
    assert (base / "vms" / "work-1" / "saved.state").exists()
    return _start(base, site)


def _start(base: Path, site: Site) -> float:
    with open_face(base, "headless", site, "--json") as process:
        client = Headless(base, process)
        began = time.perf_counter()
        client.ask("start")
        taken = client.until(is_executing) - began
        client.quit()
    # What was asked for is kept; the next run is to wait for its own Start.
    (base / filenames.INTENT).unlink()
    return taken


async def _pauses(paths: Paths) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds to a processor that is held, to the snapshot that says so, and from Resume to the one that does."""
    snapshots = control.watch(paths)
    await anext(snapshots)
    processor = busiest_thread(int((paths.vms / "work-1" / filenames.VM_PID).read_text()))
    stopped, held, goes_on = [], [], []
    for number in range(PAUSES):
        # At another moment of the program's own second each time.
        await asyncio.sleep(0.3 + 0.07 * number)
        began = time.perf_counter()
        watching = asyncio.create_task(asyncio.to_thread(last_executed_at, processor))
        held.append(await _until(snapshots, paths, "pause", "paused"))
        stopped.append((await watching - began) * 1000)
        await asyncio.sleep(0.3 + 0.07 * number)
        goes_on.append(await _until(snapshots, paths, "resume", "running"))
    return stopped, held, goes_on


async def _until(snapshots: AsyncIterator[Snapshot], paths: Paths, word: str, state: str) -> float:
    """Milliseconds from a command to the first snapshot in which the VM is in a state."""
    began = time.perf_counter()
    reply = asyncio.create_task(control.ask(paths, word))
    async for snapshot in snapshots:
        if state_of(snapshot) == state:
            break
    taken = time.perf_counter() - began
    await reply
    return taken * 1000
