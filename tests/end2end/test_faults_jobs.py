"""Jobs that do harm: each is stopped, reported with its cause, and the next one is done in the same guest."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.program import Client, Site, open_client, processes_of, run_main
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]
#: hand-outs before a site gives a job up
ATTEMPTS = 5

FAILS = "#!/bin/sh\necho the detector is missing >&2\nexit 3\n"
ENDLESS = "#!/bin/sh\nwhile :; do sleep 1; done\n"
#: in files of 16 MB, since no single one may be above the limit
FLOODS = "#!/bin/sh\nfor n in $(seq 64); do dd if=/dev/zero of=part-$n bs=1048576 count=16 || exit 1; done\n"
ONE_FILE = "#!/bin/sh\nexec dd if=/dev/zero of=big bs=1048576 count=1024\n"
GOOD = "#!/bin/sh\necho forty-two > answer\n"


def submit(site: Site, folder: Path, text: str, *more: str) -> str:
    """Submit a script as a job; returns its id."""
    folder.mkdir(exist_ok=True)
    script = folder / "job.sh"
    script.write_text(text)
    (job_id,) = site.submit("--command", "job.sh", "--input-files", str(script), *more)
    return job_id


def wait_state(site: Site, job_id: str, state: str, limit_s: float) -> dict[str, Any]:
    wait_for(f"{job_id} to be {state}", lambda: site.job(job_id)["state"] == state, limit_s, 0.3)
    return site.job(job_id)


def wait_told(client: Client, code: str, job_id: str, limit_s: float = 120) -> str:
    """What the volunteer is told of a job that failed."""
    wait_for(f"the sentence on {job_id}", lambda: job_id in client.problems().get(code, ""), limit_s)
    return client.problems()[code]


def wait_returned(site: Site, job_id: str, cause: str) -> None:
    """The job is back in the queue with its cause; nobody is to try it again, so that the test goes on."""
    wait_for(f"{job_id} to return", lambda: any(cause in what for what in site.history(job_id)), 90)
    assert run_main("jobs", "--site", str(site.folder), "cancel", job_id).returncode == 0


def good_job(client: Client, site: Site, folder: Path) -> None:
    """A good job is done in the same guest, and its result is there."""
    before, (guest,) = client.accepted(), client.qemus()
    good = submit(site, folder, GOOD, "--priority", "9")
    wait_state(site, good, "done", 150)
    assert "answer" in site.results(good)
    wait_for("the verdict", lambda: client.accepted() == before + 1, 90)
    assert client.qemus() == [guest]


def test_bad_jobs_are_reported_and_good_ones_follow(tmp_path: Path, site: Site) -> None:
    """One guest for all of them, so that what one leaves behind would harm the next."""
    words = ("--project", str(site.project), "--set", "hypervisor.accelerator=tcg", "--start")
    with open_client(tmp_path / "base", "headless", *words) as client:
        fails = submit(site, tmp_path / "fails", FAILS)
        assert "ended with exit code 3." in wait_told(client, "job-refused", fails, 120)
        wait_returned(site, fails, "exit code 3")
        kept = site.folder / "storage" / "refused" / fails / "output" / "stderr"
        assert "the detector is missing" in kept.read_text()
        free_mib = client.vm()["guest"]["scratch_free_mib"]
        for name, text in (("floods", FLOODS), ("one-file", ONE_FILE)):
            floods = submit(site, tmp_path / name, text)
            said = wait_told(client, "job-failed", floods)
            assert "output-limit" in said and "It was reported; the next job is being asked for." in said
            wait_returned(site, floods, "output-limit")
        good_job(client, site, tmp_path / "good-1")
        wait_for("the space", lambda: client.vm()["guest"]["scratch_free_mib"] >= free_mib - 8, 90)
        endless = submit(site, tmp_path / "endless", ENDLESS, "--time-limit", "1")
        assert "time-limit: still running after 1 s" in wait_told(client, "job-failed", endless)
        dead = wait_state(site, endless, "dead", 180)
        assert dead["attempts"] == ATTEMPTS
        assert "5 attempts; the last: failed: time-limit" in dead["reason"]
        good_job(client, site, tmp_path / "good-2")
        assert client.quit("--stop-work") == 0
        assert processes_of(client.base) == []
