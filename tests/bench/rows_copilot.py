"""The Co-Pilot dialogue on loopback: one native agent, and a real site with its managers in processes of their own."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client.copilot import native, report
from client.project.definition import Project, load_project
from client.project.enrolment import fetch_guest_token
from tests.bench.harness import Row, at_least, at_most, bench
from tests.helpers.program import Site, open_site

RUNS, JOBS, LIMIT_S = 5, 120, 120
ORIGINAL_MS, ORIGINAL_JOBS = 145.0, 147.0
ORIGINAL = "original in Perl, measured elsewhere"


class Times(report.LogReport):
    """Notes when the agent begins to want a job and when it has one."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted = 0.0
        self.latencies_ms: list[float] = []
        self.ends: list[float] = []

    def job(self, job_id: str, state: str, **more: Any) -> None:
        super().job(job_id, state, **more)
        now = time.perf_counter()
        if state == report.WANTING:
            self._wanted = now
        elif state == report.GETTING_INPUT:
            self.latencies_ms.append((now - self._wanted) * 1000)
        elif state == report.DONE:
            self.ends.append(now)


@bench("copilot latency and jobs")
def copilot() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        folder = Path(name)
        # Jobs run as another user, who must reach his work directory.
        folder.chmod(0o755)
        with open_site(folder / "site") as site:
            runs = [_run(site, folder) for _ in range(RUNS)]
    latencies = sorted(one for times in runs for one in times.latencies_ms[1:])
    peer: dict[str, Any] = {"peer": ORIGINAL, "peer_value": ORIGINAL_MS}
    yield at_most("copilot latency: want_getJob to runJob", latencies, "ms", 10, **peer)
    yield at_most("copilot latency: the same, 99th of 100", [statistics.quantiles(latencies, n=100)[98]], "ms", 50)
    per_minute = [60 * (len(times.ends) - 1) / (times.ends[-1] - times.ends[0]) for times in runs]
    peer = {"peer": ORIGINAL, "peer_value": ORIGINAL_JOBS}
    yield at_least("copilot jobs: trivial ones through one agent", per_minute, "jobs/min", 900, **peer)


def _run(site: Site, folder: Path) -> Times:
    script = folder / "run.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    site.submit("--command", "run.sh", "--input-files", str(script), "--number", str(JOBS))
    root = folder / "agent"
    root.mkdir(exist_ok=True)
    times = Times()
    settings = _settings(load_project(site.project), root)
    asyncio.run(asyncio.wait_for(native.run(settings, times, max_jobs=JOBS), LIMIT_S))
    assert (times.done_jobs, times.failed_jobs) == (JOBS, 0), (times.done_jobs, times.failed_jobs)
    return times


def _settings(project: Project, root: Path) -> dict[str, Any]:
    token = fetch_guest_token(project, f"bench-{os.getpid()}")
    agent = {"jid": token.jid, "password": token.password, "host": project.xmpp_host, "port": project.xmpp_port}
    return {"root": str(root), "agent": {**agent, "ca_pem": project.ca_pem, "job_manager": project.job_manager}}
