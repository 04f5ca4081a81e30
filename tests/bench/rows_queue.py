"""The queue of jobs: handing out must not take longer because more jobs wait."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from client.copilot.messages import JobDescription
from client.copilot.queue.queue import NewJob, Replication
from client.copilot.queue.sqlite import SqliteQueue
from tests.bench.harness import Row, against, at_least, bench, plain

FEW, MANY, BATCH, TRIALS = 1_000, 1_000_000, 50_000, 200
SUBMITTERS = ("atlas", "alice", "cms", "lhcb")
REQUIREMENTS = ("", "other.Memory >= 2000", 'other.Platform == "Linux-x86_64" && Memory > 1000')
#: One in so many jobs is done twice.
REPLICATED = 10
HOST = {"Memory": "4000", "Platform": "Linux-x86_64"}


@bench("queue hand out")
def hand_out() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        folder = Path(name)
        with closing(SqliteQueue(folder / "few.sqlite")) as few, closing(SqliteQueue(folder / "many.sqlite")) as many:
            _fill(few, FEW)
            began = time.perf_counter()
            _fill(many, MANY)
            filled = MANY / (time.perf_counter() - began)
            # One after the other, so that what else the computer does falls on both alike.
            pairs = [(_time_ms(few, number), _time_ms(many, number)) for number in range(TRIALS)]
    few_ms, many_ms = zip(*pairs, strict=True)
    words = f"with {FEW:,} jobs waiting"
    yield against(f"queue hand out: one of {MANY:,} jobs waiting", list(many_ms), "ms", words, list(few_ms), 1.5)
    yield plain("queue hand out: the same, 99th of 100", [statistics.quantiles(many_ms, n=100)[98]], "ms")
    yield at_least("queue fill: jobs submitted", [filled], "jobs/s", 10_000)


def _fill(queue: SqliteQueue, number: int) -> None:
    for first in range(0, number, BATCH):
        queue.submit([_job(index) for index in range(first, min(first + BATCH, number))], 0)


def _job(index: int) -> NewJob:
    description = JobDescription(
        f"job-{index}", input_dir="in-1", input_files=("run.sh",), command="run.sh", arguments=str(index)
    )
    return NewJob(
        description,
        submitter=SUBMITTERS[index % len(SUBMITTERS)],
        requirements=REQUIREMENTS[index % len(REQUIREMENTS)],
        replication=Replication(2, 2) if index % REPLICATED == 0 else Replication(),
    )


def _time_ms(queue: SqliteQueue, number: int) -> float:
    began = time.perf_counter()
    lease = queue.hand_out(f"{number}@x/1", 1.0, extends=True, host=HOST)
    taken_ms = (time.perf_counter() - began) * 1000
    assert lease is not None
    return taken_ms
