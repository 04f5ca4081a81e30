"""The client is killed in the middle of each of its steps: the next one goes on, with one VM and the one job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end2end.test_faults_client import leave, wait_accepted, working
from tests.helpers.program import MAIN, TOP, Client, Site
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(400)]


def begun(base: Path, step: str) -> int:
    """How often the journal says that a step began."""
    journal = base / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return len({entry["number"] for entry in entries if entry["step"] == step})


def kill_in(client: Client, step: str, known: int, after_s: float = 0.0) -> None:
    """Kill the client within a step: as soon as the journal has it, or a little later."""
    ends_at = time.monotonic() + 60
    while begun(client.base, step) <= known:
        assert time.monotonic() < ends_at, f"never began to {step}: {client.output()}"
        time.sleep(0.002)
    time.sleep(after_s)
    client.kill()


def ask(base: Path, word: str) -> "subprocess.Popen[bytes]":
    """Command the client without waiting for its answer, which may never come."""
    command = [sys.executable, *MAIN[1:], "ctl", word, "--basedir", str(base)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=TOP)


def test_killed_in_each_step(tmp_path: Path, site: Site) -> None:
    base = tmp_path / "base"
    (job_id,) = site.submit("--events", "120", "--number", "1", "--seed", "17")
    with working(base, site, "--start") as client:
        kill_in(client, "fetch appliance", 0, 0.05)
    # The overlay is made, the guest's process begins, the guest boots.
    for after_s in (0.0, 0.1, 0.3, 1.5):
        known = begun(base, "boot")
        with working(base, site) as client:
            kill_in(client, "boot", known, after_s)
        # A guest that was started already goes on without its client; here it dies too, so that there is a next boot.
        guests = client.qemus()
        assert len(guests) <= 1
        for pid in guests:
            os.kill(pid, signal.SIGKILL)
    with working(base, site) as client:
        client.wait_events(5)
        assert len(client.qemus()) == 1
        asked = ask(base, "stop")
        kill_in(client, "save", 0, 0.1)
        asked.wait(90)
    with working(base, site) as client:
        wait_for("the saved state", lambda: client.vm()["state"] == "saved", 120)
        assert client.qemus() == []
        asked = ask(base, "start")
        kill_in(client, "restore", 0, 0.1)
        asked.wait(90)
    with working(base, site) as client:
        wait_accepted(client, site, job_id, "summary.json")
        assert len(client.qemus()) <= 1
        assert site.job(job_id)["attempts"] == 1
        assert site.states() == ["done"]
        leave(client)
