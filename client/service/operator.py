"""What an operator does with a local site: submit jobs, look at them, cancel them, put them back.

`main.py submit` and `main.py jobs`; the same as functions for tests and other programs.
"""

import argparse
import json
import random
import shutil
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from client.command_line import Parser
from client.copilot.fields import check_path
from client.copilot.managers.shelf import ACL_INPUT, make_chirp_folder
from client.copilot.managers.validate import VALIDATORS
from client.copilot.messages import JobDescription
from client.copilot.queue.queue import Job, JobState, NewJob
from client.copilot.queue.sqlite import SqliteQueue
from client.errors import BadInput
from client.service.site_errors import JobNotChanged, NoSite, NoSuchJob
from client.service.site_folder import SiteFolder

#: The demonstration: collisions with Pythia 8.
PYTHIA8: Final = Path(__file__).resolve().parents[2] / "resources" / "jobs" / "pythia8"
PYTHIA8_FILES: Final = ("run.sh", "simulate.py", "steering.cmnd")
MAX_SEED: Final = 900_000_000
MAX_JOBS: Final = 100_000


@dataclass(frozen=True)
class JobOrder:
    """Jobs to be submitted.

    Attributes:
        input_files: local files; agents find them in the work directory by their last name.
        command: name of an executable among them; arguments and environment are shell text.
        validator: name of the check of the output; empty: exit code 0 and readable output.
        expected: what the validator compares with.
        time_limit_s: None for no limit of the job's own.
        title: what volunteers read; empty: the command.
        number: so many jobs; `{n}` in arguments is replaced by 0, 1, ..., and `seed` in expected grows alike.
    """

    command: str
    input_files: Sequence[Path] = ()
    arguments: str = ""
    environment: str = ""
    packages: str = ""
    validator: str = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    time_limit_s: int | None = 3600
    number: int = 1
    priority: int = 0
    submitter: str = ""
    title: str = ""


def pythia8_orders(
    events: int,
    number: int,
    seed: int,
    *,
    reference: Mapping[str, Any] | None = None,
    time_limit_s: int = 3600,
    priority: int = 0,
) -> list[JobOrder]:
    """Orders of `number` jobs of `events` collisions each, with seeds from `seed` up.

    Args:
        reference: {histograms_sha256, sigma_mb, sigma_error_mb} that the results must equal; for one seed only.
    """
    files = [PYTHIA8 / name for name in PYTHIA8_FILES]
    orders = []
    for index in range(number):
        expected: dict[str, Any] = {"events": events, "seed": seed + index}
        if reference is not None:
            expected["reference"] = dict(reference)
        arguments = f"steering.cmnd {events} {seed + index}"
        orders.append(
            JobOrder(
                "run.sh",
                files,
                arguments,
                validator="pythia8",
                expected=expected,
                time_limit_s=time_limit_s,
                priority=priority,
                title=f"{events:,} proton-proton collisions at 13 TeV",
            )
        )
    return orders


def submit(site_folder: Path, *orders: JobOrder) -> list[str]:
    """Submit jobs to the site in a folder, whether it is up or not; returns their ids in order.

    Orders with the same input files share one copy of them. All jobs are submitted or none.

    Raises:
        NoSite: there is none.
        BadInput: an order cannot be used.
        QueueError, OSError: the queue or the disk fails.
    """
    folder = _site(site_folder)
    for order in orders:
        _check(order)
    inputs: dict[tuple[Path, ...], str] = {}
    jobs: list[NewJob] = []
    for order in orders:
        files = tuple(order.input_files)
        if files not in inputs:
            inputs[files] = _copy_input(folder, files)
        jobs += [_new_job(order, inputs[files], number) for number in range(order.number)]
    with closing(SqliteQueue(folder.queue)) as queue:
        queue.submit(jobs, time.time())
    return [job.description.id for job in jobs]


def job_counts(site_folder: Path) -> dict[JobState, int]:
    """How many jobs are in each state.

    Raises:
        NoSite: there is no site in that folder.
    """
    with closing(_queue(site_folder)) as queue:
        return queue.counts()


def get_job(site_folder: Path, job_id: str) -> Job:
    """A job.

    Raises:
        NoSite, NoSuchJob: there is none.
    """
    with closing(_queue(site_folder)) as queue:
        job = queue.get(job_id)
    if job is None:
        raise NoSuchJob(job_id)
    return job


