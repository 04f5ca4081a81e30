import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from client.commands import Command, Finish, Quit, Start, WhatOfWork
from client.core import Core, Make
from client.hypervisor.driver import Driver, DriverReport
from client.hypervisor.errors import NoHypervisor
from client.paths import Paths
from client.preferences.store import Preferences, load
from client.service.quota import Outcome, Quota
from client.snapshot import Activity, ClientSnapshot, JobState, JobView, Totals, VmState, VmView


async def no_driver(paths: Paths, preferences: Preferences) -> tuple[Driver, DriverReport]:
    raise NoHypervisor(())


class Asked(Core):
    """A core that only notes what it is asked for."""

    def __init__(self, base: Path) -> None:
        paths = Paths(base)
        super().__init__(paths, load(paths.preferences, ()), Make(driver=no_driver))
        self.asked: list[Command] = []

    async def handle(self, command: Command) -> None:
        self.asked.append(command)


class Run:
    def __init__(self, base: Path, jobs: int) -> None:
        self.core = Asked(base)
        self.quota = Quota(self.core, jobs)
        self.now = self.core.board.snapshot()

    async def see(
        self, job: JobView | None, activity: Activity = Activity.WORKING, accepted: int = 0, failed: int = 0
    ) -> list[Command]:
        """What the core is asked when it shows this."""
        vm = VmView("work-1", "work-1", VmState.RUNNING, "qemu", job=job)
        totals = Totals(jobs_accepted=accepted, jobs_failed=failed)
        self.quota.look(replace(self.now, vms=(vm,), activity=activity, totals=totals))
        await asyncio.sleep(0)
        asked, self.core.asked = self.core.asked, []
        return asked


def job(state: JobState, job_id: str = "a") -> JobView:
    return JobView(job_id, state)


async def test_the_last_job_is_the_last_one_taken(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    assert await run.see(job(JobState.WANTING, "")) == []
    assert await run.see(job(JobState.EXECUTING)) == []
    assert await run.see(job(JobState.DONE), accepted=1) == []
    assert await run.see(job(JobState.GETTING_INPUT, "b"), accepted=1) == [Finish()]
    assert await run.see(job(JobState.EXECUTING, "b"), accepted=1) == []
    assert await run.see(job(JobState.DONE, "b"), accepted=2) == [Quit(WhatOfWork.STOP)]
    assert await run.see(job(JobState.DONE, "b"), Activity.STOPPED, accepted=2) == []
    assert run.quota.outcome == Outcome(2, 0)
    assert run.quota.outcome.exit_code(2) == 0


async def test_a_failed_job_counts_and_the_run_fails(tmp_path: Path) -> None:
    run = Run(tmp_path, 1)
    assert await run.see(job(JobState.EXECUTING)) == [Finish()]
    assert await run.see(job(JobState.FAILED), failed=1) == [Quit(WhatOfWork.STOP)]
    assert run.quota.outcome.exit_code(1) == 1


async def test_a_guest_that_went_without_the_last_job_starts_again(tmp_path: Path) -> None:
    run = Run(tmp_path, 1)
    assert await run.see(job(JobState.EXECUTING)) == [Finish()]
    assert await run.see(job(JobState.EXECUTING), Activity.STOPPED) == [Start()]
    assert await run.see(job(JobState.WANTING, "")) == []
    assert await run.see(job(JobState.EXECUTING)) == [Finish()]
    assert await run.see(job(JobState.DONE), accepted=1) == [Quit(WhatOfWork.STOP)]


async def test_a_job_that_nobody_judges_ends_the_run_as_not_accepted(tmp_path: Path) -> None:
    run = Run(tmp_path, 1)
    await run.see(job(JobState.EXECUTING))
    assert await run.see(job(JobState.DONE)) == []
    assert await run.see(job(JobState.IDLE, "")) == []
    assert await run.see(job(JobState.IDLE, ""), Activity.STOPPED) == [Quit(WhatOfWork.STOP)]
    assert run.quota.outcome.exit_code(1) == 1


@pytest.mark.parametrize("accepted", [0, 5])
async def test_without_a_number_it_only_counts(tmp_path: Path, accepted: int) -> None:
    run = Run(tmp_path, 0)
    assert await run.see(job(JobState.EXECUTING), accepted=accepted) == []
    assert run.quota.outcome.exit_code(0) == 0
    assert isinstance(run.now, ClientSnapshot)
