"""`--jobs N`: counts the jobs that end in a run, and leaves when enough have.

The last of them is asked for as a volunteer would ("finish after this job"), so that the agent takes none that nobody
waits for. A guest that broke down under that job ends without it: then the work goes on.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from client.commands import Finish, Quit, Start, WhatOfWork
from client.core import Core
from client.log import logger
from client.snapshot import Activity, ClientSnapshot, JobState, JobView

_IN_HAND: Final = frozenset(JobState) - {JobState.IDLE, JobState.WANTING, JobState.DONE, JobState.FAILED}


@dataclass(frozen=True)
class Outcome:
    """Jobs that ended in a run: accepted by the project, or failed and refused."""

    accepted: int = 0
    failed: int = 0

    def exit_code(self, jobs: int) -> int:
        """0 if all jobs that were asked for were accepted; a run without a number of jobs ends well."""
        return 0 if not jobs or (self.accepted >= jobs and not self.failed) else 1


class Quota:
    """Watches the snapshots of a core. jobs: how many; 0: never leaves.

    Attributes:
        outcome: of this run so far.
    """

    def __init__(self, core: Core, jobs: int) -> None:
        self.outcome = Outcome()
        self._core = core
        self._jobs = jobs
        self._first = core.board.facts.totals
        self._is_last = False
        self._unjudged = ""
        self._is_leaving = False
        self._commands: set[asyncio.Task[None]] = set()
        core.board.subscribe(self.look)

    def look(self, snapshot: ClientSnapshot) -> None:
        """Take a snapshot; commands the core if one is due."""
        self.outcome = self._count(snapshot)
        if not self._jobs or self._is_leaving:
            return
        ended = self.outcome.accepted + self.outcome.failed
        job = snapshot.project_vm.job if snapshot.project_vm else None
        if ended >= self._jobs:
            self._leave()
        elif not self._is_last:
            if job is not None and job.state in _IN_HAND and ended + 1 >= self._jobs:
                self._is_last = True
                self._command(self._core.handle(Finish()))
        else:
            self._watch_last(snapshot.activity, job)

    def _count(self, snapshot: ClientSnapshot) -> Outcome:
        now, first = snapshot.totals, self._first
        # A job that failed before and is accepted now leaves one count for the other.
        failed = max(0, now.jobs_failed - first.jobs_failed)
        return Outcome(now.jobs_accepted - first.jobs_accepted, failed)

    def _watch_last(self, activity: Activity, job: JobView | None) -> None:
        if job is not None and job.job_id:
            self._unjudged = job.job_id if job.state is JobState.DONE else ""
        if activity is not Activity.STOPPED:
            return
        if self._unjudged:
            logger("core").warning("The project took the output of job %s but has not judged it yet", self._unjudged)
            self._leave()
            return
        # The guest went off without the job; it is taken up again, by whoever gets it.
        self._is_last = False
        self._command(self._core.handle(Start()))

    def _leave(self) -> None:
        self._is_leaving = True
        self._command(self._core.handle(Quit(WhatOfWork.STOP)))

    def _command(self, command: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(command)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
