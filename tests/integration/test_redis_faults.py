"""Redis that is down, hangs, refuses, forgets its answers or is killed: nothing is lost, nothing is done twice."""

import itertools
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client.copilot.queue.errors import JobExists, RedisUnusable
from client.copilot.queue.queue import JobState, Lease, Replication, Taken, Terms
from client.copilot.queue.redis import RedisQueue
from client.copilot.queue.redis_link import PAUSE_S
from client.copilot.queue.redis_place import RedisPlace
from tests.integration.cutting_proxy import always_says, cutting_proxy
from tests.integration.redis_server import RedisServer, running_server
from tests.unit.copilot.queue.jobs import new_job

pytestmark = pytest.mark.integration
TERMS = Terms(lease_s=100, max_attempts=3)
A, B = "a@x/1", "b@x/1"
TOP = Path(__file__).resolve().parents[2]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_server("--appendfsync", "always") as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(server: RedisServer, clock: Clock) -> Iterator[RedisQueue]:
    server.command("FLUSHALL")
    with closing(RedisQueue(server.place, TERMS, clock=clock)) as queue:
        queue.submit([new_job("one"), new_job("two")], 0)
        yield queue


def said_by(ask: Callable[[], object]) -> str:
    with pytest.raises(RedisUnusable) as raised:
        ask()
    return raised.value.said


def test_a_server_that_is_down_is_left_alone_for_a_moment_and_taken_up_when_it_is_back(
    server: RedisServer, queue: RedisQueue, clock: Clock
) -> None:
    server.kill()
    assert "there is no connection" in said_by(queue.counts)
    server.start()
    assert "there is no connection" in said_by(queue.counts), "it is not asked again at once"
    clock.now += PAUSE_S
    assert queue.counts()[JobState.WAITING] == 2


def test_a_server_that_hangs_holds_nobody_up_for_long(server: RedisServer, queue: RedisQueue, clock: Clock) -> None:
    server.pause()
    try:
        assert said_by(lambda: queue.submit([new_job("three")], 1)).startswith(
            "it does not answer within 2 s; it may have taken the jobs all the same"
        )
        assert said_by(queue.has_work) == "it does not answer within 2 s"
    finally:
        server.resume()
    clock.now += PAUSE_S
    assert queue.counts()[JobState.WAITING] == 3, "it had heard of them"


def test_a_full_memory_is_told_and_leaves_nothing_half_done(server: RedisServer, queue: RedisQueue) -> None:
    lease = queue.hand_out(A, 0, extends=True)
    assert lease is not None
    server.command("CONFIG", "SET", "maxmemory", "1")
    try:
        assert said_by(lambda: queue.submit([new_job("three")], 1)) == "its memory is used up (maxmemory)"
        assert (queue.get("three"), queue.counts()[JobState.WAITING]) == (None, 1)
        # What frees an agent goes on: it takes next to no memory.
        assert queue.accept(lease.job.id, A, "1 file", 2) is Taken.ACCEPTED
    finally:
        server.command("CONFIG", "SET", "maxmemory", "0")
    queue.submit([new_job("three")], 3)
    assert queue.counts() == {JobState.WAITING: 2, JobState.LEASED: 0, JobState.DONE: 1, JobState.DEAD: 0}


def test_a_copy_takes_no_changes(server: RedisServer, queue: RedisQueue) -> None:
    server.command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert said_by(lambda: queue.cancel("one", 1)) == "it is a copy of another Redis and takes no changes"
        assert queue.counts()[JobState.WAITING] == 2
    finally:
        server.command("REPLICAOF", "NO", "ONE")
    assert queue.cancel("one", 1)


def test_a_server_that_throws_jobs_away_is_warned_of_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="volunteer.site")
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with closing(RedisQueue(server.place)) as queue:
            queue.counts()
            queue.counts()
    finally:
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    said = [record.getMessage() for record in caplog.records if "throw jobs away" in record.getMessage()]
    assert len(said) == 1
    assert server.place.name in said[0]


def test_data_that_others_damaged_are_told(server: RedisServer, queue: RedisQueue) -> None:
    server.command("HSET", "vc:job:one", "order", "{")
    assert "its data are damaged" in said_by(lambda: queue.get("one"))
    server.command("SET", "vc:layout", "2")
    assert said_by(queue.counts).startswith("its jobs were written by a newer version (2)")


def test_a_password_is_needed_and_not_told(server: RedisServer, queue: RedisQueue, clock: Clock) -> None:
    server.command("CONFIG", "SET", "requirepass", "secret")
    known = RedisPlace(socket=server.place.socket, password="secret")
    try:
        for password in ("", "wr0ng"):
            place = RedisPlace(socket=server.place.socket, password=password)
            with closing(RedisQueue(place, TERMS)) as other:
                said = said_by(other.counts)
                assert "password" in said or "Authentication required" in said
                assert "wr0ng" not in said
        with closing(RedisQueue(known, TERMS)) as other:
            assert other.counts()[JobState.WAITING] == 2
    finally:
        with closing(server.client(known)) as client:
            client.config_set("requirepass", "")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "it was just started and still reads its data"),
        (
            b"-MISCONF Errors writing to the AOF file: No space left on device\r\n",
            "it cannot write its data to the disk",
        ),
        (b"-NOPERM this user has no permissions\r\n", "its user may not do that (this user has no permissions)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol Error"),
        (b"\0\xff\r\n", "Protocol Error"),
    ],
)
def test_strange_answers_are_told(tmp_path: Path, answer: bytes, said: str) -> None:
    with always_says(answer, tmp_path / "s") as place, closing(RedisQueue(place)) as queue:
        assert said_by(queue.has_work).startswith(said)


