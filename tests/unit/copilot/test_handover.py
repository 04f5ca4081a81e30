"""Which way the files of a job go: HTTPS where both sides have it, Chirp else; time is the loop's, which jumps."""

from pathlib import Path
from typing import Any

import pytest

from client.clock import SystemClock
from client.copilot.agent import Agent, AgentSettings
from client.copilot.handover import HTTPS_TRIALS
from client.copilot.messages import (
    GetJob,
    GetJobOutputDir,
    JobDone,
    JobFailedReport,
    StoreJobOutputDir,
    WantGetJob,
)
from tests.helpers.copilot import MANAGER, STORAGE, FakeFiles, FakeManagers, FakeReport, FakeRunner, FakeWeb, describe
from tests.helpers.fastloop import in_fast_time

URL = "https://h.example:443/upload/slot/output.tgz"
HEADERS = (("Authorization", "Bearer x"),)
INPUT = "https://h.example:443/input/in-1"


class Bench:
    """An agent that does one job, whose storage manager offers HTTPS to those who can."""

    def __init__(self, folder: Path, *, web: bool = True, **job: Any) -> None:
        self.managers = FakeManagers(describe(**job))
        self.managers.answers[GetJobOutputDir] = self.place
        self.offer: dict[str, Any] = {"put_url": URL, "put_headers": HEADERS, "put_limit": 100}
        self.files = FakeFiles()
        self.web = FakeWeb()
        self.runner = FakeRunner(folder)
        settings = AgentSettings(MANAGER, folder, "host", durable=False, max_jobs=1)
        chosen = self.web if web else None
        self.agent = Agent(settings, self.managers, self.files, self.runner, FakeReport(), SystemClock(), chosen)
        self.managers.on_info = self.agent.on_info

    def place(self, to: str, asked: GetJobOutputDir) -> list[tuple[str, Any]]:
        offer = self.offer if asked.output_size is not None else {}
        return [(STORAGE, StoreJobOutputDir(asked.job_id, asked.job_id, "files:9094", **offer))]


@in_fast_time
async def test_an_agent_with_https_says_so_and_puts_its_output_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.agent.run()
    asks = [*bench.managers.commands(WantGetJob), *bench.managers.commands(GetJob)]
    assert all("https" in ask.extensions for ask in asks)
    assert [ask.output_size for ask in bench.managers.commands(GetJobOutputDir)] == [len(b"archive")]
    assert (bench.web.stored, bench.web.headers) == ({URL: b"archive"}, [HEADERS])
    assert bench.files.stored == {}
    assert len(bench.managers.commands(JobDone)) == 1
    assert bench.web.closed


@in_fast_time
async def test_an_agent_without_https_neither_announces_nor_uses_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, web=False, input_url=INPUT)
    await bench.agent.run()
    assert "https" not in bench.managers.commands(GetJob)[0].extensions
    assert bench.managers.commands(GetJobOutputDir)[0].output_size is None
    assert list(bench.files.stored) == ["/job-1/job-1.tgz"]
    assert bench.web.asked == []


@in_fast_time
async def test_a_storage_manager_without_upload_service_gets_the_output_over_chirp(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.offer = {}
    await bench.agent.run()
    assert list(bench.files.stored) == ["/job-1/job-1.tgz"]


@in_fast_time
async def test_each_trial_has_an_address_of_its_own_and_chirp_is_the_last_resort(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.web.failures[URL] = -1
    await bench.agent.run()
    sizes = [ask.output_size for ask in bench.managers.commands(GetJobOutputDir)]
    assert sizes == [*[len(b"archive")] * HTTPS_TRIALS, None]
    assert list(bench.files.stored) == ["/job-1/job-1.tgz"]
    assert len(bench.managers.commands(JobDone)) == 1


@in_fast_time
async def test_an_output_beyond_the_limit_is_not_sent(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.offer["put_limit"] = 3
    await bench.agent.run()
    assert (bench.web.asked, bench.files.stored, bench.managers.commands(JobDone)) == ([], {}, [])
    [failed] = bench.managers.commands(JobFailedReport)
    assert failed.cause == "output-limit: 7 bytes; the project takes 3"


@in_fast_time
async def test_input_comes_by_https(tmp_path: Path) -> None:
    bench = Bench(tmp_path, input_url=INPUT)
    bench.web.failures[f"{INPUT}/run.sh"] = 2
    bench.web.stored[f"{INPUT}/run.sh"] = b"by https"
    await bench.agent.run()
    assert (bench.runner.work_dir("job-1") / "run.sh").read_bytes() == b"by https"
    assert bench.web.asked[:3] == [f"{INPUT}/run.sh"] * 3


@in_fast_time
@pytest.mark.parametrize(("chirp", "done"), [("files:9094", 1), ("", 0)])
async def test_input_that_https_refuses_comes_over_chirp_if_there_is_one(tmp_path: Path, chirp: str, done: int) -> None:
    bench = Bench(tmp_path, input_url=INPUT, chirp_url=chirp)
    bench.web.failures[f"{INPUT}/run.sh"] = -1
    bench.files.stored["/job-1/run.sh"] = b"over chirp"
    await bench.agent.run()
    assert len(bench.managers.commands(JobDone)) == done
    assert len(bench.managers.commands(JobFailedReport)) == 1 - done


@in_fast_time
async def test_where_there_is_no_chirp_the_output_waits_for_https(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.runner.runs_s = 3600

    def place(to: str, asked: GetJobOutputDir) -> list[tuple[str, Any]]:
        if asked.output_size is None:
            return []
        return [(STORAGE, StoreJobOutputDir(asked.job_id, asked.job_id, "", **bench.offer))]

    bench.managers.answers[GetJobOutputDir] = place
    bench.web.failures = {URL: 2 * HTTPS_TRIALS}
    await bench.agent.run()
    assert (bench.web.stored, bench.files.stored) == ({URL: b"archive"}, {})
    assert len(bench.managers.commands(JobDone)) == 1
