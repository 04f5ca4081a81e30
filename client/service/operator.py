"""What an operator does with a site, as functions for commands, tests and other programs: order jobs, look at them."""

import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, overload

from client.copilot.managers.chirp_folder import ACL_INPUT, make_chirp_folder
from client.copilot.messages import JobDescription
from client.copilot.queue.errors import RedisUnusable
from client.copilot.queue.queue import PILOT_ATTRIBUTE, Job, JobState, NewJob, Replication
from client.errors import ClientError
from client.service.order_check import MAX_JOBS, check_orders
from client.service.site_errors import NoSite, NoSuchJob
from client.service.site_folder import SiteFolder
from client.service.site_plan import load_plan
from client.service.site_queue import open_site_queue
from client.service.submit_requirements import all_of

__all__ = [
    "MAX_JOBS",
    "MAX_SEED",
    "PYTHIA8",
    "JobOrder",
    "existing",
    "get_job",
    "job_counts",
    "pythia8_orders",
    "submit",
    "submit_original",
]

#: The demonstration: collisions with Pythia 8.
PYTHIA8: Final = Path(__file__).resolve().parents[2] / "resources" / "jobs" / "pythia8"
#: Of agents without a guest only those have it that are told where it is; guests of any version do not speak of it.
NEEDS_SOFTWARE: Final = '!(other.Software == "none")'
PYTHIA8_FILES: Final = ("run.sh", "simulate.py", "steering.cmnd")
MAX_SEED: Final = 900_000_000
_NUMBER: Final = re.compile(r"(?<!\$)\{n\}")
_TELL_EACH: Final = 1000


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
        number: so many jobs; `{n}` in arguments, environment and title is replaced by 0, 1, ...
        literal: nothing is replaced.
        requirements: expression over what agents say of their computer; empty: any will do.
        replication: how many results must agree.
        output: False: the exit code is the result, nothing is uploaded.
        max_attempts: None: as the site's queue has it.
        validation_script: name of an input file that is run after the job; it fails when that does.
        pilot_service: the outside service that the job needs a token of; empty for none.
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
    literal: bool = False
    requirements: str = ""
    replication: Replication = field(default_factory=Replication)
    output: bool = True
    max_attempts: int | None = None
    validation_script: str = ""
    pilot_service: str = ""


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
                requirements=NEEDS_SOFTWARE,
                expected=expected,
                time_limit_s=time_limit_s,
                priority=priority,
                title=f"{events:,} proton-proton collisions at 13 TeV",
            )
        )
    return orders


def submit(site_folder: Path, *orders: JobOrder, on_taken: Callable[[int], None] = lambda _: None) -> list[str]:
    """Submit jobs to the site in a folder, whether it is up or not; returns their ids in order.

    Orders with the same input files share one copy of them. All jobs are submitted or none.

    Args:
        on_taken: told from time to time how many the queue has been given; none of them is submitted before the end.

    Raises:
        NoSite: there is none.
        BadInput, BadRequirements: an order cannot be used.
        QueueError, OSError: the queue or the disk fails.
    """
    folder = existing(site_folder)
    check_orders(orders)
    with _made_jobs(folder, orders) as jobs, closing(open_site_queue(folder)) as queue:
        queue.submit(_Counted(jobs, on_taken), time.time())
    return [job.description.id for job in jobs]


def submit_original(site_folder: Path, url: str, *orders: JobOrder) -> list[str]:
    """Submit jobs to the Redis queue of an original Co-Pilot's job manager; returns their ids in order.

    Their input is on this site's file server. What the original knows nothing of is not sent.

    Args:
        url: `redis://host:port/number`.

    Raises:
        NoSite, BadInput, RedisUnusable, OSError
    """
    # What few ask for, and takes longer to load than all the rest.
    from client.copilot.queue.redis_original import push_original
    from client.service.site_files import chirp_address

    folder = existing(site_folder)
    check_orders(orders)
    address = chirp_address(load_plan(folder.plan))
    with _made_jobs(folder, orders) as jobs:
        push_original(url, [replace(job.description, chirp_url=address) for job in jobs])
    return [job.description.id for job in jobs]


