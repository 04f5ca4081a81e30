import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from client.copilot.queue.queue import AgentRecord, Candidate, Event, JobState
from client.copilot.queue.records import write_order
from client.copilot.queue.redis_link import explain, script
from client.copilot.queue.redis_rows import read_agent, read_candidate, read_event, read_job
from tests.unit.copilot.queue.jobs import new_job

ORDER = write_order(new_job("one", validator="pythia8", expected={"events": 5}))


def test_a_job_is_read_with_what_it_has_and_what_it_has_not_yet() -> None:
    job = read_job(["id", "one", "order", ORDER, "state", "waiting", "submitted_at", "1795000000.123457"])
    assert (job.id, job.state, job.attempts, job.agent) == ("one", JobState.WAITING, 0, "")
    assert (job.submitted_at, job.lease_ends_at) == (1795000000.123457, 0)
    assert job.new == new_job("one", validator="pythia8", expected={"events": 5})


def test_a_unit_has_its_own_id_and_its_jobs_order() -> None:
    flat = ["id", "one.2", "group", "one", "order", ORDER, "state", "leased", "submitted_at", "1", "ends_at", "9.5"]
    unit = read_job(flat)
    assert (unit.id, unit.group, unit.lease_ends_at) == ("one.2", "one", 9.5)


def test_texts_may_hold_what_separates_them() -> None:
    assert read_event("one\x1f5\x1ffailed\x1fa@x/1\x1fsaid \x1f this") == Event(
        "one", 5, "failed", "a@x/1", "said \x1f this"
    )
    assert read_candidate("one.1\x1fa@x/1\x1fa@x\x1fx\x1fy") == Candidate("one.1", "a@x/1", "x\x1fy")


def test_an_agent_of_whom_little_is_known() -> None:
    assert read_agent(["owner", "a@x", "failed", "2"]) == AgentRecord("a@x", "", failed=2)


@given(st.lists(st.text(max_size=10), max_size=8))
def test_what_is_no_job_raises_only_what_is_caught(flat: list[str]) -> None:
    for read in (read_job, read_agent):
        try:
            read(flat)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            continue


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (redis.TimeoutError("Timeout reading from socket"), "it does not answer within 2 s"),
        (redis.BusyLoadingError("Redis is loading"), "it was just started and still reads its data"),
        (redis.ResponseError("MISCONF Errors writing"), "it cannot write its data to the disk"),
        (redis.ResponseError("NEWER its jobs are new (2) script: 01ab, on @user_script:9."), "its jobs are new (2)"),
        (redis.ResponseError("x" * 5000), "x" * 200),
        (
            redis.AuthenticationError("Authentication required."),
            "it does not take the password (Authentication required)",
        ),
    ],
)
def test_errors_are_told_in_plain_words(error: redis.RedisError, said: str) -> None:
    assert explain(error) == said


def test_the_script_has_all_verbs_once() -> None:
    names = [line.split("(")[0].split(".")[1] for line in script().splitlines() if line.startswith("function verbs.")]
    assert len(names) == len(set(names))
    assert {"submit", "hand_out", "accept", "expire", "jobs", "take_original"} <= set(names)
