"""The agent against managers in memory; time is the loop's, which jumps."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.copilot.agent import Agent, AgentSettings
from client.copilot.checkpoint import Checkpoint, JobRecord
from client.copilot.conversation import MAX_SLOTS
from client.copilot.errors import JobFailed
from client.copilot.messages import (
    ClaimJob,
    Error,
    ExtendLease,
    GetJob,
    GetJobOutputDir,
    HaveGetJob,
    JobDone,
    JobFailedReport,
    LeaseLost,
    Redirect,
    RunJob,
    Sleep,
    StoreJobOutputDir,
    WantGetJob,
    WantGetJobOutputDir,
    build_info,
)
from client.copilot.steps import MAX_STARTS
from tests.helpers.copilot import JOBS, MANAGER, STORAGE, FakeFiles, FakeManagers, FakeReport, FakeRunner, describe
from tests.helpers.fastloop import in_fast_time


class Bench:
    def __init__(self, folder: Path, managers: FakeManagers, max_jobs: int = 0) -> None:
        self.managers = managers
        self.files = FakeFiles()
        self.runner = FakeRunner(folder)
        self.report = FakeReport()
        self.folder = folder
        settings = AgentSettings(MANAGER, folder, "host", durable=False, max_jobs=max_jobs)
        self.agent = Agent(settings, managers, self.files, self.runner, self.report, SystemClock())
        managers.on_info = self.agent.on_info

    def states(self, job_id: str = "job-1") -> list[str]:
        found = [state for told, state in self.report.jobs if told == job_id]
        return [state for n, state in enumerate(found) if n == 0 or found[n - 1] != state]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.agent.run())
        yield task
        self.agent.finish()
        await asyncio.wait_for(task, 1000)


WHOLE = ["getting input", "executing", "wanting output place", "putting output", "done"]


@in_fast_time
async def test_a_job_from_want_to_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe()), max_jobs=1)
    await bench.agent.run()
    assert bench.states() == WHOLE
    assert [type(command) for _, command in bench.managers.heard] == [
        WantGetJob,
        GetJob,
        WantGetJobOutputDir,
        GetJobOutputDir,
        JobDone,
    ]
    assert [to for to, _ in bench.managers.heard] == [MANAGER, JOBS, MANAGER, STORAGE, STORAGE]
    assert bench.files.stored["/job-1/job-1.tgz"] == b"archive"
    assert bench.report.verdicts == [("job-1", True, "")]
    assert Checkpoint(tmp_path).load() is None


@in_fast_time
async def test_what_a_job_prints_is_passed_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe()), max_jobs=1)
    await bench.agent.run()
    assert bench.report.printed == [("job-1", ["begun"], 0)]


@in_fast_time
async def test_a_job_without_output_is_done_without_a_place_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe(no_output=True)), max_jobs=1)
    bench.runner.status = 256
    await bench.agent.run()
    assert [type(command) for _, command in bench.managers.heard] == [WantGetJob, GetJob, WantGetJobOutputDir, JobDone]
    [(to, done)] = [(to, said) for to, said in bench.managers.heard if isinstance(said, JobDone)]
    assert (to, done.exit_code, bench.files.stored) == (STORAGE, 256, {})
    assert bench.states() == ["getting input", "executing", "wanting output place", "done"]


@in_fast_time
async def test_job_done_tells_raw_status_and_returns_job_data(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe(validation_script="check.sh")), max_jobs=1)
    bench.runner.status = 768
    await bench.agent.run()
    (done,) = bench.managers.commands(JobDone)
    assert (done.exit_code, done.validate_exit_code, done.state) == (768, 256, "ready")
    assert done.job_data == {"startedAt": "1", "wallTime": "0.50"}
    assert "validating" in bench.states()


@in_fast_time
async def test_job_data_of_the_storage_manager_replace_those_of_the_job_manager(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    managers.answers[GetJobOutputDir] = lambda to, asked: [
        (STORAGE, StoreJobOutputDir(asked.job_id, asked.job_id, "files:9094", {"place": "7"}))
    ]
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert bench.managers.commands(JobDone)[0].job_data == {"place": "7", "wallTime": "0.50"}


@in_fast_time
async def test_the_next_job_is_asked_for_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    await bench.agent.run()
    kinds = [type(command) for _, command in bench.managers.heard]
    after = kinds.index(JobDone) + 1
    assert kinds[after] is WantGetJob
    assert bench.managers.heard_at[after] - bench.managers.heard_at[after - 1] < 0.1


@in_fast_time
async def test_want_is_repeated_after_5_10_20_40_60_60(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers())
    async with bench.running():
        await asyncio.sleep(200)
    at = bench.managers.heard_at
    assert [round(later - sooner) for sooner, later in itertools.pairwise(at)][:5] == [5, 10, 20, 40, 60]
    assert bench.managers.forgotten, "unconfirmed questions are superseded, not heaped up"


@in_fast_time
async def test_no_job_after_get_job_asks_anew_after_15_seconds(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    lost = iter([True, False])
    managers.answers[GetJob] = lambda to, asked: [] if next(lost) else managers.usual(to, asked)
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    first, second = (
        at for at, (_, told) in zip(managers.heard_at, managers.heard, strict=True) if told.command == "getJob"
    )
    assert second - first == pytest.approx(15, abs=1)
    assert bench.states() == WHOLE


@in_fast_time
async def test_the_first_manager_that_answers_is_taken(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    managers.answers[WantGetJob] = lambda to, asked: [(f"{MANAGER}/x", HaveGetJob()), (JOBS, HaveGetJob())]
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert [to for to, told in managers.heard if isinstance(told, GetJob)] == [f"{MANAGER}/x"]


@in_fast_time
async def test_a_stranger_is_not_heard(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers())
    async with bench.running():
        await asyncio.sleep(1)
        bench.managers.say("evil@localhost/x", RunJob(describe(), {}, 30, "lease-1"))
        await asyncio.sleep(1)
    assert bench.runner.executed == []


@in_fast_time
async def test_require_file(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    needed = [str(tmp_path / "missing"), str(tmp_path)]
    managers.answers[WantGetJob] = lambda to, asked: [(JOBS, HaveGetJob(needed.pop(0) if needed else ""))]
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert len(managers.commands(WantGetJob)) == 2
    assert len(managers.commands(GetJob)) == 1


@in_fast_time
async def test_nothing_is_asked_without_a_session_and_once_at_its_begin(tmp_path: Path) -> None:
    """The original sends an agent away that asks twice within a minute."""
    managers = FakeManagers()
    managers.connected = False
    bench = Bench(tmp_path, managers)
    async with bench.running():
        await asyncio.sleep(300)
        assert managers.heard == []
        managers.connected = True
        bench.agent.on_state(True)
        await asyncio.sleep(4)
        assert [type(command) for _, command in managers.heard] == [WantGetJob]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@in_fast_time
async def test_sleep_is_a_pause_of_two_minutes_at_most_and_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr("random.uniform", lambda least, most: least + share * (most - least))
    managers = FakeManagers(describe())
    told = iter([[(JOBS, Sleep())]])
    managers.answers[WantGetJob] = lambda to, asked: next(told, None) or managers.usual(to, asked)
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert managers.heard_at[1] - managers.heard_at[0] == pytest.approx(share * 120, abs=1)
    assert bench.states() == WHOLE


@in_fast_time
async def test_sleep_and_error_with_a_job_in_hand_change_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe()), max_jobs=1)
    bench.runner.runs_s = 20
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(5)
    bench.managers.say(JOBS, Sleep())
    bench.managers.say(JOBS, Error("you are odd"))
    await task
    assert bench.states() == WHOLE
    assert any("you are odd" in line for line in bench.report.lines)


@in_fast_time
async def test_redirect_is_followed_in_any_state(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    inner = build_info(GetJobOutputDir("job-1", "host"))

    def place(to: str, asked: GetJobOutputDir) -> list[tuple[str, object]]:
        if to == STORAGE:
            return [(STORAGE, Redirect("other@localhost", inner))]
        return [("other@localhost/s", StoreJobOutputDir("job-1", "job-1", "files:9094"))]

    managers.answers[GetJobOutputDir] = place  # type: ignore[assignment]
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert [to for to, told in managers.heard if isinstance(told, JobDone)] == ["other@localhost/s"]


@in_fast_time
async def test_a_manager_that_names_no_place_is_not_asked_in_a_rush(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    managers.answers[GetJobOutputDir] = lambda to, asked: [(STORAGE, StoreJobOutputDir(asked.job_id, asked.job_id))]
    bench = Bench(tmp_path, managers)
    async with bench.running():
        await asyncio.sleep(100)
        assert 3 <= len(managers.commands(GetJobOutputDir)) <= 6
        managers.answers.clear()
    assert bench.states()[-1] == "done"


@in_fast_time
async def test_a_manager_that_hands_out_on_and_on_fills_no_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers())
    async with bench.running():
        for number in range(MAX_SLOTS + 100):
            bench.managers.say(JOBS, RunJob(describe(f"late-{number}"), {}, 30, "lease"))
        await asyncio.sleep(10)
        assert len(bench.managers.commands(JobFailedReport)) == MAX_SLOTS + 100
        assert len(bench.agent._talk._slots) <= MAX_SLOTS


@in_fast_time
async def test_no_place_within_10_seconds_asks_all_again(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    silent = iter([[]])
    managers.answers[GetJobOutputDir] = lambda to, asked: next(silent, None) or managers.usual(to, asked)
    silent = iter([[(STORAGE, Error("later"))]])
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert len(managers.commands(WantGetJobOutputDir)) == 2
    assert bench.states() == WHOLE


@pytest.mark.parametrize("left", [2, -1])
@in_fast_time
async def test_input(tmp_path: Path, left: int) -> None:
    bench = Bench(tmp_path, FakeManagers(describe()), max_jobs=1)
    bench.files.failures["/job-1/run.sh"] = left
    await bench.agent.run()
    if left > 0:
        assert bench.states() == WHOLE
    else:
        assert bench.states() == ["getting input", "failed"]
        (report,) = bench.managers.commands(JobFailedReport)
        assert (report.lease_id, report.last_lines) == ("lease-1", "begun")
        assert report.cause.startswith("input: ")


@in_fast_time
async def test_a_failed_job_is_reported_and_the_agent_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    bench.runner.fails = JobFailed("a", "time-limit", "still running after 60 s")
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(1.5)
    bench.runner.fails = None
    await task
    assert bench.states("a")[-1] == "failed"
    assert bench.states("b")[-1] == "done"
    assert [(to, told.job_id) for to, told in bench.managers.heard if isinstance(told, JobFailedReport)] == [
        (JOBS, "a")
    ]


@in_fast_time
async def test_a_manager_without_leases_is_not_bothered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b"), lease_s=None), max_jobs=2)
    bench.runner.runs_s = 500
    bench.runner.fails = JobFailed("a", "time-limit", "too long")
    await bench.agent.run()
    assert not bench.managers.commands(ExtendLease)
    assert not bench.managers.commands(JobFailedReport)


@in_fast_time
async def test_an_upload_that_fails_asks_for_a_place_again_then_gives_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    bench.files.failures = {"/a/a.tgz": 2, "/b/b.tgz": -1}
    await bench.agent.run()
    assert bench.states("a")[-1] == "done"
    assert bench.states("b")[-1] == "failed"
    assert bench.managers.commands(JobFailedReport)[0].cause.startswith("upload: ")


@in_fast_time
async def test_an_output_is_tried_to_be_handed_in_for_as_long_as_its_job_has_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    bench.runner.runs_s = 3600
    bench.files.failures = {"/a/a.tgz": 40, "/b/b.tgz": 10_000}
    began_at = asyncio.get_running_loop().time()
    await bench.agent.run()
    assert bench.states("a")[-1] == "done"
    assert bench.states("b")[-1] == "failed"
    assert 3.5 * 3600 < asyncio.get_running_loop().time() - began_at < 4 * 3600


@in_fast_time
async def test_the_lease_is_extended_every_third(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe()), max_jobs=1)
    bench.runner.runs_s = 35
    await bench.agent.run()
    assert [to for to, told in bench.managers.heard if isinstance(told, ExtendLease)] == [JOBS] * 3


@in_fast_time
async def test_a_silent_instance_is_replaced_by_all(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    managers.answers[ExtendLease] = lambda to, asked: managers.usual(to, asked) if to == MANAGER else []
    bench = Bench(tmp_path, managers, max_jobs=1)
    bench.runner.runs_s = 17
    await bench.agent.run()
    assert [to for to, told in managers.heard if isinstance(told, ExtendLease)] == [JOBS, MANAGER]


@in_fast_time
async def test_a_lost_lease_drops_the_job(tmp_path: Path) -> None:
    managers = FakeManagers(describe("a"), describe("b"))
    managers.answers[ExtendLease] = lambda to, asked: [(JOBS, LeaseLost(asked.job_id, "another has it"))]
    bench = Bench(tmp_path, managers, max_jobs=2)
    bench.runner.runs_s = 11
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(9)
    bench.runner.runs_s = 1
    await task
    assert bench.states("a") == ["getting input", "executing", "failed"]
    assert bench.states("b")[-1] == "done"
    assert not managers.commands(JobFailedReport)


@in_fast_time
async def test_a_late_job_is_given_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a")), max_jobs=1)
    bench.runner.runs_s = 10
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(5)
    bench.managers.say(JOBS, RunJob(describe("late"), {}, 30, "lease-9"))
    await task
    (back,) = bench.managers.commands(JobFailedReport)
    assert (back.job_id, back.lease_id) == ("late", "lease-9")
    assert bench.states("a")[-1] == "done"


@in_fast_time
async def test_a_late_job_is_taken_while_the_agent_wants_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(), max_jobs=1)
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(2)
    bench.managers.say(JOBS, RunJob(describe("late"), {}, 30, "lease-9"))
    await task
    assert bench.states("late")[-1] == "done"


@in_fast_time
async def test_finish_ends_after_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")))
    bench.runner.runs_s = 10
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(3)
    bench.agent.finish()
    await task
    assert bench.states("a")[-1] == "done"
    assert bench.states("b") == []


@in_fast_time
async def test_finish_can_be_taken_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")), max_jobs=2)
    bench.runner.runs_s = 10
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(3)
    bench.agent.finish()
    bench.agent.finish(undo=True)
    await task
    assert bench.states("b")[-1] == "done"


@in_fast_time
async def test_a_suspended_job_goes_on_at_the_next_start(tmp_path: Path) -> None:
    first = Bench(tmp_path, FakeManagers(describe()))
    first.runner.runs_s = 100
    task = asyncio.create_task(first.agent.run())
    await asyncio.sleep(50)
    await first.agent.suspend(10)
    await task
    assert first.states() == ["getting input", "executing"]
    second = Bench(tmp_path, FakeManagers(), max_jobs=1)
    await second.agent.run()
    assert second.states() == ["executing", "wanting output place", "putting output", "done"]
    assert isinstance(second.managers.heard[0][1], ClaimJob)
    assert second.managers.heard[0][0] == MANAGER


@in_fast_time
async def test_an_executed_job_goes_on_with_its_upload(tmp_path: Path) -> None:
    record = JobRecord(describe(), JOBS, 30, "lease-1", state="putting output", exit_status=256)
    Checkpoint(tmp_path).save(record)
    bench = Bench(tmp_path, FakeManagers(), max_jobs=1)
    await bench.agent.run()
    assert bench.runner.executed == []
    assert bench.managers.commands(JobDone)[0].exit_code == 256


@in_fast_time
async def test_a_job_suspended_in_its_upload_keeps_its_exit_status(tmp_path: Path) -> None:
    first = Bench(tmp_path, FakeManagers(describe()))
    first.managers.answers[WantGetJobOutputDir] = lambda to, asked: []
    task = asyncio.create_task(first.agent.run())
    await asyncio.sleep(10)
    await first.agent.suspend(10)
    await task
    left = Checkpoint(tmp_path).load()
    assert left is not None
    assert (left.exit_status, left.state) == (0, "wanting output place")


@in_fast_time
async def test_a_claim_that_is_lost_drops_the_job(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save(JobRecord(describe(), JOBS, 30, "lease-1", state="executing"))
    managers = FakeManagers()
    managers.answers[ClaimJob] = lambda to, asked: [(JOBS, LeaseLost(asked.job_id, "done by another"))]
    bench = Bench(tmp_path, managers, max_jobs=1)
    await bench.agent.run()
    assert bench.states() == ["failed"]
    assert Checkpoint(tmp_path).load() is None


@in_fast_time
async def test_without_an_answer_to_its_claim_a_job_works_on_but_hands_nothing_in(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save(JobRecord(describe(), JOBS, 30, "lease-1", state="executing"))
    managers = FakeManagers()
    managers.answers[ClaimJob] = lambda to, asked: []
    bench = Bench(tmp_path, managers, max_jobs=1)
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(300)
    assert bench.runner.executed == ["job-1"]
    assert not managers.commands(WantGetJobOutputDir)
    del managers.answers[ClaimJob]
    await task
    assert bench.states()[-1] == "done"


@in_fast_time
async def test_after_a_pause_the_job_is_claimed_before_its_output_goes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe()), max_jobs=1)
    bench.runner.runs_s = 10
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(3)
    bench.agent.resumed()
    await task
    kinds = [type(told) for _, told in bench.managers.heard]
    assert kinds.index(ClaimJob) < kinds.index(WantGetJobOutputDir)
    assert bench.managers.resets == 1


@in_fast_time
async def test_a_job_under_which_the_computer_breaks_down_again_and_again_is_given_up(tmp_path: Path) -> None:
    record = JobRecord(describe(), JOBS, 30, "lease-1", state="executing", starts=MAX_STARTS)
    Checkpoint(tmp_path).save(record)
    bench = Bench(tmp_path, FakeManagers(), max_jobs=1)
    await bench.agent.run()
    assert bench.states() == ["failed"]
    assert bench.managers.commands(JobFailedReport)[0].cause.startswith("start: ")


@in_fast_time
async def test_sessions_are_reported(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers())
    bench.agent.on_state(True)
    bench.agent.on_state(False)
    assert bench.report.sessions == [True, False]


@in_fast_time
async def test_what_an_instance_cannot_hear_any_more_is_said_to_all(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe(), verdicts=False))
    async with bench.running():
        await asyncio.sleep(5)
        done_id = f"id-{1 + [type(told) for _, told in bench.managers.heard].index(JobDone)}"
        bench.agent.on_bounce(done_id)
        bench.agent.on_bounce("id-unknown")
        await asyncio.sleep(1)
    assert [to for to, told in bench.managers.heard if isinstance(told, JobDone)] == [STORAGE, MANAGER]


@in_fast_time
async def test_a_get_job_that_bounces_is_not_said_to_all(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    managers.answers[GetJob] = lambda to, asked: []
    bench = Bench(tmp_path, managers)
    async with bench.running():
        await asyncio.sleep(1)
        bench.agent.on_bounce("id-2")
        await asyncio.sleep(1)
    assert [to for to, told in managers.heard if isinstance(told, GetJob)] == [JOBS]


@in_fast_time
async def test_a_new_session_asks_for_a_job_at_once_and_once_and_begins_the_waits_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers())
    async with bench.running():
        await asyncio.sleep(80)
        bench.agent.on_state(False)
        before = len(bench.managers.heard)
        bench.agent.resumed()
        began_at = asyncio.get_running_loop().time()
        bench.agent.on_state(True)
        await asyncio.sleep(50)
    asked_at = [round(at - began_at) for at in bench.managers.heard_at[before:]]
    assert asked_at == [0, 5, 15, 35]


@in_fast_time
async def test_a_new_session_asks_for_a_place_at_once_and_begins_the_waits_anew(tmp_path: Path) -> None:
    managers = FakeManagers(describe(), lease_s=None)
    managers.answers[WantGetJobOutputDir] = lambda to, asked: []
    bench = Bench(tmp_path, managers, max_jobs=1)
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(80)
    before = len(managers.commands(WantGetJobOutputDir))
    bench.agent.on_state(False)
    bench.agent.on_state(True)
    await asyncio.sleep(16)
    assert len(managers.commands(WantGetJobOutputDir)) - before == 3
    del managers.answers[WantGetJobOutputDir]
    bench.agent.on_state(True)
    # Before it ends it waits a second for a redirect.
    await asyncio.sleep(1.5)
    assert task.done()
    assert bench.states()[-1] == "done"


@in_fast_time
async def test_a_new_session_does_not_end_the_pause_that_a_manager_asked_for(tmp_path: Path) -> None:
    managers = FakeManagers()
    managers.answers[WantGetJob] = lambda to, asked: [(JOBS, Error("not now"))]
    bench = Bench(tmp_path, managers)
    async with bench.running():
        await asyncio.sleep(10)
        bench.agent.on_state(True)
        await asyncio.sleep(10)
        assert len(managers.commands(WantGetJob)) == 1


@in_fast_time
async def test_an_agent_that_is_to_finish_wants_no_job_after_its_last(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeManagers(describe("a"), describe("b")))
    bench.runner.runs_s = 10
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(3)
    bench.agent.finish()
    bench.agent.on_state(True)
    await task
    kinds = [type(told) for _, told in bench.managers.heard]
    assert kinds[-1] is JobDone
    assert kinds.count(WantGetJob) == 1


@in_fast_time
async def test_an_agent_that_is_to_finish_while_it_waits_for_its_job_does_not_ask_anew(tmp_path: Path) -> None:
    managers = FakeManagers(describe())
    managers.answers[GetJob] = lambda to, asked: []
    bench = Bench(tmp_path, managers)
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(8)
    bench.agent.finish()
    await task
    assert [type(told) for _, told in managers.heard] == [WantGetJob, GetJob]
    assert "id-2" in managers.forgotten, "getJob is not sent again when nobody waits for the job"


@pytest.mark.parametrize("lead", range(-6, 7))
@in_fast_time
async def test_a_job_that_meets_a_finish_is_done_or_given_back(tmp_path: Path, lead: int) -> None:
    bench = Bench(tmp_path, FakeManagers())
    task = asyncio.create_task(bench.agent.run())
    await asyncio.sleep(2)
    if lead > 0:
        bench.agent.finish()
    for _ in range(lead):
        await asyncio.sleep(0)
    bench.managers.say(JOBS, RunJob(describe("late"), {}, 30, "lease-9"))
    for _ in range(-lead):
        await asyncio.sleep(0)
    bench.agent.finish()
    await task
    await asyncio.sleep(1)
    back = [told.job_id for told in bench.managers.commands(JobFailedReport)]
    assert (back == ["late"]) != (bench.states("late")[-1:] == ["done"])
