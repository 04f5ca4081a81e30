"""`main.py jobs`: see jobs, read what they wrote, cancel them, put them back, wait for them."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any, Final

from client.copilot.queue.queue import JobQueue, JobState
from client.errors import BadInput
from client.service.counter import Counter
from client.service.job_watch import until_ended
from client.service.jobs_arguments import PROG, build_parser, with_verb
from client.service.jobs_change import CHANGEABLE, agreed, change, dead_groups
from client.service.jobs_ended import ended_facts, say_ended, watcher
from client.service.jobs_log import TIME_OVER, show_log, until_over
from client.service.jobs_select import each_job, find_job
from client.service.jobs_suited import look_for_suited, suited_facts, suited_line
from client.service.jobs_told import COLUMNS, event_line, job_facts, job_lines, job_row, order_facts
from client.service.site_argument import existing_site
from client.service.site_folder import SiteFolder
from client.service.site_queue import open_site_queue
from client.service.table import ago, clock, counted, say, say_json, say_table, tell

__all__ = ["build_parser", "main"]

#: Between two steps managers have their turn; who waits for a SQLite file looks at it ten times a second.
_TURN_S: Final = 0.12
_DEAD_COLUMNS: Final = ("JOBS", "LAST", "FOR EXAMPLE", "REASON")


def main(argv: list[str]) -> int:
    """`main.py jobs`; returns the exit code."""
    given = build_parser().parse_args(with_verb(argv))
    folder = existing_site(given, PROG)
    with closing(open_site_queue(folder)) as queue:
        return _VERBS[given.verb](given, folder, queue)


def _list(given: argparse.Namespace, _: SiteFolder, queue: JobQueue) -> int:
    if given.limit < 1:
        raise BadInput("--limit", "it must be at least 1", "give another number")
    after = find_job(queue, given.after).id if given.after else ""
    state = JobState(given.state) if given.state else None
    # One more than is shown tells whether there are more.
    jobs = list(
        each_job(
            queue, state, given.submitter, after=after, since=given.since, most=given.limit + 1, newest=not given.oldest
        )
    )
    following = jobs[given.limit - 1].id if len(jobs) > given.limit else None
    jobs, counts = jobs[: given.limit], queue.counts()
    if given.json:
        say_json({"counts": counts, "jobs": [job_facts(job) for job in jobs], "next": following})
        return 0
    say(", ".join(f"{number:,} {name}" for name, number in counts.items()))
    if "" in queue.drained():
        tell("The site is drained: nobody gets a new job. To go on: main.py drain --off")
    if jobs:
        short = sys.stdout.isatty()
        say_table(COLUMNS, (job_row(job, short=short) for job in jobs), right=("TRIES",))
    if following:
        tell(f"There are more; the next page: --after {following}")
    return 0


def _show(given: argparse.Namespace, folder: SiteFolder, queue: JobQueue) -> int:
    job = find_job(queue, given.job)
    history, candidates = queue.history(job.id), queue.candidates(job.id)
    place = folder.results / (job.group or job.id)
    result = place if place.is_dir() else None
    suited = look_for_suited(queue, job, time.time())
    if given.json:
        more = {"order": order_facts(job), "history": [asdict(event) for event in history]}
        found: dict[str, Any] = {
            "result": str(result) if result else None,
            "candidates": [asdict(one) for one in candidates],
        }
        found["suited"] = suited_facts(suited)
        say_json(job_facts(job) | more | found)
        return 0
    for line in [
        *job_lines(job, candidates, result, suited_line(suited)),
        *(event_line(event, job.id) for event in history),
    ]:
        say(line)
    return 0


def _log(given: argparse.Namespace, folder: SiteFolder, queue: JobQueue) -> int:
    job = find_job(queue, given.job)
    if given.follow:
        job, is_over = asyncio.run(until_over(queue, job, given.timeout))
        if not is_over:
            tell(f"It has not ended within {given.timeout:g} s.")
            return TIME_OVER
    return show_log(folder, queue, job, stderr=given.stderr, as_json=given.json)


def _change(given: argparse.Namespace, _: SiteFolder, queue: JobQueue) -> int:
    verb: str = given.verb
    is_filtered = bool(given.state or given.submitter or given.since)
    if bool(given.jobs) == is_filtered:
        what = "ids and a filter do not go together" if given.jobs else "it was not said which jobs"
        raise BadInput(f"{PROG} {verb}", what, "write the ids, or a filter such as --state or --submitter")
    if given.jobs:
        jobs = [find_job(queue, word) for word in given.jobs]
    else:
        states = [JobState(given.state)] if given.state else CHANGEABLE[verb]
        wrong = [state for state in states if state not in CHANGEABLE[verb]]
        if wrong:
            raise BadInput("--state", f"{wrong[0]} jobs cannot {verb}", f"choose {' or '.join(CHANGEABLE[verb])}")
        found = (each_job(queue, state, given.submitter, since=given.since) for state in states)
        jobs = [job for some in found for job in some]
    if is_filtered and jobs and not agreed(len(jobs), verb, yes=given.yes):
        tell("Nothing was changed.")
        return 1
    return change(queue, verb, jobs, as_json=given.json)


def _dead(given: argparse.Namespace, _: SiteFolder, queue: JobQueue) -> int:
    groups = dead_groups(each_job(queue, JobState.DEAD, given.submitter, since=given.since))
    number = sum(group["number"] for group in groups)
    if given.json:
        say_json({"number": number, "groups": groups})
        return 0
    say(f"{counted(number, 'dead job')}.")
    if groups:
        is_drawn = sys.stdout.isatty()
        rows = [
            (
                group["number"],
                ago(group["last_at"], time.time()) if is_drawn else clock(group["last_at"]).replace(" ", "T"),
                group["jobs"][0][:8] if is_drawn else group["jobs"][0],
                group["reason"],
            )
            for group in groups
        ]
        say_table(_DEAD_COLUMNS, rows, right=("JOBS",), wrap=True)
        tell("To let them wait again: main.py jobs retry --state dead")
    return 0


def _wait(given: argparse.Namespace, _: SiteFolder, queue: JobQueue) -> int:
    if given.jobs:
        ids = [find_job(queue, word).id for word in given.jobs]
    else:
        states = (JobState.WAITING, JobState.LEASED)
        ids = [job.id for state in states for job in each_job(queue, state, given.submitter)]
        if not ids and not given.json:
            say("No job waits, and none is at work.")
            return 0
    with Counter("Jobs", len(ids), quiet=given.json) as bar:
        ended, is_over = asyncio.run(until_ended(queue, ids, watcher(bar), given.timeout))
    if given.json:
        say_json({"number": len(ids), **ended_facts(ended), "over": is_over})
    else:
        say_ended(ended)
    if not is_over:
        tell(f"{counted(len(ids) - ended.number, 'job')} had not ended within {given.timeout:g} s.")
        return TIME_OVER
    return 0 if ended.done == len(ids) else 1


async def _forget(queue: JobQueue, before: float, bar: Counter) -> int:
    forgotten = 0
    while pruned := queue.prune(before, time.time()):
        forgotten += pruned
        bar.show(forgotten)
        await asyncio.sleep(_TURN_S)
    return forgotten


def _prune(given: argparse.Namespace, folder: SiteFolder, queue: JobQueue) -> int:
    counts = queue.counts()
    with Counter("Jobs forgotten", counts[JobState.DONE] + counts[JobState.DEAD], quiet=True) as bar:
        forgotten = asyncio.run(_forget(queue, given.older_than, bar))
    if given.json:
        say_json({"forgotten": forgotten})
        return 0
    say(f"{counted(forgotten, 'job')} forgotten.")
    if forgotten:
        tell(f"Their results stay in {folder.results}")
    return 0


_VERBS: Final[Mapping[str, Callable[[argparse.Namespace, SiteFolder, JobQueue], int]]] = {
    "list": _list,
    "show": _show,
    "log": _log,
    "cancel": _change,
    "retry": _change,
    "dead": _dead,
    "wait": _wait,
    "prune": _prune,
}
