"""The agent's own record of its job on the scratch disk, from which a fresh boot takes it up again.

One JSON file, replaced whole. What cannot be read or does not pass the checks of the wire is no record: the job then
goes back to the queue when its lease ends.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from client.copilot.errors import BadStanza
from client.copilot.fields import build_map, parse_map
from client.copilot.messages import JobDescription, RunJob, build_info, parse_info

if TYPE_CHECKING:  # loaded with the first job: a guest's start is counted in tenths of a second
    from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger("agent")

_FILE: Final = "job.json"
_MAX_BYTES: Final = 1024 * 1024
VERSION: Final = 1


@dataclass
class JobRecord:
    """A job in the agent's hands.

    Attributes:
        manager: full JID that speaks for the job: it sent runJob or the last lease.
        lease_s: None with a manager that has no leases; lease_id is empty then.
        job_data: the managers' own data, given back to them.
        state: the agent's word for where the job is.
        exit_status: raw wait status of the ended job; None before that.
        elapsed_s: running time that the job has had so far.
        starts: how often it was taken up again after an end that nobody planned.
    """

    job: JobDescription
    manager: str
    lease_s: int | None = None
    lease_id: str = ""
    job_data: dict[str, str] = field(default_factory=dict)
    state: str = ""
    exit_status: int | None = None
    validate_status: int | None = None
    cpu_s: float = 0.0
    elapsed_s: float = 0.0
    starts: int = 0


class Checkpoint:
    """The place of the record. durable: every save reaches the disk before it returns.

    `write` and `remove` are for an event loop: what has to wait for the disk waits in one thread, in the order of the
    calls, whether or not somebody still waits for it.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._path = folder / _FILE
        self._durable = durable
        self._thread: ThreadPoolExecutor | None = None

    async def write(self, record: JobRecord) -> None:
        """Replaces the record by what this one is now. Raises OSError when it cannot be written."""
        text = json.dumps(_to_json(record))
        await self._in_order(lambda: self._replace(text))

    async def remove(self) -> None:
        """Removes the record; idempotent."""
        await self._in_order(self.clear)

    def close(self) -> None:
        """Returns when all is written; idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    async def _in_order(self, work: Callable[[], None]) -> None:
        if not self._durable:
            # Nothing waits for the disk.
            work()
            return
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1, "checkpoint")
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def save(self, record: JobRecord) -> None:
        """Replaces the record, at once. Raises OSError when it cannot be written."""
        self._replace(json.dumps(_to_json(record)))

    def _replace(self, text: str) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as target:
            target.write(text)
            if self._durable:
                target.flush()
                os.fsync(target.fileno())
        fresh.replace(self._path)
        if self._durable:
            # The new name is only on the disk when the folder is.
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def load(self) -> JobRecord | None:
        """The record; None when there is none that can be used."""
        try:
            with self._path.open("rb") as source:
                return _from_json(json.loads(source.read(_MAX_BYTES)))
        except FileNotFoundError:
            return None
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            BadStanza,
        ) as bad:
            log.warning("the record of the job that was left here cannot be used: %r", bad)
            return None

    def clear(self) -> None:
        """Removes the record, at once; idempotent."""
        self._path.unlink(missing_ok=True)


def _to_json(record: JobRecord) -> dict[str, Any]:
    wire = RunJob(record.job, lease_s=record.lease_s, lease_id=record.lease_id)
    return {
        "version": VERSION,
        "run_job": build_info(wire),
        "manager": record.manager,
        "job_data": build_map(record.job_data),
        "state": record.state,
        "exit_status": record.exit_status,
        "validate_status": record.validate_status,
        "cpu_s": record.cpu_s,
        "elapsed_s": record.elapsed_s,
        "starts": record.starts,
    }


def _from_json(said: Any) -> JobRecord | None:
    wire = parse_info(said["run_job"])
    if said["version"] != VERSION or not isinstance(wire, RunJob):
        return None
    return JobRecord(
        job=wire.job,
        manager=str(said["manager"]),
        lease_s=wire.lease_s,
        lease_id=wire.lease_id,
        job_data=parse_map(said["job_data"]),
        state=str(said["state"]),
        exit_status=_status(said["exit_status"]),
        validate_status=_status(said["validate_status"]),
        cpu_s=float(said["cpu_s"]),
        elapsed_s=float(said["elapsed_s"]),
        starts=int(said["starts"]),
    )


def _status(value: Any) -> int | None:
    return None if value is None else int(value)
