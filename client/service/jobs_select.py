"""Which jobs an operator means: by id or the beginning of one, by state, submitter and time."""

import argparse
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from client.copilot.queue.queue import Job, JobQueue, JobState
from client.errors import BadInput
from client.service.near import nearest
from client.service.site_errors import NoSuchJob

_PAGE: Final = 1000
#: So many ids that begin alike are named.
_NAMED: Final = 3
#: Among more, something is always like what was written.
_COMPARED: Final = 5000
_ALIKE: Final = 0.75
_SPAN: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([smhdw])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNIT_ID: Final = re.compile(r"(.+)(\.[0-9]{1,4})")


def find_job(queue: JobQueue, word: str) -> Job:
    """The job, or the unit of one, whose id is or begins with a word.

    Raises:
        NoSuchJob: there is none; it names one that is like it.
        BadInput: there are several.
    """
    job = queue.get(word) if word else None
    if job is not None:
        return job
    unit = _UNIT_ID.fullmatch(word)
    fitting = queue.find(word, _NAMED + 1) if word else []
    if not fitting and unit is not None:
        fitting = [found + unit[2] for found in queue.find(unit[1], _NAMED + 1)]
    if len(fitting) > 1:
        number = f"more than {_NAMED}" if len(fitting) > _NAMED else str(len(fitting))
        what = f"{number} jobs begin with {word}, as {', '.join(fitting[:_NAMED])}"
        raise BadInput("the job's id", what, "write more of it")
    job = queue.get(fitting[0]) if fitting else None
    if job is None:
        near = _near(queue, word) if word else ""
        raise NoSuchJob(word, f"did you mean {near}?") if near else NoSuchJob(word)
    return job


def _near(queue: JobQueue, word: str) -> str:
    known = [job.id for job in each_job(queue, most=_COMPARED + 1)]
    if len(known) > _COMPARED:
        return ""
    return nearest(word, known, alike=_ALIKE) or nearest(word, {job[: len(word)] for job in known}, alike=_ALIKE)


def each_job(
    queue: JobQueue,
    state: JobState | None = None,
    submitter: str = "",
    *,
    after: str = "",
    since: float = 0.0,
    most: int | None = None,
    newest: bool = False,
) -> Iterator[Job]:
    """Jobs in the order of submission, or the newest first, fetched page by page.

    Args:
        after: only those behind this one.
        since: only those submitted then or later; epoch seconds.
        most: at most so many.
    """
    given = 0
    while most is None or given < most:
        # A small wish is a small page.
        size = _PAGE if most is None or since else min(_PAGE, most - given)
        page = queue.jobs(state, size, submitter=submitter, after=after, newest=newest)
        for job in page:
            if job.submitted_at >= since and (most is None or given < most):
                given += 1
                yield job
        if len(page) < size:
            return
        after = page[-1].id


def parse_since(text: str) -> float:
    """A time: so long ago (90s, 15m, 2h, 3d, 1w), or a date with or without a time, of this computer's zone.

    Raises:
        ArgumentTypeError: it is neither.
    """
    found = _SPAN.fullmatch(text.strip())
    if found:
        return time.time() - float(found[1]) * _UNITS[found[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither so long ago (2h, 3d) nor a date (2026-11-21)") from error
