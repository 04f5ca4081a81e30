"""The original's Redis layout, both ways, over a real redis-server."""

import logging
from collections.abc import Iterator
from contextlib import closing

import pytest

from client.copilot.managers.job_desk import JobDesk, JobSettings
from client.copilot.messages import GetJob, JobDescription, RunJob
from client.copilot.queue.original import SUBMITTER
from client.copilot.queue.queue import Job, JobQueue, JobState, Taken, Terms
from client.copilot.queue.redis import RedisQueue
from client.copilot.queue.redis_original import FedRedisQueue, push_original
from client.errors import BadInput
from tests.integration.redis_server import RedisServer, running_server
from tests.unit.copilot.queue.jobs import new_job
from tests.unit.copilot.queue.test_original import REAL

pytestmark = pytest.mark.integration
TERMS = Terms(lease_s=100, max_attempts=2)
A, B = "a@x/1", "b@x/1"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def queue(server: RedisServer) -> Iterator[FedRedisQueue]:
    server.command("FLUSHALL")
    with closing(FedRedisQueue(server.place, TERMS)) as queue:
        yield queue


def submit_as_the_original(server: RedisServer, job_id: str, description: str | None = REAL) -> None:
    if description is not None:
        server.command("SET", f"job:{job_id}:description", description)
    server.command("LPUSH", "waiting_jobs", job_id)


def job_of(queue: JobQueue, job_id: str) -> Job:
    job = queue.get(job_id)
    assert job is not None
    return job


def test_jobs_of_the_original_are_handed_out_oldest_first_and_done_once(
    server: RedisServer, queue: FedRedisQueue
) -> None:
    for job_id in ("one", "two", "three"):
        submit_as_the_original(server, job_id)
    leases = [queue.hand_out(f"{n}@x/1", 5, extends=False) for n in range(4)]
    assert [lease.job.id for lease in leases if lease] == ["one", "two", "three"]
    assert server.command("LLEN", "waiting_jobs") == 0
    job = job_of(queue, "one")
    assert (job.new.submitter, job.submitted_at, job.state) == (SUBMITTER, 5, JobState.LEASED)
    assert sorted(queue.expire(5000)) == ["one", "three", "two"], "unlike in the original's queue they come back"
    assert queue.accept("one", B, "1 file", 5001) is Taken.ACCEPTED


def test_a_tick_takes_what_waits_and_agents_hear_of_it(server: RedisServer, queue: FedRedisQueue) -> None:
    submit_as_the_original(server, "one")
    assert not queue.has_work()
    queue.expire(1)
    assert queue.has_work()


def test_the_input_stays_where_its_submitter_put_it(server: RedisServer, queue: FedRedisQueue) -> None:
    submit_as_the_original(server, "one")
    desk = JobDesk(queue, JobSettings(chirp="our-server:9094"))
    [reply] = desk.handle(A, GetJob(), 1)
    assert isinstance(reply.command, RunJob)
    assert reply.command.job.chirp_url == "127.0.0.1:19094"
    queue.submit([new_job("ours")], 2)
    [reply] = desk.handle(B, GetJob(), 2)
    assert isinstance(reply.command, RunJob)
    assert reply.command.job.chirp_url == "our-server:9094"


@pytest.mark.parametrize(
    ("job_id", "description", "reason"),
    [
        ("one", None, "there is no text job:one:description"),
        ("one", "c::::d::::f", "command is empty"),
        ("one", "x" * 300_000, "there is no text"),
        ("one", b"c::::d::::###\xff\xfe::::run.sh", ""),
        ("../../one", REAL, "'../../one', which is not an id"),
    ],
)
def test_what_cannot_be_done_is_a_dead_letter_with_its_reason(
    server: RedisServer, queue: FedRedisQueue, job_id: str, description: str | None, reason: str
) -> None:
    submit_as_the_original(server, job_id, description)
    queue.expire(1)
    assert server.command("LLEN", "waiting_jobs") == 0
    [job] = queue.jobs()
    if not reason:
        assert job.state is JobState.WAITING, "bytes that are no text are kept"
        return
    assert job.state is JobState.DEAD
    assert reason in job.reason
    assert not queue.retry(job.id, 2), "an agent could not do it either"
    assert queue.hand_out(A, 3, extends=True) is None


def test_a_mended_job_is_taken_when_it_is_pushed_again(server: RedisServer, queue: FedRedisQueue) -> None:
    submit_as_the_original(server, "one", None)
    queue.expire(1)
    submit_as_the_original(server, "one")
    queue.expire(2)
    job = job_of(queue, "one")
    assert (job.state, job.reason, job.new.description.command) == (JobState.WAITING, "", "hello.sh")
    assert queue.cancel("one", 3)
    assert queue.retry("one", 4)


