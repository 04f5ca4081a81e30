"""Keeps the agent's lease on a job: extends it while it works, claims it after a pause or a fresh boot.

A manager without leases (`lease_id` empty) is left alone. The lease is extended every third of its time at the manager
instance that gave the job; when that one is silent, at the bare JID that all instances share. After a pause the job is
claimed at the bare JID, at 5, 10, 20, 40, 60, 60 ... s, until an answer comes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Answer, Conversation
from client.copilot.messages import ClaimJob, ExtendLease, JobClaimed, LeaseExtended, LeaseLost
from client.copilot.timers import doubling

_ANSWER_LIMIT_S: Final = 20.0
_SHORTEST_TURN_S: Final = 1.0


class LeaseKeeper:
    """Runs beside a job. `settled` is set while no claim awaits its answer.

    Args:
        manager: bare JID of all managers.
        record: the job; its lease and manager are brought up to date.
        on_change: called when the record changed.
    """

    def __init__(
        self,
        talk: Conversation,
        manager: str,
        record: JobRecord,
        on_change: Callable[[], Awaitable[None]],
        *,
        claim: bool,
    ) -> None:
        self.settled = asyncio.Event()
        self._talk = talk
        self._manager = manager
        self._record = record
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._silent = False
        if not claim or not record.lease_id:
            self.settled.set()

    def claim(self) -> None:
        """Has the job claimed again before anything more is done with it."""
        if self._record.lease_id:
            self.settled.clear()
            self._wake.set()

    async def keep(self) -> str:
        """Works until the job is lost and returns the reason. To be cancelled when the job ends."""
        with self._talk.expecting(LeaseLost, job_id=self._record.job.id) as lost:
            duty = asyncio.create_task(self._duty())
            try:
                ends: list[asyncio.Future[Any]] = [lost, duty]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if duty.done():
                    duty.result()
                return str(lost.result().command.reason)
            finally:
                duty.cancel()
                self._talk.settle("lease")

    async def _duty(self) -> None:
        while True:
            if not self.settled.is_set():
                await self._claim()
            turn_s = max(_SHORTEST_TURN_S, (self._record.lease_s or 0) / 3) if self._record.lease_id else None
            await self._idle(turn_s)
            if self.settled.is_set():
                await self._extend()

    async def _idle(self, turn_s: float | None) -> None:
        self._wake.clear()
        if not self.settled.is_set():
            return
        try:
            async with asyncio.timeout(turn_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _claim(self) -> None:
        job_id = self._record.job.id
        for wait_s in doubling(5.0, 60.0):
            command = ClaimJob(job_id, self._record.lease_id)
            answer = await self._talk.ask("lease", self._manager, command, JobClaimed, timeout_s=wait_s, job_id=job_id)
            if answer:
                self._record.lease_id = answer.command.lease_id
                # First, so that a claim which is asked for while the record is written is not taken for answered.
                self.settled.set()
                await self._take(answer)
                return

    async def _extend(self) -> None:
        job_id = self._record.job.id
        to = self._manager if self._silent else self._record.manager
        limit_s = min(_ANSWER_LIMIT_S, max(_SHORTEST_TURN_S, (self._record.lease_s or 0) / 6))
        command = ExtendLease(job_id, self._record.lease_id)
        answer = await self._talk.ask("lease", to, command, LeaseExtended, timeout_s=limit_s, job_id=job_id)
        if answer:
            self._silent = False
            await self._take(answer)
        elif not self._silent:
            self._silent = True
            await self._extend()

    async def _take(self, answer: Answer) -> None:
        self._record.manager = answer.sender
        self._record.lease_s = answer.command.lease_s
        await self._on_change()
