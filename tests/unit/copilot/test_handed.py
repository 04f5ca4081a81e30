"""A finished job is not let go of before a manager has confirmed that; time is the loop's, which jumps."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from client.clock import SystemClock
from client.copilot.agent import Agent, AgentSettings
from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.messages import (
    ClaimJob,
    Command,
    ExtendLease,
    GetJob,
    JobClaimed,
    JobDone,
    JobFailedReport,
    JobVerdict,
    LeaseLost,
    RunJob,
)
from client.copilot.steps import MAX_HAND_INS, MAX_STARTS
from tests.helpers.copilot import JOBS, MANAGER, FakeFiles, FakeManagers, FakeReport, FakeRunner, describe
from tests.helpers.fastloop import in_fast_time


class Bench:
    """An agent, and managers that confirm nothing until they are told to."""

    def __init__(self, folder: Path, managers: FakeManagers, *, confirms: bool = False, max_jobs: int = 0) -> None:
        self.managers = managers
        if not confirms:
            managers.confirms.clear()
        self.runner = FakeRunner(folder)
        self.report = FakeReport()
        self.disk = Checkpoint(folder)
        settings = AgentSettings(MANAGER, folder, "host", durable=False, max_jobs=max_jobs)
        self.agent = Agent(settings, managers, FakeFiles(), self.runner, self.report, SystemClock())
        managers.on_info = self.agent.on_info

    def left(self) -> tuple[str, str] | None:
        """The job that a start after a kill would find, and its state."""
        record = self.disk.load()
        return (record.job.id, record.state) if record else None


async def until_handed_in(bench: Bench, number: int = 1) -> None:
    while len(bench.managers.commands(JobDone)) < number:
        await asyncio.sleep(0.1)


@in_fast_time
async def test_the_record_stays_until_job_done_is_confirmed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")))
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(5)
    assert (bench.left(), bench.runner.cleaned) == (("a", "putting output"), 0)
    bench.managers.confirms.set()
    await asyncio.sleep(1)
    assert (bench.left(), bench.runner.cleaned) == (None, 1)
    bench.agent.finish()
    await task


@in_fast_time
async def test_the_next_job_is_asked_for_meanwhile_and_begins_afterwards(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(5)
    assert (len(bench.managers.commands(GetJob)), bench.runner.executed) == (2, ["a"])
    bench.managers.confirms.set()
    await task
    assert (bench.runner.executed, bench.left()) == (["a", "b"], None)


@in_fast_time
async def test_a_job_whose_agent_is_killed_before_the_confirmation_is_handed_in_again(tmp_path: Path) -> None:
    first = Bench(tmp_path, FakeManagers(describe("a")))
    task = asyncio.create_task(first.agent.run())
    await until_handed_in(first)
    task.cancel()
    await asyncio.wait([task])
    second = Bench(tmp_path, FakeManagers(), confirms=True, max_jobs=1)
    await second.agent.run()
    assert [done.job_id for done in second.managers.commands(JobDone)] == ["a"]
    assert second.runner.executed == []
    assert second.left() is None


@in_fast_time
async def test_the_next_job_does_not_wait_for_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b"), lease_s=90))
    bench.runner.runs_s = 10
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(40)
    assert bench.left() == ("a", "putting output")
    await asyncio.sleep(6)
    assert bench.left() == ("b", "executing")
    await until_handed_in(bench, 2)
    bench.agent.finish()
    await task
    assert bench.left() == ("b", "putting output")


@in_fast_time
async def test_a_job_that_waits_to_begin_is_given_back_at_a_suspension(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")))
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(5)
    await bench.agent.suspend(10)
    await task
    assert [report.job_id for report in bench.managers.commands(JobFailedReport)] == ["b"]
    assert bench.left() == ("a", "putting output")


@in_fast_time
async def test_what_bounced_is_confirmed_when_its_second_receiver_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")))
    confirmed: list[str] = []
    bounced = asyncio.Event()

    async def confirm(message_id: str) -> None:
        if confirmed:
            await bench.managers.confirms.wait()
        confirmed.append(message_id)
        await bounced.wait()

    bench.managers.confirmed = confirm  # type: ignore[method-assign]
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(1)
    bench.agent.on_bounce(confirmed[0])
    await asyncio.sleep(1)
    # The first message is not sent again any more, which is no confirmation of the second.
    bounced.set()
    await asyncio.sleep(1)
    assert bench.left() == ("a", "putting output")
    bench.managers.confirms.set()
    await asyncio.sleep(1)
    assert bench.left() is None
    bench.agent.finish()
    await task


@in_fast_time
async def test_after_a_pause_job_done_is_said_again_when_the_job_is_claimed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")))
    bench.managers.answers[ClaimJob] = lambda to, asked: []
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    bench.agent.resumed()
    await asyncio.sleep(1)
    bench.agent.resumed()
    bench.managers.confirms.set()
    await asyncio.sleep(30)
    assert bench.left() == ("a", "putting output"), "the managers may have dropped what they confirmed"
    assert len(bench.managers.commands(JobDone)) == 1
    del bench.managers.answers[ClaimJob]
    await until_handed_in(bench, 2)
    await asyncio.sleep(1)
    kinds = [type(said) for _, said in bench.managers.heard if isinstance(said, ClaimJob | JobDone)]
    assert (kinds[0], kinds[-2:], bench.left()) == (JobDone, [ClaimJob, JobDone], None)
    bench.agent.finish()
    await task


@in_fast_time
async def test_a_job_that_is_lost_in_a_pause_after_job_done_is_let_go_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")))
    bench.managers.answers[ClaimJob] = lambda to, asked: [(JOBS, LeaseLost(asked.job_id, "the job is done"))]
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    bench.agent.resumed()
    await asyncio.sleep(1)
    assert (bench.left(), len(bench.managers.commands(JobDone))) == (None, 1)
    bench.agent.finish()
    await task


@in_fast_time
async def test_a_job_that_was_on_its_way_during_a_pause_of_the_computer_is_claimed_first(tmp_path: Path) -> None:
    def lose_b(to: str, asked: ClaimJob) -> list[tuple[str, Command]]:
        lost = asked.job_id == "b"
        return [(JOBS, LeaseLost("b", "another has it") if lost else JobClaimed(asked.job_id, 30, "lease-2"))]

    managers = FakeManagers(describe("a"), describe("b"))
    managers.answers[ClaimJob] = lose_b
    bench = Bench(tmp_path, managers)
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(5)
    bench.agent.resumed()
    managers.confirms.set()
    await asyncio.sleep(5)
    assert [claim.job_id for claim in managers.commands(ClaimJob)] == ["a", "b"]
    assert bench.runner.executed == ["a"]
    managers.jobs.append(describe("c"))
    await until_handed_in(bench, 3)
    assert len(managers.commands(ClaimJob)) == 2, "a job that was asked for after the pause is fresh"
    bench.agent.finish()
    await task


@pytest.mark.parametrize(("starts", "given_up"), [(MAX_STARTS + 1, False), (MAX_HAND_INS, True)])
@in_fast_time
async def test_a_finished_output_is_not_given_up_for_a_few_ends(tmp_path: Path, starts: int, given_up: bool) -> None:
    left = JobRecord(describe(), JOBS, 30, "lease-1", state="putting output", exit_status=0, starts=starts)
    bench = Bench(tmp_path, FakeManagers(), confirms=True, max_jobs=1)
    bench.disk.save(left)
    await bench.agent.run()
    assert len(bench.managers.commands(JobFailedReport)) == given_up
    assert len(bench.managers.commands(JobDone)) == (not given_up)


@in_fast_time
async def test_starts_under_a_validation_count_as_those_of_the_job(tmp_path: Path) -> None:
    job = describe(validation_script="check.sh")
    bench = Bench(tmp_path, FakeManagers(), confirms=True, max_jobs=1)
    bench.disk.save(JobRecord(job, JOBS, 30, "lease-1", state="validating", exit_status=0, starts=MAX_STARTS))
    await bench.agent.run()
    assert bench.managers.commands(JobFailedReport)[0].cause.startswith("start: ")


@in_fast_time
async def test_a_start_counts_before_anything_is_done(tmp_path: Path) -> None:
    managers = FakeManagers()
    managers.answers[ClaimJob] = lambda to, asked: []
    bench = Bench(tmp_path, managers)
    bench.disk.save(JobRecord(describe(), JOBS, 30, "lease-1", state="executing", exit_status=0))
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(1)
    found = bench.disk.load()
    assert found is not None
    assert found.starts == 1
    task.cancel()
    await asyncio.wait([task])


@in_fast_time
async def test_an_extended_lease_that_cannot_be_written_down_costs_no_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")), confirms=True, max_jobs=1)
    bench.runner.runs_s = 35
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(5)
    (tmp_path / "job.new").mkdir()
    await asyncio.sleep(20)
    (tmp_path / "job.new").rmdir()
    await task
    assert "the record of job a is not written" in caplog.text
    assert bench.report.jobs[-2] == ("a", "done")


@in_fast_time
async def test_a_job_taken_up_again_whose_result_had_been_taken_is_shown_as_that(tmp_path: Path) -> None:
    managers = FakeManagers()
    over: list[tuple[str, Command]] = [(JOBS, JobVerdict("a", True)), (JOBS, LeaseLost("a", "the job is done"))]
    managers.answers[ClaimJob] = lambda to, asked: over
    bench = Bench(tmp_path, managers, confirms=True, max_jobs=1)
    bench.disk.save(JobRecord(describe("a"), JOBS, 30, "lease-1", state="putting output", exit_status=0))
    await bench.agent.run()
    assert bench.report.jobs[-2:] == [("a", "done"), ("", "idle")]
    assert bench.report.verdicts == [("a", True, "")]
    assert (bench.left(), bench.runner.executed, managers.commands(JobDone)) == (None, [], [])


@in_fast_time
async def test_a_job_that_waits_to_begin_and_comes_twice_is_not_given_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(5)
    for job, lease in (("a", "lease-1"), ("b", "lease-1"), ("c", "lease-3")):
        bench.managers.say(JOBS, RunJob(describe(job), {"startedAt": "1"}, 30, lease))
    await asyncio.sleep(1)
    assert [report.job_id for report in bench.managers.commands(JobFailedReport)] == ["c"]
    bench.managers.confirms.set()
    await task
    assert bench.runner.executed == ["a", "b"]


@in_fast_time
async def test_a_job_that_is_handed_in_is_not_written_down_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")), max_jobs=1)
    saves: list[asyncio.Task[None]] = []
    told = bench.report.job

    def save_when_done(job_id: str, state: str, **more: Any) -> None:
        told(job_id, state, **more)
        if state == "done":
            # As the host asks for it, in the last moment in which the job is in hand.
            saves.append(asyncio.create_task(bench.agent.save()))

    bench.report.job = save_when_done  # type: ignore[method-assign]
    await bench.agent.run()
    assert [save.done() for save in saves] == [True]
    assert bench.left() == ("a", "putting output")


@in_fast_time
async def test_what_nobody_lets_us_claim_is_said_again_when_the_next_job_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    bench.managers.answers[ClaimJob] = lambda to, asked: []
    task = asyncio.create_task(bench.agent.run())
    await until_handed_in(bench)
    await asyncio.sleep(5)
    bench.agent.resumed()
    del bench.managers.heard[:]
    await asyncio.sleep(60)
    assert [done.job_id for done in bench.managers.commands(JobDone)] == ["a"]
    del bench.managers.answers[ClaimJob]
    bench.managers.confirms.set()
    await task
    assert bench.runner.executed == ["a", "b"]


@in_fast_time
async def test_a_job_that_is_sent_again_after_its_end_is_not_done_twice(tmp_path: Path) -> None:
    managers = FakeManagers(describe("a"))
    bench = Bench(tmp_path, managers, confirms=True, max_jobs=2)

    def hand_out(to: str, asked: GetJob) -> list[tuple[str, Command]]:
        # Until it has heard of the lease again, the manager believes that its runJob was lost.
        known = len(managers.commands(ExtendLease)) > 0
        return [(JOBS, RunJob(describe("b" if known else "a"), {}, 30, "lease-b" if known else "lease-a"))]

    managers.jobs.append(describe("b"))
    managers.answers[GetJob] = hand_out
    await bench.agent.run()
    assert bench.runner.executed == ["a", "b"]
    assert [asked.job_id for asked in managers.commands(ExtendLease)] == ["a"]
