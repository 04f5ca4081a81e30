"""`main.py jobs cancel` and `retry`: one job, several, or all that a filter finds; and the grouping of dead ones."""

import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from client.copilot.queue.queue import PRINTED, Job, JobQueue, JobState
from client.errors import BadInput
from client.service.counter import Counter
from client.service.jobs_told import job_facts
from client.service.site_errors import JobNotChanged
from client.service.table import counted, say, say_json, tell

#: verb -> states in which it has a meaning
CHANGEABLE: Final = {"cancel": (JobState.WAITING, JobState.LEASED), "retry": (JobState.DEAD,)}
_DONE_WORD: Final = {"cancel": "cancelled", "retry": "put back"}
_MANY: Final = 500
#: numbers and ids of one reason differ from job to job
_PARTS: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|agent-[0-9a-f-]+|[0-9]+")
_ATTEMPTS: Final = re.compile(r"[0-9]+ attempts?; the last: ")


def agreed(number: int, verb: str, *, yes: bool) -> bool:
    """Whether the operator wants that.

    Raises:
        BadInput: nobody is there to be asked.
    """
    if yes:
        return True
    question = f"{verb.capitalize()} {counted(number, 'job')}?"
    if not sys.stdin.isatty():
        raise BadInput(
            f"main.py jobs {verb}", f"{counted(number, 'job')} would be changed", "add --yes if that is meant"
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def change(queue: JobQueue, verb: str, jobs: Sequence[Job], *, as_json: bool) -> int:
    """Cancel jobs or put them back; the exit code.

    Raises:
        JobNotChanged: the only one could not be.
    """
    act = queue.cancel if verb == "cancel" else queue.retry
    changed: list[str] = []
    left: list[Job] = []
    with Counter(f"Jobs to {verb}", len(jobs), quiet=len(jobs) < _MANY) as bar:
        for number, job in enumerate(jobs):
            bar.show(number)
            if act(job.group or job.id, time.time()):
                changed.append(job.group or job.id)
            else:
                left.append(job)
    if not changed and len(jobs) == 1:
        raise JobNotChanged(left[0].id, verb, left[0].state)
    if as_json:
        now = [queue.get(job_id) for job_id in changed]
        unchanged = [{"id": job.id, "state": job.state} for job in left]
        say_json({"changed": [job_facts(job) for job in now if job], "unchanged": unchanged})
    else:
        _tell_change(queue, verb, changed, left)
    return 1 if left else 0


def _tell_change(queue: JobQueue, verb: str, changed: Sequence[str], left: Sequence[Job]) -> None:
    if len(changed) == 1:
        job = queue.get(changed[0])
        say(f"{changed[0]} is {job.state if job else 'gone'} now.")
    elif changed or not left:
        say(f"{counted(len(changed), 'job')} {_DONE_WORD[verb]}.")
    for job in left:
        tell(f"{job.id} is {job.state} and was left alone.")


def dead_groups(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Dead jobs by reason, the most frequent first; those that differ in numbers or last words only are one."""
    groups: dict[str, dict[str, Any]] = {}
    for job in jobs:
        reason = _ATTEMPTS.sub("", job.reason).partition(PRINTED)[0] or "unknown"
        group = groups.setdefault(_PARTS.sub("#", reason), {"reason": reason, "number": 0, "last_at": 0.0, "jobs": []})
        group["number"] += 1
        group["last_at"] = max(group["last_at"], job.finished_at)
        group["jobs"].append(job.id)
    return sorted(groups.values(), key=lambda group: -group["number"])
