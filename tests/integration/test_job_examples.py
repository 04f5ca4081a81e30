"""The examples of docs/job-authors.md, run as jobs."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from client.copilot.checkpoint import JobRecord
from client.copilot.execute import LocalRunner, RunnerSettings
from client.copilot.messages import JobDescription
from client.copilot.report import Progress

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parents[2] / "docs" / "job-authors.md"
EXAMPLES = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
#: Nobody else's: all of its processes are killed.
UID = 0x60000000 + os.getpid()
LAST = Progress(500, 500, "events")


class Job:
    def __init__(self, root: Path) -> None:
        self.runner = LocalRunner(RunnerSettings(root, UID if os.geteuid() == 0 else None, software_dir=Path("/usr")))
        self.record = JobRecord(JobDescription("job-1", command="run.sh"), "jm@x/1")
        self.progress: list[Progress] = []

    async def run(self) -> int:
        async with asyncio.timeout(120):
            return (await self.runner.execute(self.record, self.progress.append)).status


async def test_the_shell_goes_on_where_it_was_stopped(root: Path) -> None:
    job = Job(root)
    folder = await job.runner.prepare("job-1")
    (folder / "run.sh").write_text(EXAMPLES["sh"])
    (folder / "simulate").write_text('#!/bin/sh\necho "$2"\n')
    (folder / "simulate").chmod(0o755)
    first = asyncio.create_task(job.run())
    async with asyncio.timeout(60):
        while not job.progress:
            await asyncio.sleep(0.01)
    await job.runner.terminate(30)
    await first
    assert job.progress[-1].done < 500
    assert await job.run() == 0
    assert job.progress[-1] == LAST
    events = {name.name: name.read_text() for name in (folder / "events").iterdir()}
    assert events == {str(number): f"{number}\n" for number in range(500)}


async def test_python_tells_its_progress(root: Path) -> None:
    job = Job(root)
    folder = await job.runner.prepare("job-1")
    (folder / "job.py").write_text(f"def simulate(number): pass\n{EXAMPLES['python']}")
    (folder / "run.sh").write_text("#!/bin/sh\npython3 job.py\n")
    assert await job.run() == 0
    assert job.progress[-1] == LAST


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
async def test_cpp_tells_its_progress(root: Path) -> None:
    job = Job(root)
    folder = await job.runner.prepare("job-1")
    (root / "job.cpp").write_text(EXAMPLES["cpp"] + "int main() { for (long n = 1; n <= 500; ++n) tell(n, 500); }\n")
    subprocess.run(["c++", "-o", str(folder / "job"), str(root / "job.cpp")], check=True)
    (folder / "run.sh").write_text("#!/bin/sh\n./job\n")
    assert await job.run() == 0
    assert job.progress[-1] == LAST
