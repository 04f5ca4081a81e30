import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.copilot.jdl import build_jdl
from client.copilot.managers.askers import MAX_LANES, MAX_TOLD, TOLD_OF_A_JOB
from client.copilot.managers.job_desk import VAIN_PAUSE_S, JobDesk, JobSettings
from client.copilot.managers.reply import Reply
from client.copilot.managers.verdicts import WAITS
from client.copilot.messages import (
    EXTENSIONS,
    HTTPS,
    ClaimJob,
    Command,
    ExtendLease,
    GetJob,
    HaveGetJob,
    JobClaimed,
    JobDescription,
    JobDone,
    JobFailedReport,
    JobVerdict,
    LeaseExtended,
    LeaseLost,
    RunJob,
    Sleep,
    WantGetJob,
)
from client.copilot.queue.queue import JobState, NewJob, Replication, Terms
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.queue.jobs import new_job

OURS, PERL = "ours@x/1", "perl@x/1"
WANT = WantGetJob("jdl", "host", EXTENSIONS)
GET = GetJob("jdl", "host", EXTENSIONS)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    queue = SqliteQueue(tmp_path / "queue.sqlite", Terms(lease_s=100, max_attempts=2))
    yield queue
    queue.close()


@pytest.fixture
def desk(queue: SqliteQueue) -> JobDesk:
    return JobDesk(queue, JobSettings("127.0.0.1:9094"))


def run_job(desk: JobDesk, sender: str, command: Command, now: float = 0) -> RunJob:
    [(to, answer)] = desk.handle(sender, command, now)
    assert to == sender
    assert isinstance(answer, RunJob)
    return answer