@pytest.mark.parametrize("answer", [b"$3\r\nwhy\r\n", b"*1\r\n$1\r\nx\r\n", b"*0\r\n", b"$-1\r\n"])
def test_answers_of_another_kind_are_told(tmp_path: Path, answer: bytes) -> None:
    asks: list[Callable[[RedisQueue], object]] = [
        lambda queue: queue.hand_out(A, 0, extends=True),
        lambda queue: queue.accept("one", A, "", 0),
        lambda queue: queue.claim("one", "x", A, 0),
        lambda queue: queue.jobs(),
        lambda queue: queue.counts(),
    ]
    with always_says(answer, tmp_path / "s") as place, closing(RedisQueue(place)) as queue:
        for ask in asks:
            with pytest.raises(RedisUnusable):
                ask(queue)


def test_a_verb_whose_answer_was_lost_is_not_done_twice(server: RedisServer, tmp_path: Path) -> None:
    server.command("FLUSHALL")
    with cutting_proxy(server.place, tmp_path / "p") as proxy, closing(RedisQueue(proxy.place, TERMS)) as queue:

        def lost(ask: Callable[[], object]) -> object:
            proxy.lose_next()
            answer = ask()
            assert not proxy.is_losing
            return answer

        assert queue.counts()[JobState.WAITING] == 0
        lost(lambda: queue.submit([new_job("one"), new_job("two", replication=Replication(2, 2))], 0))
        assert [job.id for job in queue.jobs()] == ["one", "two"]
        lease = lost(lambda: queue.hand_out(A, 1, extends=True))
        assert isinstance(lease, Lease)
        assert (lease.job.id, lease.job.attempts, queue.counts()[JobState.LEASED]) == ("one", 1, 1)
        assert isinstance(lost(lambda: queue.extend("one", lease.lease_id, A, 2)), Lease)
        assert lost(lambda: queue.accept("one", A, "1 file", 3)) is Taken.ACCEPTED
        assert queue.accept("one", B, "1 file", 3) is Taken.SECOND
        assert lost(lambda: queue.accept("two.1", A, "1 file", 4, agreement="x", seen=0)) is Taken.KEPT
        assert lost(lambda: queue.accept("two.2", B, "1 file", 4, agreement="x", seen=1)) is Taken.ACCEPTED
        queue.submit([new_job("three")], 5)
        assert lost(lambda: queue.cancel("three", 6)) is True
        assert lost(lambda: queue.retry("three", 7)) is True
        assert queue.cancel("three", 8)
        assert not queue.cancel("three", 8)


def test_a_killed_server_has_all_that_it_answered(server: RedisServer, tmp_path: Path) -> None:
    """Verbs go on in a thread while the server is killed and started again."""
    server.command("FLUSHALL")
    numbers, submitted, accepted = itertools.count(), set[str](), Counter[str]()
    stop, worked = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        queue = RedisQueue(server.place, TERMS, clock=itertools.count(step=PAUSE_S).__next__)  # It never pauses.
        with closing(queue):
            while not stop.is_set():
                try:
                    step(queue, f"job-{next(numbers)}")
                except (RedisUnusable, JobExists):
                    continue
                worked.release()

    def step(queue: RedisQueue, job_id: str) -> None:
        queue.submit([new_job(job_id)], 0)
        submitted.add(job_id)
        lease = queue.hand_out(f"{job_id}@x/1", 1, extends=True)
        if lease is not None and queue.accept(lease.job.id, f"{job_id}@x/1", job_id, 2) is Taken.ACCEPTED:
            accepted[lease.job.id] += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(4):
            for _ in range(50):
                assert worked.acquire(timeout=20)
            server.kill()
            server.start()
    finally:
        stop.set()
        worker.join(20)
    with closing(RedisQueue(server.place, TERMS)) as queue:
        jobs = {job.id: job.state for job in queue.jobs(limit=1_000_000)}
        counts = queue.counts()
    assert submitted <= jobs.keys()
    assert all(jobs[job_id] is JobState.DONE for job_id in accepted)
    assert set(accepted.values()) == {1}
    assert sum(counts.values()) == len(jobs)


HAMMER = """
import sys
from client.copilot.queue.queue import Taken
from client.copilot.queue.redis import RedisQueue
from client.copilot.queue.redis_place import RedisPlace
queue, name = RedisQueue(RedisPlace(socket=sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
number = 0
while (lease := queue.hand_out(f"{name}@x/{number}", 1000.0, extends=True)) is not None:
    number += 1
    if number % 7 == 0:
        queue.fail(lease.job.id, lease.lease_id, f"{name}@x/1", "test", 1000.0)
    elif queue.accept(lease.job.id, f"{name}@x/1", "x", 1000.0) is Taken.ACCEPTED:
        print(lease.job.id)
"""


def test_many_processes_never_do_a_job_twice(server: RedisServer, queue: RedisQueue) -> None:
    queue.submit([new_job(f"job-{number}", max_attempts=1000) for number in range(400)], 0)
    command = [sys.executable, "-c", HAMMER, server.place.socket]
    workers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)
        for name in "abc"
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    got: list[str] = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        out, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0
        got += out.split()
    assert sorted(got) == sorted({"one", "two"} | {f"job-{number}" for number in range(400)})
