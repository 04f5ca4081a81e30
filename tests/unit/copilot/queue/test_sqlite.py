import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import Replication
from client.copilot.queue.schema import STEPS
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.queue.contract import TERMS, A, MakeQueue, QueueContract
from tests.unit.copilot.queue.jobs import new_job


@pytest.fixture
def make_queue(tmp_path: Path) -> MakeQueue:
    return lambda terms: SqliteQueue(tmp_path / "queue.sqlite", terms)


class TestSqliteQueue(QueueContract):
    pass


def test_the_queue_of_an_older_version_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(STEPS[0] + "PRAGMA user_version = 1")
    queue = SqliteQueue(path, TERMS)
    queue.submit([new_job("one")], 0)
    assert queue.may_work(A, 0)
    queue.close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(QueueUnusable, match="newer"):
        SqliteQueue(path)


def test_a_file_that_is_no_queue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(QueueUnusable):
        SqliteQueue(path)


def test_handing_out_searches_by_index(make_queue: MakeQueue) -> None:
    queue = make_queue(TERMS)
    assert isinstance(queue, SqliteQueue)
    queue.submit([new_job("one"), new_job("two", replication=Replication(2, 2))], 0)
    said: list[str] = []
    queue._db.set_trace_callback(said.append)
    for number in range(3):
        assert queue.hand_out(f"{number}@x/1", number * 50, extends=True)
    queue._db.set_trace_callback(None)
    asked = [statement for statement in said if statement.startswith(("SELECT", "UPDATE"))]
    plans = {row["detail"] for ask in asked for row in queue._db.execute(f"EXPLAIN QUERY PLAN {ask}")}
    queue.close()
    assert {"jobs_waiting", "jobs_leased"} <= {word for plan in plans for word in plan.split()}
    assert not [plan for plan in plans if "SCAN jobs" in plan or ("B-TREE" in plan and "jobs" in plan)]
