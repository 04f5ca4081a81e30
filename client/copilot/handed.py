"""What becomes of a job after jobDone was said: its record and files stay until a manager has confirmed that.

The agent asks for the next job meanwhile. If it ends before, however, the next start finds the record, claims the job
and hands its output in once more. After a pause of the computer, or under another account, a manager believes jobDone
only of who has claimed the job.
"""

import asyncio

from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.conversation import Conversation
from client.copilot.messages import ClaimJob, Command, JobClaimed, LeaseLost
from client.copilot.runner import JobRunner
from client.copilot.timers import doubling


def slot_of(job_id: str) -> str:
    """The slot in which a job's jobDone is posted: of its own, so that it is sent until it is confirmed."""
    return f"done-{job_id}"


class HandedIn:
    """The job that was handed in last. manager: bare JID of all managers."""

    def __init__(self, talk: Conversation, manager: str, checkpoint: Checkpoint, runner: JobRunner) -> None:
        self._talk = talk
        self._manager = manager
        self._record: JobRecord | None = None
        self._said: tuple[str, Command] | None = None
        self._checkpoint = checkpoint
        self._runner = runner
        self._waiting: asyncio.Task[None] | None = None
        self._cleaning: asyncio.Task[None] | None = None

    def begin(self, record: JobRecord) -> None:
        """jobDone was said of this job, the only one in hand."""
        self._record, self._said = record, None
        self._waiting = asyncio.create_task(self._until_confirmed(record))

    def resumed(self) -> None:
        """Time has passed, or the account is another: what is not confirmed is said again after a claim."""
        record, waiting = self._record, self._waiting
        if record is None or not record.lease_id or waiting is None or waiting.done():
            return
        # Not in the talk any more while another claim of it waits for its answer.
        self._said = self._talk.take_back(slot_of(record.job.id)) or self._said
        if self._said is not None:
            waiting.cancel()
            self._waiting = asyncio.create_task(self._say_again(record, *self._said))

    async def over(self, limit_s: float) -> bool:
        """Waits until the job's record is not needed any more; False when that was not so in time."""
        try:
            async with asyncio.timeout(limit_s):
                while self._waiting is not None and not self._waiting.done():
                    await asyncio.wait([self._waiting])
        except TimeoutError:
            return False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.result()
        return True

    async def drop(self) -> None:
        """Waits no more: its record is removed, confirmed or not."""
        await self.leave()
        if self._record is not None and self._said is not None:
            # No claim was answered. It is said as long as this agent runs: most managers know that the job was ours.
            await self._talk.post(slot_of(self._record.job.id), *self._said)
        await self._remove()

    async def leave(self) -> None:
        """Waits no more: if it is not confirmed, its record and files stay for the next start. Idempotent."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if self._cleaning is not None:
            await asyncio.gather(self._cleaning, return_exceptions=True)

    async def _say_again(self, record: JobRecord, to: str, done: Command) -> None:
        if not await self._claim(record):
            await self._remove()
            return
        await self._talk.post(slot_of(record.job.id), to, done)
        self._said = None
        await self._until_confirmed(record)

    async def _claim(self, record: JobRecord) -> bool:
        """Asks until it is known whether anybody still wants the job's output of us."""
        job_id = record.job.id
        claim = ClaimJob(job_id, record.lease_id)
        kinds = (JobClaimed, LeaseLost)
        for wait_s in doubling(5.0, 60.0):
            answer = await self._talk.ask("claim", self._manager, claim, *kinds, timeout_s=wait_s, job_id=job_id)
            if answer is not None:
                return isinstance(answer.command, JobClaimed)
        raise AssertionError("the waits have no end")

    async def _until_confirmed(self, record: JobRecord) -> None:
        await self._talk.confirmed(slot_of(record.job.id))
        await self._remove()

    async def _remove(self) -> None:
        await self._checkpoint.remove()
        # The next job need not wait for this until it makes its own folder: the runner does one after the other.
        self._cleaning = asyncio.create_task(self._runner.clean())
