"""What the agent asks of the part that runs jobs; `client.copilot.execute` is the real one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from client.copilot.checkpoint import JobRecord
from client.copilot.report import Progress
from client.copilot.tail import LineListener


@dataclass(frozen=True)
class Outcome:
    """How a job's command ended: raw wait status, CPU seconds and running time of this run."""

    status: int
    cpu_s: float
    elapsed_s: float


class JobRunner(Protocol):
    """Owns the work directories. One job at a time."""

    def work_dir(self, job_id: str) -> Path:
        """Where a job's files are."""

    @property
    def input_limit_bytes(self) -> int:
        """Most that all input files of a job may hold together."""

    async def prepare(self, job_id: str) -> Path:
        """Makes a fresh, empty work directory, and removes those of other jobs."""

    async def execute(
        self, record: JobRecord, on_progress: Callable[[Progress], None], on_output: LineListener | None = None
    ) -> Outcome:
        """Runs the command to its end; when cancelled, kills all of the job's processes first.

        Args:
            on_output: gets what the job prints, as far as it is told while it runs.

        Raises:
            JobFailed: it could not be started, or was stopped at a limit.
        """

    def keep_pilot_token(self, token: str) -> None:
        """Puts the token of an outside service where the job finds it; empty: removes it. Raises OSError."""

    async def validate(self, record: JobRecord) -> int:
        """Runs the validation script; returns its raw wait status. Raises JobFailed as `execute` does."""

    async def terminate(self, grace_s: float) -> None:
        """Asks a running job to end and gives it time for that; `execute` then returns. Idempotent."""

    async def pack(self, record: JobRecord) -> Path:
        """Packs the work directory; returns the archive. Raises JobFailed when it is too big or cannot be written."""

    async def last_printed(self, job_id: str) -> str:
        """The last lines that a job printed, at most 1000 characters; empty for none."""

    async def clean(self) -> None:
        """Removes all work directories and archives."""