def test_the_original_agent_gets_the_original_flow_and_no_extras(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one", time_limit_s=60)], 0)
    assert desk.handle(PERL, WantGetJob("jdl"), 0) == [Reply(PERL, HaveGetJob(""))]
    run = run_job(desk, PERL, GetJob("jdl"), 1795187548.7)
    assert (run.job.id, run.job.chirp_url, run.job.input_dir) == ("one", "127.0.0.1:9094", "in-1")
    assert run.job_data == {"startedAt": "1795187548"}
    assert (run.lease_s, run.lease_id, run.job.time_limit_s) == (None, "", None)


def test_our_agent_gets_a_lease_and_the_time_limit(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one", time_limit_s=60)], 0)
    run = run_job(desk, OURS, GET)
    assert (run.lease_s, run.job.time_limit_s) == (100, 60)
    assert desk.handle(OURS, ExtendLease("one", run.lease_id), 50) == [Reply(OURS, LeaseExtended("one", 100))]
    assert desk.handle("ours@x/2", ClaimJob("one", run.lease_id), 60) == [
        Reply("ours@x/2", JobClaimed("one", 100, run.lease_id))
    ]


def test_only_an_agent_with_https_is_told_where_the_input_is_by_it(queue: SqliteQueue) -> None:
    desk = JobDesk(queue, JobSettings("127.0.0.1:9094", input_url=lambda name: f"https://h/input/{name}"))
    queue.submit([new_job("one"), new_job("two")], 0)
    job = run_job(desk, OURS, GetJob("jdl", "host", EXTENSIONS | {HTTPS})).job
    assert (job.input_url, job.chirp_url) == ("https://h/input/in-1", "127.0.0.1:9094")
    assert run_job(desk, OURS, GET).job.input_url == ""


def test_only_our_agent_is_told_that_no_output_is_wanted(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one", output=False), new_job("two", output=False)], 0)
    assert run_job(desk, OURS, GET).job.no_output
    assert not run_job(desk, PERL, GetJob("jdl")).job.no_output


def test_there_is_no_answer_while_nothing_waits_and_a_late_one_when_work_turns_up(
    queue: SqliteQueue, desk: JobDesk
) -> None:
    assert desk.handle(OURS, WANT, 0) == []
    assert desk.handle(PERL, GetJob("jdl"), 1) == []
    assert desk.tick(2) == []
    queue.submit([new_job("one")], 3)
    assert desk.tick(4) == [Reply(OURS, HaveGetJob("")), Reply(PERL, HaveGetJob(""))]
    assert desk.tick(5) == []


def test_who_asked_long_ago_is_not_answered(queue: SqliteQueue, desk: JobDesk) -> None:
    desk.handle(OURS, WANT, 0)
    queue.submit([new_job("one")], 3)
    assert desk.tick(60) == []


def test_the_original_waits_half_an_hour_between_its_questions_and_is_told_meanwhile(
    queue: SqliteQueue, desk: JobDesk
) -> None:
    desk.handle(PERL, WantGetJob("jdl"), 0)
    desk.handle("gone@x/1", WantGetJob("other"), 1)
    queue.submit([new_job("one")], 1500)
    assert desk.tick(1919) == [Reply(PERL, HaveGetJob("")), Reply("gone@x/1", HaveGetJob(""))]
    desk.handle(PERL, WantGetJob("jdl"), 2000)
    assert run_job(desk, PERL, GetJob("jdl"), 2001)
    desk.handle("gone@x/1", WantGetJob("other"), 2002)
    queue.submit([new_job("two")], 2003)
    assert desk.tick(2002 + 1921) == []


def test_a_lost_run_job_is_sent_again(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one"), new_job("two")], 0)
    assert run_job(desk, PERL, GetJob("jdl"), 0).job.id == "one"
    assert run_job(desk, PERL, GetJob("jdl"), 60).job.id == "one"


def test_leases_end_by_themselves(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one")], 0)
    run = run_job(desk, OURS, GET)
    desk.handle(PERL, WANT, 99)
    assert desk.tick(101) == [Reply(PERL, HaveGetJob(""))]
    other = run_job(desk, PERL, GetJob("jdl"), 102)
    assert other.job.id == "one"
    lost = LeaseLost("one", "another computer does the job")
    assert desk.handle(OURS, ExtendLease("one", run.lease_id), 103) == [Reply(OURS, lost)]
    assert desk.handle(OURS, ClaimJob("one", run.lease_id), 103) == [Reply(OURS, lost)]


def test_who_claims_a_job_of_which_its_result_was_taken_hears_so_first(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one")], 0)
    first = run_job(desk, OURS, GET)
    second = run_job(desk, "ours@y/1", GET, 101)
    queue.accept("one", OURS, "", 102)
    lost = LeaseLost("one", "the job is done")
    again = "ours@x/2"
    verdict = JobVerdict("one", True, "")
    assert desk.handle(again, ClaimJob("one", first.lease_id), 103) == [Reply(again, verdict), Reply(again, lost)]
    assert desk.handle("ours@y/1", ClaimJob("one", second.lease_id), 103) == [Reply("ours@y/1", lost)]


def test_who_claims_a_copy_whose_result_waits_for_others_hears_that(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one", replication=Replication(2, 2))], 0)
    run = run_job(desk, OURS, GET)
    queue.accept("one.1", OURS, "", 1, agreement="a")
    told = desk.handle(OURS, ClaimJob("one.1", run.lease_id), 2)
    assert told == [Reply(OURS, JobVerdict("one.1", True, WAITS)), Reply(OURS, LeaseLost("one.1", "the job is done"))]


def test_a_failed_job_goes_to_the_next_agent_and_dies_after_its_attempts(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one")], 0)
    for agent in (OURS, "other@x/1"):
        run = run_job(desk, agent, GET)
        assert desk.handle(agent, JobFailedReport("one", run.lease_id, "time-limit"), 1) == []
    assert queue.counts()[JobState.DEAD] == 1


def test_the_reason_of_a_failed_job_has_what_it_printed_last(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one")], 0)
    printed = "x" * 900 + "\n event 41\n\nsegment \x1b[31mlost\n"
    for agent in (OURS, "other@x/1"):
        run = run_job(desk, agent, GET)
        desk.handle(agent, JobFailedReport("one", run.lease_id, "time-limit: still running after 60 s", printed), 1)
    job = queue.get("one")
    assert job is not None
    began = "2 attempts; the last: failed: time-limit: still running after 60 s; it printed last: xxx"
    assert job.reason.startswith(began)
    assert job.reason.endswith("xxx / event 41 / segment \x1b[31mlost")


def test_an_agent_whose_job_failed_hears_of_the_next_after_a_pause(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one"), new_job("two")], 0)
    run = run_job(desk, OURS, GET)
    desk.handle(OURS, JobFailedReport("one", run.lease_id, "input"), 1)
    assert desk.handle(OURS, WANT, 1) == []
    assert desk.handle(OURS, GET, 1) == []
    assert desk.tick(1.5) == []
    assert desk.tick(2) == [Reply(OURS, HaveGetJob(""))]


def test_only_the_holder_of_a_lease_gives_a_job_back(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one")], 0)
    run_job(desk, OURS, GET)
    desk.handle("spy@x/1", JobFailedReport("one", "guessed", "spite"), 1)
    assert queue.counts()[JobState.LEASED] == 1


def test_agents_are_told_to_sleep_only_where_the_operator_wants_that(queue: SqliteQueue) -> None:
    queue.submit([new_job("one")], 0)
    desk = JobDesk(queue, JobSettings("x:1", require_file="/cvmfs", cooldown_s=60))
    assert desk.handle("perl@x/1", WANT, 0) == [Reply("perl@x/1", HaveGetJob("/cvmfs"))]
    assert desk.handle("perl@x/2", WANT, 59) == [Reply("perl@x/2", Sleep())]
    assert desk.handle("perl@x/2", WANT, 60) == [Reply("perl@x/2", HaveGetJob("/cvmfs"))]


def test_commands_for_storage_managers_are_left_to_them(desk: JobDesk) -> None:
    assert desk.handle(OURS, JobDone("one"), 0) == []


LARGE = WantGetJob(build_jdl({"Memory": 4000, "Version": "2.0"}), "host", EXTENSIONS)
SMALL = WantGetJob(build_jdl({"Memory": 500}), "host", EXTENSIONS)


def test_a_job_is_offered_and_given_only_to_a_computer_that_meets_its_requirements(
    queue: SqliteQueue, desk: JobDesk
) -> None:
    queue.submit([new_job("one", requirements="other.Memory >= 2000")], 0)
    assert desk.handle("small@x/1", SMALL, 0) == []
    assert desk.handle("small@x/1", GetJob(SMALL.jdl), 0) == []
    assert desk.handle("large@x/1", LARGE, 0) == [Reply("large@x/1", HaveGetJob(""))]
    assert run_job(desk, "large@x/1", GetJob(LARGE.jdl)).job.id == "one"


def test_of_those_who_asked_in_vain_only_who_could_do_the_new_job_hears_of_it(
    queue: SqliteQueue, desk: JobDesk
) -> None:
    for number in range(MAX_TOLD + 50):
        desk.handle(f"small{number}@x/1", SMALL, 0)
    desk.handle("large@x/1", LARGE, 0)
    queue.submit([new_job("one", requirements="other.Memory >= 2000")], 1)
    assert desk.tick(1) == [Reply("large@x/1", HaveGetJob(""))]
    assert desk.tick(2) == []
    queue.submit([new_job(f"{n}") for n in range(MAX_TOLD + 50)], 2)
    told = [desk.tick(3), desk.tick(4)]
    assert [len(replies) for replies in told] == [MAX_TOLD, 50]
    assert len({reply.to for replies in told for reply in replies}) == MAX_TOLD + 50


def test_not_many_more_are_told_than_there_are_jobs_and_all_in_turn(queue: SqliteQueue, desk: JobDesk) -> None:
    for number in range(9):
        desk.handle(f"agent{number}@x/1", WANT, 0)
    queue.submit([new_job("one"), new_job("two", submitter="b")], 1)
    told = [[reply.to for reply in desk.tick(now)] for now in (1, 2, 3)]
    assert [len(names) for names in told] == [2 * TOLD_OF_A_JOB, 2 * TOLD_OF_A_JOB, 1]
    assert [name for names in told for name in names] == [f"agent{number}@x/1" for number in range(9)]


def test_those_who_could_do_other_jobs_take_no_ones_turn(queue: SqliteQueue, desk: JobDesk) -> None:
    for number in range(20):
        desk.handle(f"small{number}@x/1", SMALL, 0)
    desk.handle("large@x/1", LARGE, 0)
    needy = [new_job(f"needy{n}", requirements="other.Memory >= 2000") for n in range(3)]
    queue.submit([*needy, new_job("any")], 1)
    told = [reply.to for reply in desk.tick(1)]
    assert told == [*(f"small{n}@x/1" for n in range(TOLD_OF_A_JOB)), "large@x/1"]


def test_a_job_below_very_many_lanes_is_told_of(queue: SqliteQueue, desk: JobDesk) -> None:
    desk.handle("small@x/1", SMALL, 0)
    needy = [new_job(f"needy{n}", requirements="other.Memory >= 2000", priority=n + 1) for n in range(MAX_LANES)]
    queue.submit(needy, 1)
    assert desk.tick(1) == []
    queue.submit([new_job("any")], 2)
    assert desk.tick(2) == [Reply("small@x/1", HaveGetJob(""))]


def test_who_may_not_have_the_job_that_waits_is_not_told_of_it_every_second(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one", replication=Replication(2, 2))], 0)
    assert run_job(desk, "ours@x/1", GET).job.id == "one.1"
    assert desk.handle("ours@x/2", GET, 1) == []
    assert [now for now in range(2, 20) if desk.tick(now)] == [1 + VAIN_PAUSE_S]
    assert run_job(desk, PERL, GET).job.id == "one.2"


def test_a_drained_owner_is_offered_nothing_and_goes_on_with_what_it_has(queue: SqliteQueue, desk: JobDesk) -> None:
    queue.submit([new_job("one"), new_job("two")], 0)
    run = run_job(desk, OURS, GET)
    queue.set_drained("ours@x", True, 1)
    assert desk.handle(OURS, WANT, 2) == []
    assert desk.handle(OURS, GET, 2) == []
    assert desk.tick(3) == []
    assert desk.handle(OURS, ExtendLease("one", run.lease_id), 4) == [Reply(OURS, LeaseExtended("one", 100))]
    queue.set_drained("ours@x", False, 5)
    assert desk.tick(6) == [Reply(OURS, HaveGetJob(""))]


def test_agents_that_asked_are_written_down_at_the_tick(queue: SqliteQueue, desk: JobDesk) -> None:
    desk.handle("large@x/1", LARGE, 5)
    desk.handle("large@x/2", GetJob(LARGE.jdl), 6)
    desk.handle("small@x/1", SMALL, 7)
    assert queue.agents() == []
    desk.tick(8)
    assert [(record.agent, record.memory_mib, record.version, record.last_seen) for record in queue.agents()] == [
        ("small@x/1", 500, "", 7),
        ("large@x/2", 4000, "2.0", 6),
    ]


@pytest.mark.parametrize("alike", [True, False])
def test_an_idle_agent_costs_little_memory(desk: JobDesk, alike: bool) -> None:
    number = 500
    long = {f"Attribute{index:02}": "x" * 300 for index in range(60)}
    descriptions = [build_jdl({"WNHost": "same" if alike else f"host-{n}"} | long) for n in range(number)]
    desk.handle(OURS, WantGetJob(descriptions[0]), 0)
    tracemalloc.start()
    try:
        for index in range(number):
            desk.handle(f"agent{index}@x/1", WantGetJob(descriptions[index]), 0)
        size_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size_bytes / number < (1000 if alike else 10_000)


def test_a_job_that_needs_a_token_goes_to_agents_that_can_get_one(desk: JobDesk) -> None:
    description = JobDescription("one", command="run.sh", pilot_service="atlas")
    desk.queue.submit([NewJob(description, requirements='other.Pilot == "yes"')], 0)
    boasting = '[\nPilot="yes";\n]\n'
    assert desk.handle("old@x/1", GetJob(boasting, "vm", EXTENSIONS - {"pilot"}), 1) == []
    [answer] = desk.handle("new@x/1", GetJob("", "vm", EXTENSIONS), 2)
    assert isinstance(answer.command, RunJob)
