"""What a guest said, kept as the views that faces draw. Pure bookkeeping: messages and times in, views out."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from client.link import Message
from client.log import logger
from client.snapshot import GuestView, JobState, JobView

#: boot step -> its words and the share of the boot that is behind it
BOOT_STEPS: Final = {
    "kernel": ("Starting the kernel", 0.1),
    "init": ("Preparing the guest's disks", 0.3),
    "python": ("Starting the agent", 0.5),
    "link": ("Talking to this computer", 0.6),
    "xmpp": ("Logged in to the project", 1.0),
}
#: progress of the last so many seconds makes the rate
RATE_WINDOW_S: Final = 30.0
#: ended jobs that are remembered until their verdict comes
UNJUDGED: Final = 50
#: ends, and verdicts, that are recorded in ENDS_WINDOW_S: each costs the host a write to its disk
MOST_ENDS: Final = 20
ENDS_WINDOW_S: Final = 60.0
#: lines of a job's output that are kept, and the mark for lines that the guest left out
OUTPUT_LINES: Final = 20
LEFT_OUT: Final = "\N{HORIZONTAL ELLIPSIS}"
_ENDED: Final = frozenset({JobState.DONE, JobState.FAILED})


@dataclass(frozen=True)
class Ended:
    """A job that has ended or was judged, to be written into the history."""

    job: JobView
    cpu_s: float


class GuestTracker:
    """The last word of a guest on everything.

    Attributes:
        guest: resources and agent; None until the first heartbeat of this boot.
        job: the current or last job; None before the first.
        online: whether the agent is logged in now.
        booted: whether it has been logged in since it booted, as far as is known.
        bye: why the guest went off; empty while it has not said so.
        dropped_ends: ended and judged jobs that were not recorded because they came too fast.
    """

    def __init__(self) -> None:
        self.guest: GuestView | None = None
        self.job: JobView | None = None
        self.boot_step = ""
        self.boot_fraction = 0.0
        self.online = self.booted = False
        self.bye = ""
        self._cpu_s = 0.0
        self._version = ""
        self._samples: deque[tuple[float, int]] = deque()
        self._ended: list[Ended] = []
        self._unjudged: dict[str, Ended] = {}
        self.dropped_ends = 0
        self._recorded: dict[str, deque[float]] = {kind: deque(maxlen=MOST_ENDS) for kind in ("job", "verdict")}

    def boot(self) -> None:
        """The guest was started afresh."""
        self.guest = None
        self.online = self.booted = False
        self.bye = ""
        self.boot_step, self.boot_fraction = "", 0.0

    def adopt(self) -> None:
        """The guest was found at work, and may not have said anything yet."""
        self.booted = True

    def held(self) -> None:
        """The guest was paused or saved: its rate begins anew after it."""
        self._samples.clear()

    def take(self, message: Message, now: datetime, monotonic: float) -> None:
        """Note one message.

        Args:
            now: aware UTC, for what is shown.
            monotonic: seconds, for rates.
        """
        said = message.fields
        match message.kind:
            case "hello":
                self._version = str(said.get("version", self._version))
            case "heartbeat":
                self._take_heartbeat(said, now)
            case "boot":
                self._take_boot(str(said.get("step", "")))
            case "job":
                self._take_job(said, now, monotonic)
            case "output":
                self._take_output(said)
            case "verdict":
                self._take_verdict(said, monotonic)
            case "bye":
                self.bye = str(said.get("reason", "")) or "no reason given"

    def drain_ended(self) -> list[Ended]:
        """Jobs that ended or were judged since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def _take_heartbeat(self, said: Any, now: datetime) -> None:
        self.online = bool(said.get("xmpp", self.online))
        if self.online:
            self._log_in()
        self.guest = GuestView(
            heard_at=now,
            uptime_s=float(said.get("uptime_s", 0)),
            load_1min=float(said.get("load_1min", 0)),
            memory_used_mib=int(said.get("memory_used_mib", 0)),
            memory_total_mib=int(said.get("memory_total_mib", 0)),
            scratch_free_mib=int(said.get("scratch_free_mib", 0)),
            agent_version=self._version,
            xmpp_connected=self.online,
        )

    def _take_boot(self, step: str) -> None:
        words, fraction = BOOT_STEPS.get(step, (step, self.boot_fraction))
        self.boot_step, self.boot_fraction = words, max(self.boot_fraction, fraction)
        if step == "xmpp":
            self._log_in()

    def _log_in(self) -> None:
        self.online = self.booted = True
        self.boot_step, self.boot_fraction = "", 1.0

    def _take_job(self, said: Any, now: datetime, monotonic: float) -> None:
        job_id = str(said.get("job_id", ""))
        state = _state(str(said.get("state", "")))
        if state is None or (not job_id and state not in {JobState.IDLE, JobState.WANTING}):
            return
        old = self.job if self.job is not None and self.job.job_id == job_id else None
        if old is None:
            self._samples.clear()
            self._cpu_s = 0.0
            old = JobView(job_id, state, started_at=now if job_id else None)
        self._cpu_s = max(self._cpu_s, float(said.get("cpu_s", 0)))
        done, total = int(said.get("done", old.done_units)), int(said.get("total", old.total_units))
        rate = self._rate(monotonic, done) if state is JobState.EXECUTING else None
        self.job = replace(
            old,
            state=state,
            title=str(said.get("title", old.title)),
            done_units=min(done, total) if total else done,
            total_units=total,
            unit=str(said.get("unit", old.unit)),
            rate_per_s=rate,
            seconds_left=(total - done) / rate if rate and total >= done else None,
            cause=str(said.get("cause", old.cause)),
        )
        if state in _ENDED:
            self._ends("job", Ended(self.job, self._cpu_s), monotonic)

    def _take_output(self, said: Any) -> None:
        job = self.job
        if job is None or not job.job_id or job.job_id != said.get("job_id"):
            return
        more = ([LEFT_OUT] if said.get("left_out") else []) + list(said.get("lines", ()))
        self.job = replace(job, output_tail=(*job.output_tail, *more)[-OUTPUT_LINES:])

    def _take_verdict(self, said: Any, monotonic: float) -> None:
        job_id, accepted = str(said.get("job_id", "")), bool(said.get("accepted", False))
        known = self._unjudged.get(job_id) or Ended(JobView(job_id, JobState.DONE), 0.0)
        cause = known.job.cause if accepted else str(said.get("reason", "")) or "no reason given"
        judged = replace(known.job, accepted=accepted, cause=cause)
        if self.job is not None and self.job.job_id == job_id:
            self.job = judged
        self._ends("verdict", Ended(judged, known.cpu_s), monotonic)

    def _ends(self, kind: str, ended: Ended, monotonic: float) -> None:
        if self._unjudged.get(ended.job.job_id) == ended:
            # Said again, so it is recorded already.
            return
        # The verdict often comes when the agent has the next job already.
        self._unjudged[ended.job.job_id] = ended
        if len(self._unjudged) > UNJUDGED:
            del self._unjudged[next(iter(self._unjudged))]
        if self._may_record(kind, monotonic):
            self._ended.append(ended)

    def _may_record(self, kind: str, monotonic: float) -> bool:
        times = self._recorded[kind]
        if len(times) == MOST_ENDS and monotonic - times[0] < ENDS_WINDOW_S:
            if not self.dropped_ends:
                logger("guest").warning("The guest ends more than %d jobs a minute; not all are recorded", MOST_ENDS)
            self.dropped_ends += 1
            return False
        times.append(monotonic)
        return True

    def _rate(self, monotonic: float, done: int) -> float | None:
        samples = self._samples
        if not done:
            # A job's preparation is not its rate.
            return None
        if samples and done < samples[-1][1]:
            samples.clear()
        samples.append((monotonic, done))
        while len(samples) > 2 and samples[0][0] < monotonic - RATE_WINDOW_S:
            samples.popleft()
        (since, first), (until, last) = samples[0], samples[-1]
        return (last - first) / (until - since) if until - since >= 1.0 and last > first else None


def _state(word: str) -> JobState | None:
    try:
        return JobState(word)
    except ValueError:
        return None