def _site(site_folder: Path) -> SiteFolder:
    folder = SiteFolder(site_folder.absolute())
    if not folder.plan.exists():
        raise NoSite(str(site_folder))
    return folder


def _queue(site_folder: Path) -> SqliteQueue:
    return SqliteQueue(_site(site_folder).queue)


def _check(order: JobOrder) -> None:
    wrong = []
    names = [path.name for path in order.input_files]
    wrong += [f"{path} is not a file" for path in order.input_files if not path.is_file()]
    if len(set(names)) != len(names):
        wrong.append("two input files have the same name")
    if order.validator and order.validator not in VALIDATORS:
        wrong.append(f"there is no validator {order.validator}; there are: {', '.join(VALIDATORS)}")
    if not 1 <= order.number <= MAX_JOBS:
        wrong.append(f"the number of jobs must be from 1 to {MAX_JOBS}")
    if order.time_limit_s is not None and order.time_limit_s < 1:
        wrong.append("the time limit must be at least 1 s")
    for name in [*names, order.command]:
        try:
            check_path(name)
        except ValueError as error:
            wrong.append(f"{name!r} {error}")
        if "###" in name:
            wrong.append(f"{name!r} holds ###, which separates names")
    if wrong:
        raise BadInput("the order", "; ".join(wrong), "correct it and submit again")


def _copy_input(folder: SiteFolder, files: tuple[Path, ...]) -> str:
    """Copy input files to a folder of their own on the file server; returns its name."""
    if not files:
        return ""
    name = f"in-{uuid.uuid4()}"
    target = make_chirp_folder(folder.chirp_root, name, ACL_INPUT)
    for path in files:
        shutil.copyfile(path, target / path.name)
    return name


def _new_job(order: JobOrder, input_dir: str, number: int) -> NewJob:
    description = JobDescription(
        id=str(uuid.uuid4()),
        input_dir=input_dir,
        input_files=tuple(path.name for path in order.input_files),
        command=order.command,
        arguments=order.arguments.replace("{n}", str(number)),
        environment=order.environment,
        packages=order.packages,
        time_limit_s=order.time_limit_s,
        title=order.title,
    )
    return NewJob(description, order.validator, dict(order.expected), order.priority, order.submitter)


def main_submit(argv: list[str]) -> int:
    """`main.py submit`; returns the exit code."""
    given = _submit_parser().parse_args(argv)
    ids = submit(given.site, *_orders(given))
    if given.json:
        print(json.dumps(ids))
    else:
        print(f"{len(ids)} {'job' if len(ids) == 1 else 'jobs'} submitted:")
        print("\n".join(f"  {job_id}" for job_id in ids))
    return 0


def _submit_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="main.py submit", description="Submits jobs to a local site.")
    parser.add_argument("--site", type=Path, required=True, help="folder of the site")
    parser.add_argument("--number", type=int, default=1, help="so many jobs")
    parser.add_argument("--time-limit", type=int, default=3600, metavar="SECONDS", help="longest time of one job")
    parser.add_argument("--priority", type=int, default=0, help="higher goes first")
    parser.add_argument("--json", action="store_true", help="print the ids as JSON")
    demo = parser.add_argument_group("proton-proton collisions with Pythia 8")
    demo.add_argument("--events", type=int, default=200, help="collisions of one job")
    demo.add_argument("--seed", type=int, help="of the first job; the next ones count up (default: any)")
    demo.add_argument("--reference", type=Path, help="JSON file with the result that must come out")
    own = parser.add_argument_group("a program of your own")
    own.add_argument("--command", help="executable among the input files")
    own.add_argument("--input-files", type=Path, nargs="*", default=[], metavar="FILE")
    own.add_argument("--arguments", default="", help="shell text; {n} becomes 0, 1, ... of --number")
    own.add_argument("--environment", default="", help="shell text, as `export NAME=value`")
    own.add_argument("--packages", default="", help="names of software packages, separated by blanks")
    own.add_argument("--title", default="", help="what volunteers read of the job")
    own.add_argument("--validator", default="", help=f"check of the output: {', '.join(VALIDATORS)}")
    return parser


