"""What becomes of a job after jobDone was said: its record and files stay until a manager has confirmed that.

The agent asks for the next job meanwhile. If it ends before, however, the next start finds the record, claims the job
and hands its output in once more.
"""

import asyncio

from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.conversation import Conversation
from client.copilot.runner import JobRunner


def slot_of(job_id: str) -> str:
    """The slot in which a job's jobDone is posted: of its own, so that it is sent until it is confirmed."""
    return f"done-{job_id}"


class HandedIn:
    """The job that was handed in last."""

    def __init__(self, talk: Conversation, checkpoint: Checkpoint, runner: JobRunner) -> None:
        self._talk = talk
        self._checkpoint = checkpoint
        self._runner = runner
        self._waiting: asyncio.Task[None] | None = None
        self._cleaning: asyncio.Task[None] | None = None

    def begin(self, record: JobRecord) -> None:
        """jobDone was said of this job, the only one in hand."""
        self._waiting = asyncio.create_task(self._until_confirmed(record))

    async def over(self, limit_s: float) -> bool:
        """Waits until the job's record is not needed any more; False when that was not so in time."""
        if self._waiting is None:
            return True
        await asyncio.wait([self._waiting], timeout=limit_s)
        if not self._waiting.done():
            return False
        self._waiting.result()
        self._waiting = None
        return True

    async def drop(self) -> None:
        """Waits no more: its record is removed, confirmed or not."""
        await self.leave()
        await self._remove()

    async def leave(self) -> None:
        """Waits no more: if it is not confirmed, its record and files stay for the next start. Idempotent."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if self._cleaning is not None:
            await asyncio.gather(self._cleaning, return_exceptions=True)

    async def _until_confirmed(self, record: JobRecord) -> None:
        await self._talk.confirmed(slot_of(record.job.id))
        await self._remove()

    async def _remove(self) -> None:
        await self._checkpoint.remove()
        # The next job need not wait for this until it makes its own folder: the runner does one after the other.
        self._cleaning = asyncio.create_task(self._runner.clean())
