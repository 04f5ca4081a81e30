"""`main.py jobs log`: what a job wrote, as far as its output has come."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.copilot.fields import printable
from client.copilot.queue.queue import Job, JobQueue, JobState
from client.service.job_watch import LOOK_S
from client.service.jobs_told import what_of
from client.service.site_folder import SiteFolder
from client.service.table import counted, say_json, span, tell

_PIECE: Final = 64 * 1024
#: of each stream in a JSON document
_JSON_BYTES: Final = 8 * 1024 * 1024
_OUTPUT: Final = "output"
TIME_OVER: Final = 3


@dataclass(frozen=True)
class Kept:
    """A job's output on this computer. what: accepted, candidate or refused."""

    what: str
    folder: Path

    def stream(self, name: str) -> Path | None:
        """A file of it; None unless it is a plain one."""
        path = self.folder / _OUTPUT / name
        # Jobs' output is hostile: a link in it would show the operator's own files.
        return path if path.is_file() and not path.is_symlink() else None


def find_kept(folder: SiteFolder, job: Job) -> Kept | None:
    """The best output of a job that there is: the accepted one, one that waits for others to agree, a refused one."""
    whole = job.group or job.id
    places = [("accepted", folder.results / whole)]
    places += [("candidate", place) for place in _candidates(folder, job)]
    places += [("refused", folder.storage / "refused" / unit) for unit in [job.id, *_units(folder, whole)]]
    return next((Kept(what, place) for what, place in places if (place / _OUTPUT).is_dir()), None)


async def until_over(queue: JobQueue, job: Job, timeout_s: float | None) -> tuple[Job, bool]:
    """Wait for a job's end and tell on standard error who has it; the job as it is then, and whether it has ended."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s if timeout_s is not None else None
    told: tuple[object, ...] = ()
    while job.state in {JobState.WAITING, JobState.LEASED}:
        news = (job.state, job.agent, job.attempts, job.reason)
        if news != told:
            tell(_now(queue, job))
            told = news
        if ends_at is not None and loop.time() >= ends_at:
            return job, False
        await asyncio.sleep(LOOK_S)
        job = queue.get(job.id) or job
    return job, True


def show_log(folder: SiteFolder, queue: JobQueue, job: Job, *, stderr: bool, as_json: bool) -> int:
    """Write what is kept of a job's output; the exit code."""
    kept = find_kept(folder, job)
    if as_json:
        say_json(_facts(job, kept))
        return 0 if kept else 1
    name = "stderr" if stderr else "stdout"
    path = kept.stream(name) if kept else None
    if kept is None or path is None:
        tell(f"Nothing that job {job.id} wrote on {name} is kept. {_now(queue, job)}")
        return 1
    if kept.what != "accepted":
        whose = "a refused result" if kept.what == "refused" else "a result that waits for others to agree"
        tell(f"{_now(queue, job)} This is of {whose}, in {kept.folder}:")
    if not path.stat().st_size:
        tell(f"It wrote nothing on {name}; all that it left is in {kept.folder / _OUTPUT}")
    if sys.stdout.isatty():
        with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                sys.stdout.write(printable(line, lines=True))
        sys.stdout.flush()
        return 0
    for piece in _pieces(path):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    return 0


def _now(queue: JobQueue, job: Job) -> str:
    if job.state is JobState.LEASED:
        given = [event.at for event in queue.history(job.id) if event.what in {"handed out", "claimed"}]
        since = f", since {span(time.time() - given[-1])}" if given else ""
        return printable(f"It is at work: {job.agent}{since}, attempt {job.attempts}.")
    if job.state is JobState.WAITING:
        tried = f" After {counted(job.attempts, 'attempt')}; the last: {job.reason}." if job.reason else ""
        return printable(f"It waits for an agent.{tried}")
    if job.state is JobState.DEAD:
        return printable(f"It is dead: {job.reason}.")
    return "It is done." if job.new.output else "It is done, and its exit code is all of its result."


def _candidates(folder: SiteFolder, job: Job) -> list[Path]:
    """Folders of valid results that wait for others to agree; of a copy only its own."""
    found = sorted((folder.storage / "candidates" / (job.group or job.id)).glob("*/result.json"))
    return [path.parent for path in found if not job.group or _unit_of(path) == job.id]


def _unit_of(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["job_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _units(folder: SiteFolder, whole: str) -> list[str]:
    refused = folder.storage / "refused"
    found = sorted(path.name for path in refused.glob(f"{whole}.*")) if refused.is_dir() else []
    return [name for name in found if name.removeprefix(f"{whole}.").isdecimal()]


def _facts(job: Job, kept: Kept | None) -> dict[str, Any]:
    texts: dict[str, Any] = {"stdout": None, "stderr": None}
    truncated = False
    for name in texts:
        path = kept.stream(name) if kept else None
        if path is not None:
            with path.open("rb") as file:
                texts[name] = file.read(_JSON_BYTES).decode("utf-8", "replace")
                truncated = truncated or bool(file.read(1))
    where = {"kept": kept.what if kept else None, "folder": str(kept.folder) if kept else None}
    return {"id": job.id, "state": job.state, "what": what_of(job), **where, **texts, "truncated": truncated}


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