def _orders(given: argparse.Namespace) -> list[JobOrder]:
    if given.command:
        return [
            JobOrder(
                given.command,
                given.input_files,
                given.arguments,
                given.environment,
                given.packages,
                given.validator,
                time_limit_s=given.time_limit,
                number=given.number,
                priority=given.priority,
                title=given.title,
            )
        ]
    if given.events < 1 or not 1 <= given.number <= MAX_JOBS:
        raise BadInput("the command line", "--events and --number must be at least 1", "give other numbers")
    seed = random.randint(1, MAX_SEED - MAX_JOBS) if given.seed is None else given.seed
    if not 1 <= seed <= MAX_SEED - given.number:
        raise BadInput("--seed", f"it must be from 1 to {MAX_SEED - given.number}", "give another one")
    reference = _read_reference(given.reference) if given.reference else None
    return pythia8_orders(
        given.events,
        given.number,
        seed,
        reference=reference,
        time_limit_s=given.time_limit,
        priority=given.priority,
    )


def _read_reference(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return {
            "histograms_sha256": str(said["histograms_sha256"]),
            "sigma_mb": float(said["sigma_mb"]),
            "sigma_error_mb": float(said["sigma_error_mb"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(str(path), f"it is no reference ({error})", "give a summary.json of an earlier run") from error


def main_jobs(argv: list[str]) -> int:
    """`main.py jobs`; returns the exit code."""
    parser = Parser(prog="main.py jobs", description="Lists and handles the jobs of a local site.")
    parser.add_argument("--site", type=Path, required=True, help="folder of the site")
    parser.add_argument("verb", nargs="?", default="list", choices=("list", "show", "cancel", "retry"))
    parser.add_argument("job", nargs="?", default="", help="id of the job; its first letters suffice")
    parser.add_argument("--limit", type=int, default=50, help="list: at most so many")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(argv)
    with closing(_queue(given.site)) as queue:
        if given.verb == "list":
            return _list(queue, given.limit, as_json=given.json)
        job = _find(queue, given.job)
        if given.verb == "show":
            return _show(queue, job, SiteFolder(given.site), as_json=given.json)
        return _change(queue, job, given.verb, as_json=given.json)


def _find(queue: SqliteQueue, word: str) -> Job:
    job = queue.get(word)
    if job is not None:
        return job
    fitting = [job for job in queue.jobs(limit=MAX_JOBS) if word and job.id.startswith(word)]
    if len(fitting) != 1:
        raise NoSuchJob(word)
    return fitting[0]


def _list(queue: SqliteQueue, limit: int, *, as_json: bool) -> int:
    counts, jobs = queue.counts(), queue.jobs(limit=limit)
    if as_json:
        print(json.dumps({"counts": counts, "jobs": [_facts(job) for job in jobs]}))
        return 0
    print(", ".join(f"{number} {state}" for state, number in counts.items()))
    for job in jobs:
        tried = f"{job.attempts} attempt" + ("s" if job.attempts != 1 else " ")
        print(f"{job.id}  {job.state:8} {tried}  {job.reason or job.agent}".rstrip())
    if sum(counts.values()) > len(jobs):
        print(f"... and {sum(counts.values()) - len(jobs)} more")
    return 0


def _show(queue: SqliteQueue, job: Job, folder: SiteFolder, *, as_json: bool) -> int:
    history = queue.history(job.id)
    result = folder.results / job.id
    if as_json:
        facts = _facts(job) | {"order": asdict(job.new), "history": [asdict(event) for event in history]}
        print(json.dumps(facts | {"result": str(result) if result.is_dir() else None}))
        return 0
    print(f"{job.id}: {job.state}{f' ({job.reason})' if job.reason else ''}")
    print(f"  {job.new.description.command} {job.new.description.arguments}")
    if result.is_dir():
        print(f"  result: {result}")
    for event in history:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
        print(f"  {at}  {event.what}  {event.agent}  {event.detail}".rstrip())
    return 0


def _change(queue: SqliteQueue, job: Job, verb: str, *, as_json: bool) -> int:
    done = queue.cancel(job.id, time.time()) if verb == "cancel" else queue.retry(job.id, time.time())
    if not done:
        raise JobNotChanged(job.id, verb, job.state)
    now = queue.get(job.id) or job
    sys.stdout.write((json.dumps(_facts(now)) if as_json else f"{now.id} is {now.state} now.") + "\n")
    return 0


def _facts(job: Job) -> dict[str, Any]:
    facts = asdict(job)
    del facts["new"]
    return {"id": job.id} | facts