def test_a_job_that_is_pushed_twice_is_one_job(server: RedisServer, queue: FedRedisQueue) -> None:
    for _ in range(2):
        submit_as_the_original(server, "one")
    lease = queue.hand_out(A, 1, extends=True)
    assert lease is not None
    assert queue.hand_out(B, 1, extends=True) is None
    assert queue.accept("one", A, "1 file", 2) is Taken.ACCEPTED
    submit_as_the_original(server, "one")
    queue.expire(3)
    assert job_of(queue, "one").state is JobState.DONE
    assert [event.what for event in queue.history("one")].count("submitted again") == 2


def test_two_managers_and_one_of_the_original_share_a_list(server: RedisServer, queue: FedRedisQueue) -> None:
    for number in range(60):
        submit_as_the_original(server, f"job-{number}")
    with closing(FedRedisQueue(server.place, TERMS)) as second:
        popped = [server.command("LPOP", "waiting_jobs") for _ in range(10)]
        queue.expire(1)
        second.expire(1)
    assert sorted([*popped, *(job.id for job in queue.jobs())]) == sorted(f"job-{number}" for number in range(60))


def test_very_long_descriptions_are_taken_a_few_at_a_time(server: RedisServer, queue: FedRedisQueue) -> None:
    long = REAL + "x" * 200_000
    for number in range(40):
        submit_as_the_original(server, f"job-{number}", long)
    queue.expire(1)
    left = server.command("LLEN", "waiting_jobs")
    assert 0 < left < 40
    queue.expire(2)
    assert server.command("LLEN", "waiting_jobs") == 0
    assert sum(queue.counts().values()) == 40


def test_an_id_that_a_submitter_is_just_bringing_stays_in_the_list(server: RedisServer, queue: FedRedisQueue) -> None:
    server.command("HSET", "vc:staged_ids", "one", "token")
    submit_as_the_original(server, "one")
    queue.expire(1)
    assert (queue.get("one"), server.command("LLEN", "waiting_jobs")) == (None, 1)
    server.command("HDEL", "vc:staged_ids", "one")
    queue.expire(2)
    assert (job_of(queue, "one").state, server.command("LLEN", "waiting_jobs")) == (JobState.WAITING, 0)


def test_a_list_that_is_none_is_said_once_and_ours_go_on(
    server: RedisServer, queue: FedRedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    server.command("SET", "waiting_jobs", "not a list")
    queue.submit([new_job("ours")], 0)
    with caplog.at_level(logging.WARNING, logger="vc.site"):
        for now in (1, 2):
            queue.expire(now)
        assert queue.hand_out(A, 3, extends=True) is not None
    assert len([record for record in caplog.records if "cannot be read" in record.message]) == 1


def test_a_queue_that_is_not_fed_leaves_the_list_alone(server: RedisServer, queue: FedRedisQueue) -> None:
    submit_as_the_original(server, "one")
    with closing(RedisQueue(server.place, TERMS)) as plain:
        plain.expire(1)
        assert plain.hand_out(A, 1, extends=True) is None
    assert server.command("LLEN", "waiting_jobs") == 1


def test_ours_feed_the_original(server: RedisServer) -> None:
    server.command("FLUSHALL")
    url = f"unix://{server.place.socket}"
    job = JobDescription(
        id="one",
        chirp_url="127.0.0.1:19094",
        input_dir="f5ee5739-0000-4000-8000-000000000001",
        input_files=("hello.sh",),
        command="hello.sh",
    )
    second = JobDescription(id="two", command="run.sh", environment="export A=1\nexport B='ü'", packages="root")
    push_original(url, [job, second], waiting="their_jobs")
    push_original(url, [job], waiting="their_jobs")
    assert server.command("LRANGE", "their_jobs", "0", "-1") == ["two", "one"]
    assert server.command("GET", "job:one:description") == REAL
    said = "::::::::::::run.sh::::::::export A=1\nexport B='ü'::::root::::"
    assert server.command("GET", "job:two:description") == said


def test_nothing_is_pushed_when_one_job_cannot_be(server: RedisServer) -> None:
    server.command("FLUSHALL")
    jobs = [JobDescription(id="one", command="run.sh"), JobDescription(id="two", command="a::::b")]
    with pytest.raises(BadInput):
        push_original(f"unix://{server.place.socket}", jobs)
    with pytest.raises(BadInput):
        push_original("http://localhost", jobs)
    assert server.command("DBSIZE") == 0
