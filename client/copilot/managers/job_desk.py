"""What a job manager says to whom: want_getJob, getJob, and our extendLease, claimJob, jobFailed.

Pure but for the queue: (sender, command, now) -> replies. Agents that announced no extensions get the original flow
and nothing else. An agent that asked when nothing waited is remembered and hears of work as soon as there is some, at
the latest ANSWER_LATE_S after it asked: for the original's agent that is merely a late answer.
"""

import dataclasses
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from client.copilot.managers.monitor.witness import NOBODY, Witness, return_class
from client.copilot.managers.reply import Reply
from client.copilot.messages import (
    ClaimJob,
    Command,
    ExtendLease,
    GetJob,
    HaveGetJob,
    JobClaimed,
    JobFailedReport,
    LeaseExtended,
    LeaseLost,
    RunJob,
    Sleep,
    WantGetJob,
)
from client.copilot.queue.queue import JobQueue, Lease, Lost
from client.log import logger

log = logger("site")

#: An agent that asked is told of work that turns up within this time. The original's agent asks again after 60 s.
ANSWER_LATE_S: Final = 55.0
#: Agents remembered that way.
MAX_ASKERS: Final = 20_000
#: Agents told of work in one tick; more of them than jobs would only make each other wait.
MAX_TOLD: Final = 100


@dataclass(frozen=True)
class JobSettings:
    """Settings of a job manager.

    Attributes:
        chirp: `host:port` of the file server that holds the input.
        require_file: path that must exist at an agent, for all jobs; empty for none.
        cooldown_s: an agent account that asks more often is told to sleep (which reboots the original's machine);
            0, the default: never.
    """

    chirp: str
    require_file: str = ""
    cooldown_s: float = 0.0


@dataclass
class JobDesk:
    """Answers agents from a queue. witness: hears what happens."""

    queue: JobQueue
    settings: JobSettings
    witness: Witness = NOBODY
    _askers: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _accepted_at: dict[str, float] = field(default_factory=dict)

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """Replies to one command of `sender` (full JID); commands for others get none."""
        match command:
            case WantGetJob():
                self.witness.asked(sender, command.jdl)
                return self._on_want(sender, now)
            case GetJob():
                return self._on_get(sender, command, now)
            case ExtendLease():
                answer = self.queue.extend(command.job_id, command.lease_id, sender, now)
                return [Reply(sender, _extended(command.job_id, answer))]
            case ClaimJob():
                answer = self.queue.claim(command.job_id, command.lease_id, sender, now)
                return [Reply(sender, _claimed(command.job_id, answer))]
            case JobFailedReport():
                if self.queue.fail(command.job_id, command.lease_id, sender, command.cause, now):
                    log.info("job %s failed at %s: %s", command.job_id, sender, command.cause)
                    self.witness.happened(f"job.returned.{return_class(command.cause)}")
        return []

    def tick(self, now: float) -> list[Reply]:
        """To be called about once a second: ends leases, tells agents that asked in vain about work."""
        for job_id in self.queue.expire(now):
            log.info("lease of job %s ended", job_id)
            self.witness.happened("lease.ended")
        self._forget(now)
        if not self._askers or not self.queue.has_work():
            return []
        first = itertools.islice(self._askers, MAX_TOLD)
        told = [asker for asker in first if self.queue.may_work(asker, now)]
        for asker in told:
            del self._askers[asker]
        return [Reply(asker, HaveGetJob(self.settings.require_file)) for asker in told]

    def _on_want(self, sender: str, now: float) -> list[Reply]:
        if self._too_soon(sender, now):
            return [Reply(sender, Sleep())]
        if self.queue.has_work() and self.queue.may_work(sender, now):
            self._askers.pop(sender, None)
            return [Reply(sender, HaveGetJob(self.settings.require_file))]
        self.witness.happened("error.emptyQueue")
        self._askers[sender] = now
        self._askers.move_to_end(sender)
        if len(self._askers) > MAX_ASKERS:
            self._askers.popitem(last=False)
        return []

    def _on_get(self, sender: str, command: GetJob, now: float) -> list[Reply]:
        extends = "lease" in command.extensions
        self._askers.pop(sender, None)
        lease = self.queue.hand_out(sender, now, extends=extends) if self.queue.may_work(sender, now) else None
        if lease is None:
            self.witness.happened("error.emptyQueue")
            self._askers[sender] = now
            return []
        self.witness.happened("job.start")
        log.info("job %s handed to %s", lease.job.id, sender)
        return [Reply(sender, self._run_job(lease, now, extends=extends))]

    def _run_job(self, lease: Lease, now: float, *, extends: bool) -> RunJob:
        job = dataclasses.replace(lease.job.new.description, chirp_url=self.settings.chirp)
        data = {"startedAt": str(int(now))}
        if extends:
            return RunJob(job, data, lease.lease_s, lease.lease_id)
        return RunJob(dataclasses.replace(job, time_limit_s=None, title=""), data)

    def _too_soon(self, sender: str, now: float) -> bool:
        """As the original does it: by account, and a refusal does not renew the time."""
        if not self.settings.cooldown_s:
            return False
        account = sender.partition("@")[0]
        last = self._accepted_at.get(account)
        if last is not None and now - last < self.settings.cooldown_s:
            return True
        self._accepted_at[account] = now
        return False

    def _forget(self, now: float) -> None:
        while self._askers and now - next(iter(self._askers.values())) > ANSWER_LATE_S:
            self._askers.popitem(last=False)
        if len(self._accepted_at) > MAX_ASKERS:
            oldest = now - self.settings.cooldown_s
            self._accepted_at = {account: at for account, at in self._accepted_at.items() if at > oldest}


def _extended(job_id: str, answer: Lease | Lost) -> Command:
    if isinstance(answer, Lost):
        return LeaseLost(job_id, answer.reason)
    return LeaseExtended(job_id, answer.lease_s)


def _claimed(job_id: str, answer: Lease | Lost) -> Command:
    if isinstance(answer, Lost):
        return LeaseLost(job_id, answer.reason)
    return JobClaimed(job_id, answer.lease_s, answer.lease_id)
