"""What a storage manager says to whom: want_getJobOutputDir, getJobOutputDir, jobDone.

Pure but for the queue and the shelf. Outputs themselves are judged elsewhere (`client.copilot.managers.judge`): a
jobDone is only put on the list of claims. Only an agent that had a job, however long ago, may hand its output in: any
agent may learn a job's id.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from client.copilot.account import bare
from client.copilot.managers.judge import Verdict
from client.copilot.managers.monitor.witness import NOBODY, Witness
from client.copilot.managers.reply import Reply
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.slot import Slot
from client.copilot.managers.verdicts import earlier_verdict
from client.copilot.messages import (
    Command,
    GetJobOutputDir,
    HaveGetJobOutputDir,
    JobDone,
    JobVerdict,
    LeaseLost,
    StoreJobOutputDir,
    WantGetJobOutputDir,
)
from client.copilot.once import Once
from client.copilot.queue.errors import QueueError
from client.copilot.queue.queue import Job, JobQueue, JobState
from client.copilot.token_bucket import TokenBuckets
from client.log import logger

log = logger("site")

#: Places of the upload service that one account gets for one job; what it needs more goes over Chirp.
MAX_PLACES: Final = 10
#: More of them as time goes by: there may be no Chirp, and the upload service may be down for hours.
PLACES_PER_S: Final = 1 / 300
#: What was handed in while the queue failed.
MAX_LATER: Final = 10_000
#: Of that so much is taken in one tick.
MAX_TAKEN: Final = 100


@dataclass(frozen=True)
class Wish:
    """An agent that can upload by HTTPS asks where to put its output."""

    job_id: str
    sender: str
    size_bytes: int


@dataclass
class StorageDesk:
    """Answers agents that have output.

    Attributes:
        chirp: `host:port` where agents are to upload; empty: there is no such server.
        on_done: takes a claim; it is judged later.
        limit_bytes: of an output, as those are told who tell the size of theirs.
        on_wish: takes the wish for a place of the upload service, and has `place` answered later; None: there is none.
    """

    queue: JobQueue
    shelf: Shelf
    chirp: str
    on_done: Callable[[Claim], None]
    witness: Witness = NOBODY
    limit_bytes: int | None = None
    on_wish: Callable[[Wish], None] | None = None
    _places: TokenBuckets = field(default_factory=lambda: TokenBuckets(PLACES_PER_S, MAX_PLACES))
    _later: deque[tuple[str, JobDone]] = field(default_factory=deque)
    _strangers: Once = field(default_factory=Once)

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """Replies to one command of `sender` (full JID); commands for others get none."""
        match command:
            case WantGetJobOutputDir():
                return self._on_want(sender, command.job_id)
            case GetJobOutputDir():
                return self._on_get(sender, command.job_id, command.output_size, now)
            case JobDone():
                self._on_done(sender, command, now)
        return []

    def tick(self, now: float) -> list[Reply]:
        """To be called about once a second: takes what was handed in while the queue failed."""
        for _ in range(min(len(self._later), MAX_TAKEN)):
            sender, done = self._later[0]
            self._take(sender, done, now)
            self._later.popleft()
        return []

    def _on_done(self, sender: str, done: JobDone, now: float) -> None:
        try:
            self._take(sender, done, now)
        except QueueError:
            # It is confirmed, so it is not said again, and its agent keeps nothing of it.
            if len(self._later) < MAX_LATER:
                self._later.append((sender, _slim(done)))
            raise

    def _take(self, sender: str, done: JobDone, now: float) -> None:
        if self._had(sender, done.job_id):
            # The lease must not end while the output waits to be judged.
            self.queue.confirm(done.job_id, sender, now)
            self.witness.handed_in(done.job_id, done.job_data.get("startedAt", ""), now)
            self.on_done(Claim(done.job_id, sender, done.exit_code, done.validate_exit_code))

    def announce(self, sender: str, verdict: Verdict) -> list[Reply]:
        """The verdict, for agents that announced that they want it."""
        if not self.queue.has_lease(verdict.job_id, sender):
            return []
        return [Reply(sender, JobVerdict(verdict.job_id, verdict.accepted, verdict.reason))]

    def _on_want(self, sender: str, job_id: str) -> list[Reply]:
        job = self.queue.get(job_id)
        lost = _not_needed(job)
        if job is None or (lost and self.queue.has_lease(job_id, sender)):
            told = earlier_verdict(self.queue, job_id, sender)
            return [*([Reply(sender, told)] if told else []), Reply(sender, LeaseLost(job_id, lost))]
        # The original's agent knows no other way to get rid of a job: it may upload what nobody needs.
        return [Reply(sender, HaveGetJobOutputDir())]

    def _on_get(self, sender: str, job_id: str, size: int | None, now: float) -> list[Reply]:
        job = self.queue.get(job_id)
        if job is None:
            if self._strangers.is_new(bare(sender), "unknown"):
                log.warning("%s has output of job %s, which is not ours; said once", sender, job_id)
            self.witness.happened("error.invalidJobId")
            return [Reply(sender, LeaseLost(job_id, _not_needed(None)))]
        if not self._had(sender, job_id):
            return []
        self.queue.confirm(job_id, sender, now)
        if size is None:
            return self._chirp_place(sender, job_id, None)
        wish = Wish(job_id, sender, size)
        if self.on_wish is None or self._is_beyond(size) or not self._may_wish(wish):
            return self.place(wish, None)
        self.on_wish(wish)
        return []

    def place(self, wish: Wish, slot: Slot | None) -> list[Reply]:
        """The answer to a wish. slot: None: the upload service has no place, and Chirp is what there is."""
        if slot is None:
            return self._chirp_place(wish.sender, wish.job_id, self.limit_bytes)
        try:
            self.shelf.open_place(wish.job_id, wish.sender, slot.id)
        except OSError as error:
            log.error("no place for the output of %s: %s", wish.job_id, error)
            return []
        told = StoreJobOutputDir(
            wish.job_id,
            wish.job_id,
            self.chirp,
            put_url=slot.put_url,
            put_headers=slot.headers,
            put_limit=self.limit_bytes,
        )
        return [Reply(wish.sender, told)]

    def _chirp_place(self, sender: str, job_id: str, limit_bytes: int | None) -> list[Reply]:
        if not self.chirp:
            return []
        try:
            self.shelf.open_folder(job_id, sender)
        except OSError as error:
            log.error("no folder for the output of %s: %s", job_id, error)
            return []
        return [Reply(sender, StoreJobOutputDir(job_id, job_id, self.chirp, put_limit=limit_bytes))]

    def _is_beyond(self, size: int) -> bool:
        return self.limit_bytes is not None and size > self.limit_bytes

    def _may_wish(self, wish: Wish) -> bool:
        """Each place may be filled, so an account gets a few for a job and no more."""
        return self._places.take(f"{bare(wish.sender)} {wish.job_id}")

    def _had(self, sender: str, job_id: str) -> bool:
        """Whether the job was ever handed to the sender's account, or claimed by it."""
        if self.queue.has_lease(job_id, sender) is not None:
            return True
        account = bare(sender)
        if self._strangers.is_new(account):
            log.warning("%s never had job %s: what it says of such outputs is dropped, said once", account, job_id)
        return False


def _slim(done: JobDone) -> JobDone:
    """Without what nobody asks for: whoever has an account may fill the memory with it."""
    kept = {name: text[:40] for name, text in done.job_data.items() if name == "startedAt"}
    return JobDone(done.job_id, exit_code=done.exit_code, validate_exit_code=done.validate_exit_code, job_data=kept)


def _not_needed(job: Job | None) -> str:
    """Why nobody wants a job's output; empty when it is wanted."""
    if job is None:
        return "there is no such job"
    if job.cancelled:
        return "the job was cancelled"
    return "the job is done" if job.state is JobState.DONE else ""
