"""The whole path under VirtualBox: the appliance boots, its agent gets a job from a real site, the output arrives."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.helpers.program import TOP, open_client, open_site
from tests.helpers.screen import wait_for
from tests.virtualbox.lane import Lane

pytestmark = [pytest.mark.soak, pytest.mark.integration, pytest.mark.timeout(2400)]
#: From the power button to the agent's first word, and from there to the job: minutes each in this mode.
BOOT_LIMIT_S, JOB_LIMIT_S = 900, 900
HELLO = """#!/bin/sh
echo "hello from $(uname -m), $(nproc) processor" >greeting.txt
"""


def test_a_job_from_start_to_result(lane: Lane, tmp_path: Path) -> None:
    job = tmp_path / "hello.sh"
    job.write_text(HELLO)
    job.chmod(0o755)
    with open_site(tmp_path / "site") as site:
        (job_id,) = site.submit("--command", "hello.sh", "--input-files", str(job), "--number", "1")
        words = ("--project", str(site.project), "--set", "hypervisor.driver=virtualbox", "--start", "--jobs", "1")
        with open_client(tmp_path / "base", "headless", *words, env={**os.environ, **lane.environment}) as client:
            begun = time.monotonic()
            wait_for("the guest's start", lambda: client.vm()["state"] in {"starting", "running"}, 120)
            assert lane.processes("VBoxHeadless"), "it runs under VirtualBox"
            wait_for("the agent's first word", lambda: client.vm()["job"] is not None, BOOT_LIMIT_S)
            heard_s = time.monotonic() - begun
            wait_for("the output", lambda: site.job(job_id)["state"] == "done", JOB_LIMIT_S)
            done_s = time.monotonic() - begun
            assert client.process.wait(300) == 0
        assert "greeting.txt" in site.results(job_id)
        assert "done" in json.dumps(site.jobs())
    lane.assert_nothing_left(tmp_path / "base")
    said = TOP / "build/virtualbox/soak.json"
    said.write_text(json.dumps({"first_word_s": round(heard_s), "job_done_s": round(done_s)}))
    print(f"\nvirtualbox: first word after {heard_s:.0f} s, output after {done_s:.0f} s")
