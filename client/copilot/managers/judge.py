"""What becomes of an uploaded output: taken, unpacked, checked, kept, and noted in the queue.

The output of a replicated job is a candidate first: it is compared with those of others, and the one that makes enough
agree becomes the job's result. A job without output is judged by its exit code alone.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from client.copilot.managers.candidates import Kept
from client.copilot.managers.compare import find_agreement, needs_earlier
from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.shelf import Claim, Parcel, Shelf
from client.copilot.managers.unpack import Limits, Unpacked, unpack
from client.copilot.managers.validate import VALIDATORS, check_exit_code, check_output
from client.copilot.managers.verdicts import WAITS, earlier_verdict
from client.copilot.once import Once
from client.copilot.queue.errors import QueueError
from client.copilot.queue.queue import Candidate, Job, JobQueue, JobState, Taken
from client.log import logger

log = logger("site")

NOT_NEEDED: Final = "the result is not needed any more"


@dataclass(frozen=True)
class Verdict:
    """What the agent is told. reason: empty when accepted, but for a result that others must agree with."""

    job_id: str
    accepted: bool
    reason: str


@dataclass(frozen=True)
class Judge:
    """Judges outputs; blocks, so it is to be called in a thread, with a queue of that thread's own."""

    queue: JobQueue
    shelf: Shelf
    limits: Limits
    _left: Once = field(default_factory=Once)

    def judge(self, claim: Claim) -> Verdict:
        """Deal with one jobDone, of an agent that had the job: that is the desk's to see to.

        Raises:
            OSError: the disk fails; what was taken is dealt with at the next start.
            QueueError: the queue fails; likewise.
        """
        job = self.queue.get(claim.job_id)
        if job is None or _is_over(job):
            return self._told_late(job, claim)
        if not job.new.output:
            return self._judge_exit_code(job, claim)
        try:
            parcel = self.shelf.fetch(claim)
        except OutputRefused as refused:
            return self._refuse(claim, refused.said)
        return self._judge(job, parcel)

    def judge_left(self) -> list[tuple[Claim, Verdict]]:
        """Deal with what an earlier run, or a full disk, left half done. What fails is logged once and stays.

        Raises:
            OSError: the folder cannot be read.
        """
        verdicts = []
        for kept in self.shelf.candidates.unsettled():
            try:
                job, claim = self.queue.get(kept.facts["job_id"]), _claim_of(kept.facts)
                verdicts.append((claim, self._weigh(job, claim, kept)))
            except (OSError, QueueError) as error:
                self._log_left(kept.job_id, error)
        for parcel in self.shelf.left():
            try:
                verdict = self._judge_again(parcel)
            except (OSError, QueueError) as error:
                self._log_left(parcel.claim.job_id, error)
                continue
            if verdict is not None:
                verdicts.append((parcel.claim, verdict))
        return verdicts

    def take_up_results(self) -> None:
        """Note results in the queue that were kept just before an earlier run was killed; failures as above.

        Raises:
            OSError: the folder cannot be read.
        """
        for job_id in self.shelf.results.kept():
            try:
                with self.shelf.results.alone():
                    job = self.queue.get(job_id)
                    sender = self.shelf.results.sender(job_id) or (job.agent if job else "")
                    self._note_result(job_id, sender, "kept by an earlier run")
            except (OSError, QueueError) as error:
                self._log_left(job_id, error)

    def _log_left(self, job_id: str, error: Exception) -> None:
        if self._left.is_new("", job_id):
            log.error("output of job %s left for later, said once: %s", job_id, error)

    def _judge_again(self, parcel: Parcel) -> Verdict | None:
        job = self.queue.get(parcel.claim.job_id)
        if job is None or _is_over(job):
            self.shelf.drop(parcel)
            return None
        return self._judge(job, parcel)

    def _judge(self, job: Job, parcel: Parcel) -> Verdict:
        claim = parcel.claim
        facts: dict[str, Any] = asdict(claim) | {"at": time.time()}
        try:
            facts |= asdict(self._check(job, parcel))
            if job.group:
                # What cannot be compared is found out before it is kept.
                find_agreement(job.new.replication.compare, job.new.expected, parcel.output, {}, "")
        except OutputRefused as refused:
            with self.shelf.results.alone():
                self.shelf.results.keep(parcel.folder, job.id, facts | {"refused": refused.said}, accepted=False)
            return self._refuse(claim, refused.said)
        if job.group:
            return self._weigh(job, claim, self.shelf.candidates.keep(parcel.folder, job.group, facts))
        return self._accept(parcel, facts)

    def _check(self, job: Job, parcel: Parcel) -> Unpacked:
        with parcel.open(self.limits.packed_bytes) as packed:
            parcel.begin()
            unpacked = unpack(packed, parcel.output, self.limits)
        _check_own_validation(parcel.claim)
        if job.new.validator and job.new.validator not in VALIDATORS:
            raise OutputRefused(f"this storage manager has no validator {job.new.validator}")
        check_output(job.new.validator, job.new.expected, parcel.claim.exit_code, parcel.output)
        return unpacked

    def _accept(self, parcel: Parcel, facts: dict[str, Any]) -> Verdict:
        claim = parcel.claim
        detail = f"{facts['files']} files, {facts['size_bytes']} bytes"
        with self.shelf.results.alone():
            job = self.queue.get(claim.job_id)
            if job is None or _is_over(job):
                # Another storage manager was quicker, with another agent's output.
                self.shelf.drop(parcel)
                return self._told_late(job, claim)
            # The result is kept first: whoever finds a job done finds its result too.
            self.shelf.results.keep(parcel.folder, job.id, facts, accepted=True)
            return self._told(claim, self._note_result(job.id, claim.sender, detail))

    def _note_result(self, job_id: str, sender: str, detail: str) -> Taken:
        """Tell the queue of a result that is kept. May be done again."""
        taken = self.queue.accept(job_id, sender, detail, time.time())
        if taken is Taken.SECOND:
            job = self.queue.get(job_id)
            # An earlier run was killed right after this.
            taken = Taken.ACCEPTED if job is not None and job.agent == sender else taken
        if taken in (Taken.SECOND, Taken.CANCELLED):
            # Managers that share no folder do not see each other's lock.
            self.shelf.results.withdraw(job_id)
        self.shelf.results.settle(job_id)
        return taken

    def _judge_exit_code(self, job: Job, claim: Claim) -> Verdict:
        """Of a job without output."""
        try:
            check_exit_code(claim.exit_code)
            _check_own_validation(claim)
        except OutputRefused as refused:
            return self._refuse(claim, refused.said)
        return self._told(claim, self._offer(job, claim, None, "exit code 0"))

    def _weigh(self, job: Job | None, claim: Claim, kept: Kept) -> Verdict:
        """Compare a candidate that is kept, and let the queue count. May be done again at any step."""
        taken = Taken.UNKNOWN
        if job is not None:
            detail = f"{kept.facts['files']} files, {kept.facts['size_bytes']} bytes"
            try:
                taken = self._offer(job, claim, kept, detail)
            except OutputRefused as gone:
                # It could be compared before it was kept: meanwhile another manager has found enough others.
                log.info("result of %s from %s is not compared any more: %s", claim.job_id, claim.sender, gone.said)
        if taken is Taken.ACCEPTED:
            self.shelf.candidates.promote(kept, self.shelf.result(kept.job_id))
        elif taken is not Taken.KEPT:
            self.shelf.candidates.drop(kept)
        self.shelf.candidates.settle(kept)
        return self._told(claim, taken)

    def _offer(self, job: Job, claim: Claim, kept: Kept | None, detail: str) -> Taken:
        """Give a result to the queue, compared with all that it has. kept: None without output."""
        while True:
            earlier = self.queue.candidates(job.id)
            agreement = self._agreement(job, kept, earlier) if kept is not None else detail
            known = [one for one in earlier if (one.unit_id, one.agent) == (job.id, claim.sender)]
            if known:
                return self._taken_before(job, claim, agreement == known[0].agreement)
            now = time.time()
            taken = self.queue.accept(job.id, claim.sender, detail, now, agreement=agreement, seen=len(earlier))
            if taken is not Taken.STALE:
                return taken

    def _taken_before(self, job: Job, claim: Claim, is_equal: bool) -> Taken:
        """Of a result that the queue has: an earlier run was killed right after it had said so.

        Or the agent has handed in twice at once, to two storage managers. Another output than the one that was counted
        must not become the result.
        """
        if not is_equal:
            return Taken.SECOND
        whole = self.queue.get(job.group)
        done = whole is not None and whole.state is JobState.DONE and whole.agent == claim.sender
        return Taken.ACCEPTED if done else Taken.KEPT

    def _agreement(self, job: Job, kept: Kept, earlier: Sequence[Candidate]) -> str:
        output = self.shelf.candidates.output(kept.job_id, kept.word)
        # A class is named after the first of it, unless its comparison needs no earlier output.
        places = {one.agreement: self.shelf.candidates.output(kept.job_id, one.agreement) for one in earlier}
        there = {name: place for name, place in places.items() if place.is_dir()}
        compare = job.new.replication.compare
        if len(there) < len(places) and needs_earlier(compare):
            log.warning(
                "results of %s to compare with are not here: do all storage managers share a folder?", job.group
            )
        return find_agreement(compare, job.new.expected, output, there, kept.word)

    def _told_late(self, job: Job | None, claim: Claim) -> Verdict:
        """To who hands in when all is over; or again, because it did not hear that its result was taken."""
        told = earlier_verdict(self.queue, claim.job_id, claim.sender)
        if job is None or told is None or job.agent != claim.sender:
            return Verdict(claim.job_id, False, NOT_NEEDED)
        return Verdict(claim.job_id, True, told.reason)

    def _told(self, claim: Claim, taken: Taken) -> Verdict:
        if taken is Taken.ACCEPTED:
            log.info("job %s done by %s", claim.job_id, claim.sender)
            return Verdict(claim.job_id, True, "")
        if taken is Taken.KEPT:
            log.info("result of %s from %s waits for others", claim.job_id, claim.sender)
            return Verdict(claim.job_id, True, WAITS)
        return Verdict(claim.job_id, False, NOT_NEEDED)

    def _refuse(self, claim: Claim, reason: str) -> Verdict:
        log.warning("output of job %s from %s refused: %s", claim.job_id, claim.sender, reason)
        self.queue.refuse(claim.job_id, claim.sender, reason, time.time())
        return Verdict(claim.job_id, False, reason)


def _is_over(job: Job) -> bool:
    return job.cancelled or job.state is JobState.DONE


def _check_own_validation(claim: Claim) -> None:
    if claim.validate_exit_code:
        raise OutputRefused("the job's own validation failed")


def _claim_of(facts: Mapping[str, Any]) -> Claim:
    return Claim(**{each.name: facts[each.name] for each in fields(Claim) if each.name in facts})
