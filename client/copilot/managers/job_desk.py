"""What a job manager says to whom: want_getJob, getJob, and our extendLease, claimJob, jobFailed.

Pure but for the queue: (sender, command, now) -> replies. Agents that announced no extensions get the original flow
and nothing else. An agent that asked when nothing waited is remembered and hears of work as soon as there is some, at
the latest when it will have asked again: for the original's agent that is merely a late answer.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from client.copilot.managers.askers import MAX_ASKERS, Asker, Askers
from client.copilot.managers.host import read_host
from client.copilot.managers.monitor.witness import NOBODY, Witness, return_class
from client.copilot.managers.reply import Reply
from client.copilot.managers.verdicts import earlier_verdict
from client.copilot.messages import (
    HTTPS,
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
from client.copilot.queue.queue import PRINTED, Host, JobQueue, Lease, Lost, SeenAgent
from client.log import logger

log = logger("site")

#: An agent that asked is told of work that turns up within this time; our own ask again after 60 s at the latest.
ANSWER_LATE_S: Final = 55.0
#: The same for the original's, which asks again after 60, 120, ... 1920 s.
ORIGINAL_LATE_S: Final = 1920.0
#: of the reason why a job came back; queues put a few words before it and keep 500
MAX_REASON_CHARS: Final = 440
#: An agent that got nothing though a job waits that it could do is not told of that one again for so long: its owner
#: may have had another copy of it.
VAIN_PAUSE_S: Final = 10.0


@dataclass(frozen=True)
class JobSettings:
    """Settings of a job manager.

    Attributes:
        chirp: `host:port` of the file server that holds the input.
        require_file: path that must exist at an agent, for all jobs; empty for none.
        cooldown_s: an agent account that asks more often is told to sleep (which reboots the original's machine);
            0, the default: never.
        input_url: where the files of a directory of the file server are by HTTPS, too; empty where they are not.
    """

    chirp: str
    require_file: str = ""
    cooldown_s: float = 0.0
    input_url: Callable[[str], str] = lambda _: ""


@dataclass
class JobDesk:
    """Answers agents from a queue. witness: hears what happens."""

    queue: JobQueue
    settings: JobSettings
    witness: Witness = NOBODY
    _askers: Askers = field(init=False)
    _seen: dict[str, SeenAgent] = field(default_factory=dict)
    _accepted_at: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._askers = Askers(self.queue)

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """Replies to one command of `sender` (full JID); commands for others get none."""
        match command:
            case WantGetJob():
                self.witness.asked(sender, command.jdl)
                return self._on_want(sender, command, now)
            case GetJob():
                return self._on_get(sender, command, now)
            case ExtendLease():
                answer = self.queue.extend(command.job_id, command.lease_id, sender, now)
                return [Reply(sender, _extended(command.job_id, answer))]
            case ClaimJob():
                answer = self.queue.claim(command.job_id, command.lease_id, sender, now)
                return [
                    *self._earlier_verdict(sender, command, answer),
                    Reply(sender, _claimed(command.job_id, answer)),
                ]
            case JobFailedReport():
                if self.queue.fail(command.job_id, command.lease_id, sender, _why_failed(command), now):
                    log.info("job %s failed at %s: %s", command.job_id, sender, command.cause)
                    self.witness.happened(f"job.returned.{return_class(command.cause)}")
        return []

    def tick(self, now: float) -> list[Reply]:
        """To be called about once a second: ends leases, tells agents that asked in vain about work."""
        for job_id in self.queue.expire(now):
            log.info("lease of job %s ended", job_id)
            self.witness.happened("lease.ended")
        self._forget(now)
        seen, self._seen = list(self._seen.values()), {}
        self.queue.note_agents(seen, now)
        return [Reply(asker, HaveGetJob(self.settings.require_file)) for asker in self._askers.take(now)]

    def _earlier_verdict(self, sender: str, claim: ClaimJob, answer: Lease | Lost) -> list[Reply]:
        """For an agent that broke down before it heard that its result was taken."""
        told = earlier_verdict(self.queue, claim.job_id, sender) if isinstance(answer, Lost) else None
        return [Reply(sender, told)] if told else []

    def _note(self, sender: str, asked: WantGetJob | GetJob, now: float) -> Host:
        """What the sender says of its computer; that it asked is written down at the next tick."""
        host = read_host(asked.jdl, asked.extensions)
        if len(self._seen) < MAX_ASKERS:
            self._seen[sender] = SeenAgent(sender, host, now)
        return host

    def _on_want(self, sender: str, command: WantGetJob, now: float) -> list[Reply]:
        host = self._note(sender, command, now)
        if self._too_soon(sender, now):
            return [Reply(sender, Sleep())]
        if self.queue.has_work(host) and self.queue.may_work(sender, now):
            self._askers.forget(sender)
            return [Reply(sender, HaveGetJob(self.settings.require_file))]
        self.witness.happened("error.emptyQueue")
        self._askers.remember(sender, Asker(_until(command, now), host))
        return []

    def _on_get(self, sender: str, command: GetJob, now: float) -> list[Reply]:
        extends = "lease" in command.extensions
        host = self._note(sender, command, now)
        may_work = self.queue.may_work(sender, now)
        lease = self.queue.hand_out(sender, now, extends=extends, host=host) if may_work else None
        if lease is None:
            self.witness.happened("error.emptyQueue")
            vain = may_work and self.queue.has_work(host)
            self._askers.remember(sender, Asker(_until(command, now), host, now + VAIN_PAUSE_S if vain else 0.0))
            return []
        self._askers.forget(sender)
        self.witness.happened("job.start")
        log.info("job %s handed to %s", lease.job.id, sender)
        return [Reply(sender, self._run_job(lease, now, command.extensions))]

    def _run_job(self, lease: Lease, now: float, extensions: frozenset[str]) -> RunJob:
        job = lease.job.new.description
        # The input of a job that came over the original's queue is where its submitter put it.
        if HTTPS in extensions and not job.chirp_url:
            job = dataclasses.replace(job, input_url=self.settings.input_url(job.input_dir))
        job = dataclasses.replace(job, chirp_url=job.chirp_url or self.settings.chirp)
        data = {"startedAt": str(int(now))}
        if "lease" in extensions:
            job = dataclasses.replace(job, no_output=not lease.job.new.output)
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
        self._askers.forget_late(now)
        if len(self._accepted_at) > MAX_ASKERS:
            oldest = now - self.settings.cooldown_s
            self._accepted_at = {account: at for account, at in self._accepted_at.items() if at > oldest}


def _until(asked: WantGetJob | GetJob, now: float) -> float:
    """How long who asked may be answered."""
    return now + (ANSWER_LATE_S if "lease" in asked.extensions else ORIGINAL_LATE_S)


def _why_failed(said: JobFailedReport) -> str:
    """The cause, and what the job printed last, as much of its end as a queue keeps."""
    printed = " / ".join(line.strip() for line in said.last_lines.splitlines() if line.strip())
    room = MAX_REASON_CHARS - len(said.cause) - len(PRINTED)
    return f"{said.cause}{PRINTED}{printed[-room:]}" if printed and room > 0 else said.cause


def _extended(job_id: str, answer: Lease | Lost) -> Command:
    if isinstance(answer, Lost):
        return LeaseLost(job_id, answer.reason)
    return LeaseExtended(job_id, answer.lease_s)


def _claimed(job_id: str, answer: Lease | Lost) -> Command:
    if isinstance(answer, Lost):
        return LeaseLost(job_id, answer.reason)
    return JobClaimed(job_id, answer.lease_s, answer.lease_id)
