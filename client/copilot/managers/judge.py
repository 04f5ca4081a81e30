"""What becomes of an uploaded output: taken, unpacked, checked, kept, and noted in the queue."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.shelf import Claim, Parcel, Shelf
from client.copilot.managers.unpack import Limits, Unpacked, unpack
from client.copilot.managers.validate import VALIDATORS, check_output
from client.copilot.queue.errors import QueueError
from client.copilot.queue.queue import Job, JobQueue, JobState, Taken
from client.log import logger

log = logger("site")


@dataclass(frozen=True)
class Verdict:
    """What the agent is told. reason: empty when accepted."""

    job_id: str
    accepted: bool
    reason: str


@dataclass(frozen=True)
class Judge:
    """Judges outputs; blocks, so it is to be called in a thread, with a queue of that thread's own."""

    queue: JobQueue
    shelf: Shelf
    limits: Limits

    def judge(self, claim: Claim) -> Verdict:
        """Deal with one jobDone, of an agent that had the job: that is the desk's to see to.

        Raises:
            OSError: the disk fails; what was taken is dealt with at the next start.
            QueueError: the queue fails; likewise.
        """
        job = self.queue.get(claim.job_id)
        if job is None or job.cancelled or job.state is JobState.DONE:
            return Verdict(claim.job_id, False, "the result is not needed any more")
        try:
            parcel = self.shelf.fetch(claim)
        except OutputRefused as refused:
            return self._refuse(claim, refused.said)
        return self._judge(job, parcel)

    def judge_left(self) -> list[tuple[Claim, Verdict]]:
        """Deal with what an earlier run left half done. What fails is logged and stays for the next start.

        Raises:
            OSError: the folder cannot be read.
        """
        verdicts = []
        for parcel in self.shelf.left():
            try:
                verdict = self._judge_again(parcel)
            except (OSError, QueueError) as error:
                log.error("output of job %s left for the next start: %s", parcel.claim.job_id, error)
                continue
            if verdict is not None:
                verdicts.append((parcel.claim, verdict))
        return verdicts

    def take_up_results(self) -> None:
        """Note results in the queue that were kept just before an earlier run was killed; failures as above.

        Raises:
            OSError: the folder cannot be read.
        """
        for job_id in self.shelf.kept():
            try:
                job = self.queue.get(job_id)
                self.queue.accept(job_id, job.agent if job else "", "kept by an earlier run", time.time())
                self.shelf.settle(job_id)
            except (OSError, QueueError) as error:
                log.error("result of job %s not noted in the queue: %s", job_id, error)

    def _judge_again(self, parcel: Parcel) -> Verdict | None:
        job = self.queue.get(parcel.claim.job_id)
        if job is None or job.cancelled or job.state is JobState.DONE:
            self.shelf.drop(parcel)
            return None
        return self._judge(job, parcel)

    def _judge(self, job: Job, parcel: Parcel) -> Verdict:
        claim = parcel.claim
        facts: dict[str, Any] = asdict(claim) | {"at": time.time()}
        try:
            facts |= asdict(self._check(job, parcel))
        except OutputRefused as refused:
            self.shelf.keep(parcel, facts | {"refused": refused.said}, accepted=False)
            return self._refuse(claim, refused.said)
        return self._accept(parcel, facts)

    def _check(self, job: Job, parcel: Parcel) -> Unpacked:
        with parcel.open(self.limits.packed_bytes) as packed:
            unpacked = unpack(packed, parcel.output, self.limits)
        if parcel.claim.validate_exit_code:
            raise OutputRefused("the job's own validation failed")
        if job.new.validator and job.new.validator not in VALIDATORS:
            raise OutputRefused(f"this storage manager has no validator {job.new.validator}")
        check_output(job.new.validator, job.new.expected, parcel.claim.exit_code, parcel.output)
        return unpacked

    def _accept(self, parcel: Parcel, facts: dict[str, Any]) -> Verdict:
        claim = parcel.claim
        # The result is kept first: whoever finds a job done finds its result too.
        self.shelf.keep(parcel, facts, accepted=True)
        detail = f"{facts['files']} files, {facts['size_bytes']} bytes"
        taken = self.queue.accept(claim.job_id, claim.sender, detail, time.time())
        self.shelf.settle(claim.job_id)
        if taken is Taken.ACCEPTED:
            log.info("job %s done by %s", claim.job_id, claim.sender)
            return Verdict(claim.job_id, True, "")
        return Verdict(claim.job_id, False, "the result is not needed any more")

    def _refuse(self, claim: Claim, reason: str) -> Verdict:
        log.warning("output of job %s from %s refused: %s", claim.job_id, claim.sender, reason)
        self.queue.refuse(claim.job_id, claim.sender, reason, time.time())
        return Verdict(claim.job_id, False, reason)
