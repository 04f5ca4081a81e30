import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from client.copilot.queue import file
from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import Replication
from client.copilot.queue.schema import STEPS
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.queue.contract import TERMS, A, MakeQueue, QueueContract, hand_out
from tests.unit.copilot.queue.contract_copies import CopiesContract
from tests.unit.copilot.queue.contract_past import PastContract
from tests.unit.copilot.queue.contract_shares import SharesContract
from tests.unit.copilot.queue.jobs import new_job


@pytest.fixture
def make_queue(tmp_path: Path) -> MakeQueue:
    return lambda terms: SqliteQueue(tmp_path / "queue.sqlite", terms)


class TestSqliteQueue(QueueContract):
    pass


class TestShares(SharesContract):
    pass


class TestCopies(CopiesContract):
    pass


class TestPast(PastContract):
    pass


OLD_ORDER = (
    '{"description":{"id":"%s","chirp_url":"","input_dir":"in-1","input_files":["run.sh"],"command":"run.sh",'
    '"arguments":"1","environment":"","packages":"","validation_script":"","time_limit_s":60,"title":""},'
    '"validator":"","expected":{},"priority":%d,"submitter":"%s"}'
)
OLD_GUESTS = [f"agent-{day}-0123456789abcdef-{day}123456789abcdef@x" for day in (1, 2)]


def make_old_queue(path: Path, version: int) -> None:
    """A queue of an earlier version: two jobs wait, one is out, one is done."""
    jobs = [
        ("one", "waiting", 0, "me"),
        ("two", "leased", 0, "me"),
        ("three", "done", 0, ""),
        ("urgent", "waiting", 5, ""),
    ]
    with closing(sqlite3.connect(path)) as old:
        old.executescript("".join(STEPS[:version]) + f"PRAGMA user_version = {version}")
        for job_id, was, priority, submitter in jobs:
            order = OLD_ORDER % (job_id, priority, submitter)
            old.execute(
                "INSERT INTO jobs (id, state, priority, order_json, time_limit_s, submitted_at, lease_ends_at, agent,"
                " lease_id) VALUES (?, ?, ?, ?, 60, 1, 100, ?, ?)",
                (job_id, was, priority, order, A if was == "leased" else "", f"lease-{job_id}"),
            )
        if version > 1:
            old.executemany("INSERT INTO failures VALUES (?, ?, 1000)", zip(OLD_GUESTS, (1, 5), strict=True))
        old.commit()


@pytest.mark.parametrize("version", [1, 2])
def test_the_queue_of_an_older_version_is_taken_up_and_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "queue.sqlite"
    make_old_queue(path, version)
    with closing(SqliteQueue(path, TERMS)) as queue:
        assert queue.counts() == {"waiting": 2, "leased": 1, "done": 1, "dead": 0}
        assert [job.new.submitter for job in queue.jobs()] == ["me", "me", "", ""]
        assert queue.may_work(f"{OLD_GUESTS[0]}/1", 1010) is (version == 1)
        queue.submit([new_job("new")], 2)
        assert queue.expire(150) == ["two"]
        got = [hand_out(queue, f"{n}@x/1", 200).job.id for n in range(4)]
        assert (got[0], sorted(got[1:]), queue.has_work()) == ("urgent", ["new", "one", "two"], False)


def test_the_queue_of_a_newer_version_is_left_alone(make_queue: MakeQueue, tmp_path: Path) -> None:
    make_queue(TERMS).close()
    with closing(sqlite3.connect(tmp_path / "queue.sqlite")) as newer:
        newer.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(QueueUnusable, match="newer"):
        make_queue(TERMS)


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


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("was", [None, 0o644, 0o666])
def test_the_file_is_its_owners_alone_also_one_of_a_version_before(tmp_path: Path, was: int | None) -> None:
    path = tmp_path / "queue.sqlite"
    if was is not None:
        with closing(sqlite3.connect(path)) as old:
            old.execute("PRAGMA journal_mode = WAL")
            old.execute("CREATE TABLE other (x)")
            for part in tmp_path.iterdir():
                part.chmod(was)
            with closing(SqliteQueue(path)):
                assert modes(tmp_path) == dict.fromkeys(["queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"], 0o600)
    with closing(SqliteQueue(path)) as queue:
        queue.submit([new_job("one")], 0)
        assert modes(tmp_path) == dict.fromkeys(["queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"], 0o600)


def test_the_log_is_cut_down_while_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOG_LIMIT_BYTES", 50_000)
    monkeypatch.setattr(file, "_CUT_TIMEOUT_S", 0.01)
    path, log = tmp_path / "queue.sqlite", tmp_path / "queue.sqlite-wal"
    with closing(SqliteQueue(path)) as queue, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        queue.submit([new_job(f"job-{n}") for n in range(300)], 0)
        grown = log.stat().st_size
        assert grown > 100_000
        queue.expire(1)
        assert log.stat().st_size >= grown, "somebody reads what it was before"
        reader.execute("COMMIT")
        queue.submit([new_job("more")], 0)
        queue.expire(2)
        assert log.stat().st_size > 50_000, "it is not tried again at once"
        queue.submit([new_job(f"again-{n}") for n in range(700)], 0)
        queue.expire(3)
        assert log.stat().st_size <= 50_000
        assert queue.counts()["waiting"] == 1001
