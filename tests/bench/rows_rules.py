"""How soon guests are out of the way: at the volunteer's input, and when memory is asked back."""

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from client import filenames
from client.clock import Clock
from client.commands import Quit, Start, WhatOfWork
from client.core import VM_ID, Core, Make
from client.host.part import Wanted
from client.host.registry import sensors_for
from client.paths import Paths
from client.preferences.limits import limits_of
from client.preferences.store import Preferences, load, save
from client.preferences.types import Limits
from client.project.attach import attach
from client.regulator import Regulator
from client.service.regulation import AT_ONCE
from client.service.session import find_driver
from client.snapshot import VmState
from client.throttle import policy
from client.throttle.governor import Governor
from client.throttle.guard import Guard
from tests.bench.faces import busiest_thread, last_executed_at
from tests.bench.harness import Row, bench, plain
from tests.helpers.program import open_site
from tests.helpers.screen import Screen, open_screen

INPUTS, SAVES = int(os.environ.get("INPUTS", "100")), 5
#: so many that no job ends while it is measured
EVENTS = "20000"
#: in place of minutes: nothing but the wait is shorter for it
IDLE_S = 1.0
LIMIT_S = 120.0
SOON = {"in-use", "memory-budget"}
#: memory is left to the file, which is changed while it runs
OPEN = {key: value for key, value in AT_ONCE.items() if not key.startswith("memory.")}
WHENEVER_IDLE = MappingProxyType({**OPEN, "when.in_use": False, "hypervisor.accelerator": "tcg"})


@bench("throttle input: how soon guests stop at a key, and go on")
def inputs() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        stopped, back = asyncio.run(_at_input(Path(name)))
    row = plain(f"throttle input: key to guest that executes no more, p95 of {len(stopped)}", stopped, "ms")
    late = statistics.quantiles(stopped, n=20)[-1]
    yield replace(row, value=late, goal="<= 500", met=late <= 500)
    row = plain(f"throttle input: idle for the time that was set to guest that runs, p95 of {len(back)}", back, "ms")
    late = statistics.quantiles(back, n=20)[-1]
    yield replace(row, value=late, goal="<= 1000", met=late <= 1000)


@bench("throttle memory: how soon it is free when it is asked back")
def memory() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        freed, mib = asyncio.run(_at_need(Path(name)))
    row = plain(
        f"throttle memory: decision to free, slowest of {len(freed)}, guest of {mib:.0f} MiB resident", freed, "s"
    )
    yield replace(row, value=max(freed), goal="<= 3", met=max(freed) <= 3)


async def _at_input(folder: Path) -> tuple[list[float], list[float]]:
    """Milliseconds from a key to the processor's last instruction, and from the end of the idle time to RUNNING."""
    stopped, back = [], []
    async with _working(folder) as (core, screen):
        processor = busiest_thread(_pid(folder))
        for number in range(INPUTS):
            # At another moment of the program's own second each time.
            await asyncio.sleep(0.3 + 0.037 * (number % 27))
            watching = asyncio.create_task(asyncio.to_thread(last_executed_at, processor))
            pressed = time.perf_counter()
            await asyncio.to_thread(screen.xdotool, "key", "a")
            await _until(lambda: _state(core) is VmState.PAUSED)
            stopped.append((await watching - pressed) * 1000)
            await _until(lambda: _state(core) is VmState.RUNNING)
            back.append((time.perf_counter() - pressed - IDLE_S) * 1000)
    return stopped, back


async def _at_need(folder: Path) -> tuple[list[float], float]:
    """Seconds from the decision that memory is needed to the end of the VM's processes; its resident memory, MiB."""
    freed, mib = [], 0.0
    async with _working(folder) as (core, _):
        preferences = Paths(folder / "base").preferences
        for _ in range(SAVES):
            await asyncio.sleep(2)
            view = core.board.snapshot().vms[0]
            mib = max(mib, view.memory_mib or 0.0)
            save(preferences, "memory.percent_idle", 1)
            await _until(lambda: (said := core.board.facts.policy) is not None and said.rung == "save")
            decided = time.perf_counter()
            await _until(lambda: _state(core) is VmState.SAVED)
            freed.append(time.perf_counter() - decided)
            save(preferences, "memory.percent_idle", 90)
            await _until(lambda: _state(core) is VmState.RUNNING)
    return freed, mib


@contextlib.asynccontextmanager
async def _working(folder: Path) -> AsyncIterator[tuple[Core, Screen]]:
    """A core in this process with a guest that computes, on a screen of its own."""
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(open_screen(folder / "screen", tray=False))
        site = stack.enter_context(open_site(folder / "site"))
        site.submit("--events", EVENTS, "--number", "1")
        paths = Paths(folder / "base")
        paths.make()
        attach(paths, site.project)
        preferences = load(paths.preferences, implied=WHENEVER_IDLE)
        core = Core(paths, preferences, Make(driver=find_driver, regulator=_regulator_on(screen)))
        core.load()
        running = asyncio.create_task(core.run())
        try:
            await core.handle(Start())
            await _until(lambda: bool((vm := core.board.snapshot().project_vm) and vm.job and vm.job.done_units))
            yield core, screen
        finally:
            await core.handle(Quit(WhatOfWork.STOP))
            await running


def _regulator_on(screen: Screen) -> Callable[[Paths, Preferences, Clock, Callable[[], None]], Regulator]:
    # What waits ten seconds between two runs would make an hour of a hundred keys.
    at_once = tuple(replace(rule, under_s=0.0) if rule.name in SOON else rule for rule in policy.RULES)
    setattr(policy, "RULES", at_once)  # noqa: B010

    def build(paths: Paths, preferences: Preferences, clock: Clock, wake: Callable[[], None]) -> Regulator:
        sensors = sensors_for(Wanted(mark_s=IDLE_S / 2), clock=clock, env=screen.env)
        return Regulator(preferences, clock, sensors, Governor(Guard(paths.guard)), paths.base, wake, _soon_idle)

    return build


def _soon_idle(preferences: Preferences, project: str) -> Limits:
    limits = limits_of(preferences, project)
    return replace(limits, when=replace(limits.when, idle_after_s=int(IDLE_S)))


def _state(core: Core) -> VmState:
    keeper = core.machine(VM_ID)
    return keeper.info.state if keeper is not None else VmState.ABSENT


def _pid(folder: Path) -> int:
    return int((folder / "base" / filenames.VMS / VM_ID / filenames.VM_PID).read_text())


async def _until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not reached():
            await asyncio.sleep(0.002)
