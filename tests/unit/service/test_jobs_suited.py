"""Who may do a job that waits."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from client.copilot.queue.queue import SeenAgent
from client.copilot.queue.sqlite import SqliteQueue
from client.service.jobs_suited import LATELY_S, Suited, look_for_suited, suited_facts, suited_line
from tests.unit.copilot.queue.jobs import new_job

NOW = 1_000_000.0
NEEDS = 'other.Memory >= 64000 && Platform == "Linux-x86_64"'


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    with closing(SqliteQueue(tmp_path / "queue.sqlite")) as queue:
        yield queue


def see(queue: SqliteQueue, *memories: int, at: float = NOW - 60, platform: str = "Linux-x86_64") -> None:
    hosts = [{"Memory": str(memory), "Platform": platform} for memory in memories]
    queue.note_agents([SeenAgent(f"{platform}-{n}@x/1", host, at) for n, host in enumerate(hosts)], NOW)


def look(queue: SqliteQueue, requirements: str = NEEDS, **more: Any) -> Suited | None:
    queue.submit([new_job("one", requirements=requirements, **more)], 0)
    job = queue.get("one")
    assert job is not None
    return look_for_suited(queue, job, NOW)


def test_what_rules_most_out_is_named(queue: SqliteQueue) -> None:
    see(queue, 2000, 4000, 70000, platform="Darwin-arm64")
    see(queue, 2000)
    assert look(queue) == Suited(4, 0, {"Memory >= 64000": 3, 'Platform == "Linux-x86_64"': 3})
    see(queue, 1, 1, 1, 70000, platform="Plan9")
    job = queue.get("one")
    assert job is not None
    assert suited_line(look_for_suited(queue, job, NOW)) == (
        "nobody: of 8 computers that asked in the last 60 min none meets the requirements;"
        ' Platform == "Linux-x86_64" rules out 7'
    )


def test_a_single_part_is_not_repeated(queue: SqliteQueue) -> None:
    see(queue, 2000)
    assert suited_line(look(queue, "Memory >= 64000")) == (
        "nobody: of 1 computer that asked in the last 60 min none meets the requirements"
    )


def test_those_who_may_are_counted(queue: SqliteQueue) -> None:
    see(queue, 2000, 65000, 66000)
    assert suited_line(look(queue)) == "2 of 3 computers that asked in the last 60 min"


def test_who_asked_long_ago_does_not_count(queue: SqliteQueue) -> None:
    see(queue, 65000, at=NOW - LATELY_S - 1)
    suited = look(queue)
    assert suited == Suited(0, 0, {})
    assert suited_line(suited) == "nobody: no computer asked for a job in the last 60 min"
    assert suited_facts(suited) == {"seen": 0, "meet": 0, "fails": {}, "within_s": LATELY_S}


def test_nothing_is_said_of_a_job_that_does_not_wait(queue: SqliteQueue) -> None:
    look(queue, "")
    assert queue.hand_out("a@x/1", NOW, extends=True)
    job = queue.get("one")
    assert job is not None
    suited = look_for_suited(queue, job, NOW)
    assert (suited, suited_facts(suited), suited_line(suited)) == (None, None, "")
