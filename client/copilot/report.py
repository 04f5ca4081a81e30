"""To whom the agent tells what it does: the guest link in a VM, a log natively."""

import logging
from dataclasses import dataclass
from typing import Any, Final, Protocol

log = logging.getLogger("agent")

#: The agent's states, in the order in which a job passes them.
IDLE: Final = "idle"
WANTING: Final = "wanting"
GETTING_INPUT: Final = "getting input"
EXECUTING: Final = "executing"
VALIDATING: Final = "validating"
WANTING_OUTPUT_PLACE: Final = "wanting output place"
PUTTING_OUTPUT: Final = "putting output"
DONE: Final = "done"
FAILED: Final = "failed"


@dataclass(frozen=True)
class Progress:
    """What a job says of itself: done of total, in its own unit (plural); total 0 when unknown."""

    done: float
    total: float = 0
    unit: str = ""


class Report(Protocol):
    """Receives what the agent has to say; never blocks, never fails."""

    def job(self, job_id: str, state: str, **more: Any) -> None:
        """The agent's state changed, or the job made progress.

        Args:
            job_id: empty while there is no job.
            state: one of the words above.
            more: any of title, done, total, unit, exit_code (raw wait status), cause, cpu_s.
        """

    def log(self, source: str, level: str, text: str) -> None:
        """A line of the log; source is `agent` or `job`, level as in `logging`, lower case."""

    def output(self, job_id: str, lines: list[str], left_out: int) -> None:
        """The job has printed lines; so many bytes before them are not told."""

    def xmpp(self, connected: bool) -> None:
        """The XMPP session began or ended."""

    def verdict(self, job_id: str, accepted: bool, reason: str) -> None:
        """The project has judged a job's output."""


class LogReport:
    """Report for native runs: everything becomes a log record; counts are kept for callers."""

    def __init__(self) -> None:
        self.done_jobs = 0
        self.failed_jobs = 0
        self.accepted_jobs = 0

    def job(self, job_id: str, state: str, **more: Any) -> None:
        """See Report."""
        self.done_jobs += state == DONE
        self.failed_jobs += state == FAILED
        log.info("job %s %s %s", job_id or "-", state, " ".join(f"{name}={value}" for name, value in more.items()))

    def log(self, source: str, level: str, text: str) -> None:
        """See Report."""
        number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        logging.getLogger(source).log(number, "%s", text)

    def output(self, job_id: str, lines: list[str], left_out: int) -> None:
        """See Report."""
        for line in lines:
            log.info("job %s says: %s", job_id, line)

    def xmpp(self, connected: bool) -> None:
        """See Report."""
        log.info("xmpp session %s", "begun" if connected else "lost")

    def verdict(self, job_id: str, accepted: bool, reason: str) -> None:
        """See Report."""
        self.accepted_jobs += accepted
        log.info("job %s %s %s", job_id, "accepted" if accepted else "not accepted:", reason)
