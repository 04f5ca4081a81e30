"""The test that matters: what somebody at the computer feels while a guest is busy on all its processors."""

import asyncio
import contextlib
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from client.preferences.types import Processor
from client.throttle.governor import system_means
from tests.bench.boinc_task import boinc_at_work
from tests.bench.harness import Row, at_most, bench, plain
from tests.bench.interactive import Felt, Somebody, somebody
from tests.bench.throttled import Steered, busy_vms, executed_s
from tests.helpers.screen import open_screen

ROUNDS, SLICE_S = 3, 7.0
PEER = "boinc-client at its defaults"


@dataclass
class Compared:
    """What was felt, slice by slice, without the load and with it; used: by the load, in percent of one processor."""

    without: list[Felt] = field(default_factory=list)
    with_it: list[Felt] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    def p99(self, what: str) -> tuple[list[float], list[float], list[float]]:
        """Milliseconds without, with, and their ratios; 99th percentiles of each slice."""
        without, with_it = ([_p99(getattr(one, what)) for one in felt] for felt in (self.without, self.with_it))
        return without, with_it, [one / other for one, other in zip(with_it, without, strict=True)]


@bench("throttle interactive")
def interactive() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        screen = stack.enter_context(open_screen(folder / "screen", tray=False))
        person = stack.enter_context(somebody(screen))
        ours = asyncio.run(_with_our_guest(folder, person))
        peers, why_not = asyncio.run(_with_boinc(folder, person))
    for what in ("frames", "keys"):
        label = f"throttle interactive, {what}: 99th percentile"
        without, with_it, worse = ours.p99(what)
        yield plain(f"{label} without us", without, "ms")
        yield plain(f"{label} with our guest", with_it, "ms")
        peer = statistics.median(peers.p99(what)[2]) if peers.with_it else None
        yield at_most(f"{label}, with by without", worse, "x", 1.10, peer=f"{PEER}{why_not}", peer_value=peer)
    for who, compared in (("our guest", ours), (PEER, peers)):
        if compared.used:
            yield plain(f"throttle interactive: processor got by {who}", compared.used, "% of core")


async def _with_our_guest(folder: Path, person: Somebody) -> Compared:
    cpus = os.cpu_count() or 1
    async with busy_vms(folder, cpus=cpus) as (_, (vm,)), Steered(folder, system_means(), [vm], cpus) as steered:
        await steered.aim(_balanced_percent(cpus))

        async def let(go_on: bool) -> None:
            # As the peer is held too; the monitor of a guest that waits for all others would be slow to answer.
            for pid in vm.pids:
                os.kill(pid, signal.SIGCONT if go_on else signal.SIGSTOP)

        try:
            return await _in_turn(person, let, lambda: executed_s(vm.pids))
        finally:
            await let(True)


async def _with_boinc(folder: Path, person: Somebody) -> tuple[Compared, str]:
    """Apart from ours: BOINC would take our guest for somebody else's work, and do nothing."""
    with boinc_at_work(folder / "boinc", os.cpu_count() or 1) as boinc:
        if not boinc.pid:
            return Compared(), f": {boinc.why_not}"

        async def let(go_on: bool) -> None:
            boinc.hold(not go_on)

        return await _in_turn(person, let, boinc.used_s), ""


async def _in_turn(person: Somebody, let: Callable[[bool], Awaitable[None]], used_s: Callable[[], float]) -> Compared:
    compared = Compared()
    for _ in range(ROUNDS):
        await let(False)
        compared.without.append(await asyncio.to_thread(person.work, SLICE_S))
        await let(True)
        began, before_s = time.monotonic(), used_s()
        compared.with_it.append(await asyncio.to_thread(person.work, SLICE_S))
        # A task that has ended and begun anew has counted from the beginning.
        compared.used.append(100 * max(0.0, used_s() - before_s) / (time.monotonic() - began))
    return compared


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _balanced_percent(cpus: int) -> float:
    """What all guests get while somebody uses the computer, as the preferences have it from the first."""
    balanced = Processor()
    return float(balanced.percent * max(1, cpus * balanced.share_percent // 100))