@contextmanager
def _made_jobs(folder: SiteFolder, orders: Sequence[JobOrder]) -> Iterator[list[NewJob]]:
    """The jobs of orders, with their input on the file server; it goes away when they cannot be submitted."""
    inputs: dict[tuple[Path, ...], str] = {}

    def give_up() -> None:
        for name in filter(None, inputs.values()):
            shutil.rmtree(folder.chirp_root / name, ignore_errors=True)

    try:
        jobs = _new_jobs(folder, orders, inputs)
    except BaseException:
        give_up()
        raise
    try:
        yield jobs
    except RedisUnusable:
        # It may have taken them, so their input stays. So it does after Ctrl+C, which may have come just too late.
        raise
    except (ClientError, OSError):
        give_up()
        raise


def _new_jobs(folder: SiteFolder, orders: Sequence[JobOrder], inputs: dict[tuple[Path, ...], str]) -> list[NewJob]:
    """The jobs of orders. inputs: files -> their folder on the file server; what is missing is copied and added."""
    jobs: list[NewJob] = []
    for order in orders:
        files = tuple(order.input_files)
        if files not in inputs:
            # Known before it is full, so that what a full disk left of it goes away too.
            inputs[files] = f"in-{uuid.uuid4()}" if files else ""
            _copy_input(folder, files, inputs[files])
        jobs += [_new_job(order, inputs[files], number) for number in range(order.number)]
    return jobs


class _Counted(Sequence[NewJob]):
    """Jobs that tell how many of them were looked at."""

    def __init__(self, jobs: Sequence[NewJob], on_taken: Callable[[int], None]) -> None:
        self._jobs = jobs
        self._on_taken = on_taken

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, which: int) -> NewJob: ...

    @overload
    def __getitem__(self, which: slice) -> Sequence[NewJob]: ...

    def __getitem__(self, which: int | slice) -> NewJob | Sequence[NewJob]:
        return self._jobs[which]

    def __iter__(self) -> Iterator[NewJob]:
        for number, job in enumerate(self._jobs):
            if number % _TELL_EACH == 0:
                self._on_taken(number)
            yield job
        self._on_taken(len(self._jobs))


def job_counts(site_folder: Path) -> dict[JobState, int]:
    """How many jobs are in each state.

    Raises:
        NoSite: there is no site in that folder.
    """
    with closing(open_site_queue(existing(site_folder))) as queue:
        return queue.counts()


def get_job(site_folder: Path, job_id: str) -> Job:
    """A job.

    Raises:
        NoSite, NoSuchJob: there is none.
    """
    with closing(open_site_queue(existing(site_folder))) as queue:
        job = queue.get(job_id)
    if job is None:
        raise NoSuchJob(job_id)
    return job


def existing(site_folder: Path) -> SiteFolder:
    """The files of a site.

    Raises:
        NoSite: there is none in that folder.
    """
    folder = SiteFolder(site_folder.absolute())
    if not folder.plan.exists():
        raise NoSite(str(site_folder))
    return folder


def _copy_input(folder: SiteFolder, files: tuple[Path, ...], name: str) -> None:
    """Copy input files to a folder of their own on the file server."""
    if not files:
        return
    target = make_chirp_folder(folder.chirp_root, name, ACL_INPUT)
    for path in files:
        shutil.copyfile(path, target / path.name)


def _requirements(order: JobOrder) -> str:
    """What the order asks for; a job that needs a token is not for agents that do not know how to get one."""
    if not order.pilot_service:
        return order.requirements
    pilot = f'other.{PILOT_ATTRIBUTE} == "yes"'
    return all_of(order.requirements, pilot)


def _new_job(order: JobOrder, input_dir: str, number: int) -> NewJob:
    def numbered(text: str) -> str:
        return text if order.literal else _NUMBER.sub(str(number), text)

    description = JobDescription(
        id=str(uuid.uuid4()),
        input_dir=input_dir,
        input_files=tuple(path.name for path in order.input_files),
        command=order.command,
        arguments=numbered(order.arguments),
        environment=numbered(order.environment),
        packages=order.packages,
        validation_script=order.validation_script,
        time_limit_s=order.time_limit_s,
        title=numbered(order.title),
        pilot_service=order.pilot_service,
    )
    return NewJob(
        description,
        order.validator,
        order.expected,
        order.priority,
        order.submitter,
        _requirements(order),
        order.replication,
        order.output,
        order.max_attempts,
    )
