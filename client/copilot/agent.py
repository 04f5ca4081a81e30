"""The agent: asks for a job, does it, hands in the output, asks for the next; it never ends because of a job.

    idle -> wanting -> getting input -> executing -> validating -> wanting output place -> putting output -> done
                               any of these -> failed(cause) -> wanting

`Agent.run` returns after `finish` (when the job in hand is done) or `suspend` (at once, the job stays on the scratch
disk). All waits, limits and repeats are in `Timers`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.copilot import report as states
from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.conversation import Conversation, Delivered, Messenger
from client.copilot.errors import JobFailed
from client.copilot.handed import HandedIn
from client.copilot.handover import Handover
from client.copilot.intake import Intake, record_of
from client.copilot.lease import LeaseKeeper
from client.copilot.messages import (
    EXTENSIONS,
    HTTPS,
    ExtendLease,
    JobFailedReport,
    LeaseExtended,
    LeaseLost,
)
from client.copilot.report import Report
from client.copilot.runner import JobRunner
from client.copilot.steps import JobSteps
from client.copilot.storage.files import FileTransfer, WebTransfer
from client.copilot.timers import Timers
from client.copilot.unasked import Unasked

log = logging.getLogger("agent")

#: How long `run` waits at its end for confirmations.
LAST_WORDS_S: Final = 10.0
#: How long it then waits for the verdict on the last job.
VERDICT_PATIENCE_S: Final = 60.0
#: How long it first waits for a redirect of the last jobDone, if the manager is one of the original's.
REDIRECT_PATIENCE_S: Final = 1.0
#: How long the next job waits for the confirmation of the one before; at most half of its lease.
CONFIRMATION_PATIENCE_S: Final = 60.0
#: How long an agent that ends waits for that; without it the job is claimed at the next start.
SHORT_PATIENCE_S: Final = 2.0


@dataclass(frozen=True)
class AgentSettings:
    """What an agent needs to know.

    Attributes:
        job_manager: bare JID of the project's managers.
        state_dir: existing folder for the record of the job in hand.
        agent_host: name of this computer as told to the managers.
        durable: the record survives a power cut (at the price of a wait for the disk).
        max_jobs: end after that many jobs; 0 for no limit.
        about: attributes of this computer that managers are told besides what is found.
    """

    job_manager: str
    state_dir: Path
    agent_host: str
    durable: bool = True
    max_jobs: int = 0
    about: Mapping[str, str | int] = field(default_factory=dict)
    timers: Timers = field(default_factory=Timers)


@dataclass
class _Work:
    """The job in hand."""

    record: JobRecord
    lease: LeaseKeeper
    steps: "asyncio.Task[None]"


class Agent:
    """See the module. Give the transport `on_info`, `on_state` and `on_bounce` of this object."""

    def __init__(
        self,
        settings: AgentSettings,
        transport: Messenger,
        files: FileTransfer,
        runner: JobRunner,
        report: Report,
        clock: Clock,
        web: WebTransfer | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._runner = runner
        self._report = report
        self._clock = clock
        self._unasked = Unasked(report, self._give_back)
        self._talk = Conversation(transport, settings.job_manager, self._unasked.hear)
        self._checkpoint = Checkpoint(settings.state_dir, durable=settings.durable)
        timers = settings.timers
        self._intake = Intake(
            self._talk,
            settings.job_manager,
            settings.agent_host,
            settings.state_dir,
            timers,
            lambda: not self._over(),
            lambda: transport.connected,
            EXTENSIONS if web is None else EXTENSIONS | {HTTPS},
            settings.about,
        )
        handover = Handover(self._talk, settings.job_manager, settings.agent_host, files, runner, timers, web)
        self._handed = HandedIn(self._talk, settings.job_manager, self._checkpoint, runner)
        self._files = files
        self._web = web
        self._suspending = asyncio.Event()
        self._steps = JobSteps(
            self._talk,
            settings.job_manager,
            self._checkpoint,
            handover,
            self._handed,
            runner,
            report,
            self._suspending,
            timers.claim_patience_s,
            durable=settings.durable,
        )
        self._resumes = 0
        self._work: _Work | None = None
        self._finishing = asyncio.Event()
        self._may_redirect = False
        self._jobs = 0

    @property
    def job_id(self) -> str:
        """The job in hand; empty for none."""
        return self._work.record.job.id if self._work else ""

    @property
    def is_finishing(self) -> bool:
        """Whether it was told to end after the job in hand."""
        return self._finishing.is_set()

    # -- what happens to the agent

    async def on_info(self, incoming: Delivered) -> None:
        """For the transport: something was delivered."""
        await self._talk.deliver(incoming)

    def on_state(self, connected: bool) -> None:
        """For the transport: the session began or ended. In a new one, what waits for an answer is asked at once."""
        self._report.xmpp(connected)
        if connected:
            self._talk.session_began()

    def on_bounce(self, message_id: str) -> None:
        """For the transport: a message found nobody."""
        self._talk.on_bounce(message_id)

    def finish(self, *, undo: bool = False) -> None:
        """Ends `run` after the job in hand; at once when there is none. undo: goes on after all."""
        if undo:
            self._finishing.clear()
        else:
            self._finishing.set()

    async def suspend(self, grace_s: float) -> None:
        """Ends `run` now: the job gets `grace_s` to save itself, its record stays for the next start. Idempotent."""
        self._suspending.set()
        if self._work and not self._work.steps.done():
            await self._runner.terminate(grace_s)
            await asyncio.wait([self._work.steps], timeout=1.0)
            self._work.steps.cancel()

    async def save(self) -> None:
        """Brings the record of the job in hand up to date, without stopping anything.

        One that cannot be written leaves that before; the job finds out itself, at its next step.
        """
        # One that is handed in may be confirmed and removed at any moment.
        if self._work and self._work.record.state != states.DONE:
            try:
                await self._checkpoint.write(self._work.record)
            except OSError as failed:
                log.warning("the record of job %s is not written: %s", self.job_id, failed)

    def resumed(self) -> None:
        """Time has passed without us: the job is claimed before its output is handed in.

        The connection is of no use any more; questions are asked again as soon as there is a new session.
        """
        self._transport.reset()
        self._resumes += 1
        self._handed.resumed()
        if self._work:
            self._work.lease.claim()

    # -- the loop

    async def run(self) -> None:
        """Does jobs until `finish`, `suspend` or the settings' number of jobs; a job left behind comes first."""
        try:
            await self._do_jobs()
            if self._suspending.is_set():
                await self._handed.over(SHORT_PATIENCE_S)
            else:
                await self._last_words()
                self._report.job("", states.IDLE)
        finally:
            await self._handed.leave()
            self._checkpoint.close()
        await self._files.close()
        if self._web is not None:
            await self._web.close()

    async def _do_jobs(self) -> None:
        left = self._checkpoint.load()
        if left is not None:
            left.starts += 1
            self._report.log("agent", "info", f"takes up job {left.job.id} again ({left.state})")
            await self._do(left, fresh=False, claim=True)
        while not self._over():
            resumes = self._resumes
            record = await self._next_job()
            if record is not None and self._unasked.is_last(record.job.id, record.lease_id):
                await self._confirm_last(record)
            elif record is not None and await self._has_room(record):
                # A computer that was paused since it asked may have got the job long ago.
                await self._do(record, fresh=True, claim=self._resumes != resumes)

    async def _confirm_last(self, record: JobRecord) -> None:
        """The last job comes again: the manager that gave it does not know yet that it came, let alone that it ended.

        Where a storage manager is slow, it would be done twice. A lease that is extended is one that came.
        """
        log.info("job %s comes again, and is not done twice", record.job.id)
        extend = ExtendLease(record.job.id, record.lease_id)
        limit_s = self._settings.timers.store_answer_s
        kinds = (LeaseExtended, LeaseLost)
        await self._talk.ask("lease", record.manager, extend, *kinds, timeout_s=limit_s, job_id=record.job.id)

    async def _has_room(self, record: JobRecord) -> bool:
        """Whether the job can begin: there is one record, and the job before may still need it."""
        self._unasked.in_hand = record.job.id
        over = asyncio.create_task(self._handed.over(min(CONFIRMATION_PATIENCE_S, (record.lease_s or 3600) / 2)))
        suspended = asyncio.create_task(self._suspending.wait())
        try:
            await asyncio.wait([over, suspended], return_when=asyncio.FIRST_COMPLETED)
            if self._suspending.is_set():
                await self._give_back(record)
                return False
            if not over.result():
                log.warning("job %s waits no more for the confirmation of the one before", record.job.id)
                await self._handed.drop()
            return True
        finally:
            self._unasked.in_hand = ""
            over.cancel()
            suspended.cancel()

    def _over(self) -> bool:
        enough = 0 < self._settings.max_jobs <= self._jobs
        return enough or self._finishing.is_set() or self._suspending.is_set()

    async def _next_job(self) -> JobRecord | None:
        """A job; None when the agent is to end first. Nobody is asked without a session."""
        self._report.job("", states.WANTING)
        asking = asyncio.create_task(self._intake.obtain())
        ends = [asyncio.create_task(event.wait()) for event in (self._finishing, self._suspending)]
        try:
            await asyncio.wait([asking, *ends], return_when=asyncio.FIRST_COMPLETED)
            if self._intake.awaits_job:
                # A manager may have handed the job out already: better to give it back than to leave it to its lease.
                await asyncio.wait([asking], timeout=self._settings.timers.store_answer_s)
            answer = asking.result() if asking.done() else None
            if answer is not None and self._over():
                self._unasked.refuse(answer)
                return None
            return record_of(answer) if answer is not None else None
        finally:
            for task in (asking, *ends):
                task.cancel()
            for slot in ("want", "get"):
                # Not said again in the next session, when nobody would hear the answer.
                self._talk.settle(slot)

    async def _do(self, record: JobRecord, *, fresh: bool, claim: bool) -> None:
        self._jobs += 1
        self._may_redirect = not record.lease_id
        self._unasked.begins(record)
        lease = LeaseKeeper(self._talk, self._settings.job_manager, record, self.save, claim=claim)
        steps = asyncio.create_task(self._steps.take(record, lease, fresh=fresh))
        self._work = _Work(record, lease, steps)
        keeper = asyncio.create_task(lease.keep())
        try:
            await asyncio.wait([steps, keeper], return_when=asyncio.FIRST_COMPLETED)
            await self._end(record, steps, keeper)
        finally:
            self._work = None
            for task in (keeper, steps):
                task.cancel()
            await asyncio.gather(keeper, steps, return_exceptions=True)
            self._unasked.ends()

    async def _end(self, record: JobRecord, steps: "asyncio.Task[None]", keeper: "asyncio.Task[str]") -> None:
        lost = not steps.done()
        steps.cancel()
        await asyncio.wait([steps])
        try:
            if lost and self._unasked.verdict is not None and self._unasked.verdict.accepted:
                await self._was_accepted(record)
            elif lost:
                await self._forget(record, f"lease lost: {keeper.result()}")
            elif not steps.cancelled():
                steps.result()
        except JobFailed as failed:
            await self._fail(record, failed)
        else:
            if self._suspending.is_set() and record.state != states.DONE and not lost:
                record.starts = 0
                await self.save()
                self._report.log("agent", "info", f"job {record.job.id} is kept for the next start ({record.state})")

    async def _fail(self, record: JobRecord, failed: JobFailed) -> None:
        if record.lease_id:
            said = f"{failed.cause}: {failed.said}"[:1000]
            printed = await self._runner.last_printed(record.job.id)
            report = JobFailedReport(record.job.id, record.lease_id, said, printed)
            await self._talk.post(f"failed-{record.job.id}", record.manager, report)
        await self._forget(record, f"{failed.cause}: {failed.said}")

    async def _was_accepted(self, record: JobRecord) -> None:
        """What an earlier run had handed in was taken, and nobody wants it again."""
        self._report.job(record.job.id, states.DONE, exit_code=record.exit_status, cpu_s=round(record.cpu_s, 3))
        await self._checkpoint.remove()
        await self._runner.clean()

    async def _forget(self, record: JobRecord, cause: str) -> None:
        self._unasked.judged.set()
        self._report.job(record.job.id, states.FAILED, cause=cause[:1000])
        self._report.log("agent", "warning", f"job {record.job.id} failed, {cause}")
        await self._checkpoint.remove()
        await self._runner.clean()

    async def _last_words(self) -> None:
        """Gives confirmations, the last verdict and redirects of the last jobDone a moment to arrive."""
        await self._confirmed()
        if not self._unasked.last:
            return
        await self._handed.over(SHORT_PATIENCE_S)
        if self._may_redirect:
            # The original's manager confirms jobDone, and may then refer it to another one.
            await asyncio.sleep(REDIRECT_PATIENCE_S)
            await self._confirmed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(VERDICT_PATIENCE_S):
                await self._unasked.judged.wait()

    async def _confirmed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._transport.drained()

    async def _give_back(self, record: JobRecord) -> None:
        if record.lease_id:
            said = JobFailedReport(record.job.id, record.lease_id, "start: the agent is not free")
            await self._talk.post(f"refused-{record.job.id}", record.manager, said)
