"""A guest that reboots by itself: it is noticed and said, and its job goes on.

The core runs in the test's own process here, since only its own control connection to QEMU can have the guest do it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from client.commands import Quit, Start, WhatOfWork
from client.core import VM_ID, Core, Make
from client.hypervisor.driver import Driver, DriverReport
from client.hypervisor.qemu.driver import QemuDriver
from client.paths import Paths
from client.preferences.store import Preferences
from client.service.session import attach, find_driver
from client.snapshot import ClientSnapshot, JobState
from tests.helpers.paced_job import submit_paced
from tests.helpers.program import Site, processes_of

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]
#: the chip set's reset register; a write of 6 by the guest's processor reboots it. Source: ICH9 data sheet, RST_CNT.
REBOOT = "o /1b 0xcf9 0x6"


def is_booting(snapshot: ClientSnapshot | None) -> bool:
    return snapshot is not None and any(vm.boot_fraction < 1 for vm in snapshot.vms)


class Watched:
    """A core and what it says."""

    def __init__(self, base: Path, site: Site) -> None:
        self.told: dict[str, str] = {}
        self.boots = 0
        self.last: ClientSnapshot | None = None
        self.driver: Driver | None = None
        attach(Paths(base), site.project)
        preferences = Preferences({"hypervisor.accelerator": "tcg"})
        self.core = Core(Paths(base), preferences, Make(driver=self._find))
        self.core.load()
        self.core.board.subscribe(self._see)

    async def _find(self, paths: Paths, preferences: Preferences) -> tuple[Driver, DriverReport]:
        self.driver, report = await find_driver(paths, preferences)
        return self.driver, report

    def _see(self, snapshot: ClientSnapshot) -> None:
        self.boots += is_booting(snapshot) and not is_booting(self.last)
        self.last = snapshot
        self.told |= {problem.code: f"{problem.text} {problem.doing}" for problem in snapshot.problems}

    @property
    def done(self) -> int:
        job = self.last.vms[0].job if self.last and self.last.vms else None
        return job.done_units if job is not None and job.state is JobState.EXECUTING else 0

    async def until(self, condition: Callable[[], object], limit_s: float) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():
                await asyncio.sleep(0.1)

    async def reboot_guest(self) -> None:
        assert isinstance(self.driver, QemuDriver)
        monitor = await self.driver._machine(VM_ID).connect()
        await monitor.execute("human-monitor-command", command_line=REBOOT)


@contextlib.asynccontextmanager
async def watched(base: Path, site: Site) -> AsyncIterator[Watched]:
    """A core that runs and works; it leaves at the end and must leave nothing behind."""
    one = Watched(base, site)
    await one.core.handle(Start())
    task = asyncio.create_task(one.core.run())
    try:
        yield one
    finally:
        await one.core.handle(Quit(WhatOfWork.STOP))
        async with asyncio.timeout(100):
            await task
    # A relay looks once a second whether its VM is still there.
    await one.until(lambda: not processes_of(base), 5)


async def test_a_guest_that_reboots_goes_on_with_its_job(tmp_path: Path, site: Site) -> None:
    job_id = submit_paced(site, tmp_path, steps_after=12)
    async with watched(tmp_path / "base", site) as one:
        await one.until(lambda: one.done >= 8, 120)
        before, boots = one.done, one.boots
        await one.reboot_guest()
        await one.until(lambda: "guest-rebooted" in one.told, 60)
        assert one.told["guest-rebooted"] == (
            "The virtual machine rebooted by itself. Its job goes on from its last checkpoint."
        )
        await one.until(lambda: one.boots > boots, 60)
        await one.until(lambda: one.done > 0 and not is_booting(one.last), 120)
        assert one.done >= before - 2
        await one.until(lambda: one.last is not None and one.last.totals.jobs_accepted == 1, 150)
    assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)
