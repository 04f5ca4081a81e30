"""What managers say that nobody waits for: verdicts, errors, and jobs that come too late or twice."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Answer, bare
from client.copilot.intake import record_of
from client.copilot.messages import Error, JobVerdict, RunJob, Sleep
from client.copilot.report import Report

log = logging.getLogger("agent")


class Unasked:
    """Hears it, and knows for that which job is in hand and which was the last.

    Args:
        give_back: gives a job back to the queue.

    Attributes:
        in_hand: id of the job in hand, or of one that waits to begin; empty for none.
        last: id of the job that began last; empty for none.
        judged: set while no verdict on that is awaited.
        verdict: on the job in hand; told when it ends.
    """

    def __init__(self, report: Report, give_back: Callable[[JobRecord], Awaitable[None]]) -> None:
        self.in_hand = self.last = ""
        self.judged = asyncio.Event()
        self.verdict: JobVerdict | None = None
        self._lease_id = ""
        self._report = report
        self._give_back = give_back
        self._background: set[asyncio.Future[Any]] = set()

    def begins(self, record: JobRecord) -> None:
        """A job begins."""
        self.in_hand = self.last = record.job.id
        self._lease_id = record.lease_id
        self.verdict = None
        if record.lease_id:
            self.judged.clear()
        else:
            # Managers without leases do not say what became of a job.
            self.judged.set()

    def ends(self) -> None:
        """No job is in hand any more."""
        self.in_hand = ""
        if self.verdict is not None:
            self._report.verdict(self.verdict.job_id, self.verdict.accepted, self.verdict.reason)

    def is_last(self, job_id: str, lease_id: str) -> bool:
        """Whether a job is the one that began last, under the same lease."""
        return lease_id != "" and (job_id, lease_id) == (self.last, self._lease_id)

    def hear(self, answer: Answer) -> None:
        """For the conversation."""
        command = answer.command
        if isinstance(command, JobVerdict):
            self._on_verdict(command)
        elif isinstance(command, Error):
            self._report.log("agent", "error", f"{bare(answer.sender)} says: {command.text}")
        elif isinstance(command, RunJob):
            # Managers may answer twice.
            if command.job.id != self.in_hand and not self.is_last(command.job.id, command.lease_id):
                self.refuse(answer)
        elif not isinstance(command, Sleep):
            log.debug("nobody waits for %s of %s", command.command, answer.sender)

    def refuse(self, answer: Answer) -> None:
        """A job that came too late goes back to the queue at once instead of waiting for the end of its lease."""
        run: RunJob = answer.command
        self._report.log("agent", "warning", f"job {run.job.id} came unasked and is given back")
        task = asyncio.ensure_future(self._give_back(record_of(answer)))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _on_verdict(self, command: JobVerdict) -> None:
        if command.job_id == self.in_hand:
            # Told when it is known how the job ends: of one taken up again, that it is over may follow.
            self.verdict = command
        else:
            self._report.verdict(command.job_id, command.accepted, command.reason)
        if command.job_id == self.last:
            self.judged.set()
