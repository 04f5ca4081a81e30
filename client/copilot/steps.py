"""A job from its input to jobDone, step by step; one taken up again begins at the step that its record says."""

import asyncio
import contextlib
import os
from typing import Any, Final

from client.copilot import report as states
from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.conversation import Conversation
from client.copilot.errors import JobFailed
from client.copilot.handed import HandedIn
from client.copilot.handover import Handover
from client.copilot.lease import LeaseKeeper
from client.copilot.report import Progress, Report
from client.copilot.runner import JobRunner, Outcome

#: How often a job left behind is taken up again without having been suspended on purpose.
MAX_STARTS: Final = 3
#: How often its output is, which costs nothing but the upload and is worth all of the job's time.
MAX_HAND_INS: Final = 20


class JobSteps:
    """Does jobs, one at a time.

    Args:
        manager: bare JID of all managers.
        suspending: set when the agent is to end at once; the job then stops where it is.
        patience_s: how long a job that was taken up again waits for the answer to its claim before it goes on.
        durable: what a record says has reached the disk before it says so.
    """

    def __init__(
        self,
        talk: Conversation,
        manager: str,
        checkpoint: Checkpoint,
        handover: Handover,
        handed: HandedIn,
        runner: JobRunner,
        report: Report,
        suspending: asyncio.Event,
        patience_s: float,
        *,
        durable: bool,
    ) -> None:
        self._talk = talk
        self._manager = manager
        self._checkpoint = checkpoint
        self._handover = handover
        self._handed = handed
        self._runner = runner
        self._report = report
        self._suspending = suspending
        self._patience_s = patience_s
        self._durable = durable

    async def take(self, record: JobRecord, lease: LeaseKeeper, *, fresh: bool) -> None:
        """From input to jobDone, or until a suspension.

        Args:
            fresh: it was never begun.

        Raises:
            JobFailed: it cannot reach its end here.
        """
        if not fresh:
            self._check_starts(record)
            # Counted before anything is done that may be what breaks the computer down.
            await self._save(record)
        await self._wait_claimed(lease)
        if record.exit_status is None:
            if fresh or record.state in {"", states.GETTING_INPUT}:
                await self._get_input(record)
            await self._execute(record)
        if self._suspending.is_set():
            return
        if record.job.validation_script and record.validate_status is None:
            await self._enter(record, states.VALIDATING)
            record.validate_status = await self._runner.validate(record)
            if self._suspending.is_set():
                record.validate_status = None
                return
            record.starts = 0
        await self._hand_in(record, lease)

    def _check_starts(self, record: JobRecord) -> None:
        job = record.job
        runs = record.exit_status is None or (bool(job.validation_script) and record.validate_status is None)
        limit = MAX_STARTS if runs else MAX_HAND_INS
        if record.starts > limit:
            raise JobFailed(job.id, "start", f"the computer broke down under it {limit} times")

    async def _wait_claimed(self, lease: LeaseKeeper) -> None:
        """A while; a computer whose manager is down works on rather than idles, the claim still guards the output."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await lease.settled.wait()

    async def _get_input(self, record: JobRecord) -> None:
        await self._enter(record, states.GETTING_INPUT)
        await self._handover.fetch(record)

    async def _execute(self, record: JobRecord) -> None:
        if self._durable:
            # Before the record says that the input is there, it is.
            await asyncio.to_thread(os.sync)
        await self._enter(record, states.EXECUTING)
        if record.job.pilot_service:
            # Loaded when a job asks for it: a guest's start is counted in tenths of a second.
            from client.copilot.pilot import pilot_token

            async with pilot_token(self._talk, self._manager, record, self._runner):
                outcome = await self._run_job(record)
        else:
            outcome = await self._run_job(record)
        record.cpu_s += outcome.cpu_s
        record.elapsed_s += outcome.elapsed_s
        if not self._suspending.is_set():
            record.exit_status = outcome.status
            record.starts = 0
        if self._durable:
            await asyncio.to_thread(os.sync)
        await self._save(record)

    async def _run_job(self, record: JobRecord) -> Outcome:
        return await self._runner.execute(
            record,
            lambda progress: self._progress(record, progress),
            lambda lines, left_out: self._report.output(record.job.id, lines, left_out),
        )

    async def _hand_in(self, record: JobRecord, lease: LeaseKeeper) -> None:
        async def enter(state: str) -> None:
            await self._enter(record, state, exit_code=record.exit_status)

        await lease.settled.wait()
        await self._handover.hand_in(record, enter, lease.settled.wait)
        # On the disk it stays as it is until that is confirmed.
        record.state = states.DONE
        self._handed.begin(record)
        self._report.job(record.job.id, states.DONE, exit_code=record.exit_status, cpu_s=round(record.cpu_s, 3))

    async def _enter(self, record: JobRecord, state: str, **more: Any) -> None:
        record.state = state
        await self._save(record)
        self._report.job(record.job.id, state, title=record.job.title or record.job.command[:200], **more)

    async def _save(self, record: JobRecord) -> None:
        try:
            await self._checkpoint.write(record)
        except OSError as failed:
            raise JobFailed(record.job.id, "disk-full", str(failed)) from failed

    def _progress(self, record: JobRecord, progress: Progress) -> None:
        self._report.job(
            record.job.id, states.EXECUTING, done=progress.done, total=progress.total, unit=progress.unit[:64]
        )
