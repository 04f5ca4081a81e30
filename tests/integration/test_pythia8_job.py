"""The physics job, natively: whole, interrupted, killed, and with bad input."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

TOP = Path(__file__).resolve().parents[2]
JOB = TOP / "resources" / "jobs" / "pythia8"
STEERING = JOB / "steering.cmnd"
EVENTS, SEED = 400, 7
HARD = "Beams:eCM = 13000.\nHardQCD:all = on\nPhaseSpace:pTHatMin = 50.\n"


@pytest.fixture(scope="module", autouse=True)
def needs_pythia8() -> None:
    pytest.importorskip("pythia8mc", reason="pythia8mc is not installed for this Python")


def start(folder: Path, *words: object, **options: Any) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(TOP / ".venv/bin/python"), "SOFTWARE_DIR": "/absent"}
    environment |= options.pop("environment", {})
    command = [str(JOB / "run.sh"), *map(str, words)]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, **options)


def finish(job: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = job.communicate(timeout=60)
    return job.returncode, said


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text()))


def wait_until(job: subprocess.Popen[str], log: Path, words: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and job.poll() is None:
        if log.exists() and words in log.read_text():
            return
        os.sched_yield()
    raise AssertionError(f"the job did not say {words!r}")


def interrupt(folder: Path, number: signal.Signals, steering: Path, after_s: float) -> int:
    """Start the job, end it by a signal some time after it began with events; its exit code."""
    log = folder / "job.log"
    log.unlink(missing_ok=True)
    job = start(folder, steering, EVENTS, SEED)
    wait_until(job, log, "events are done")
    try:
        job.wait(after_s)
    except subprocess.TimeoutExpired:
        job.send_signal(number)
    return finish(job)[0]


@pytest.mark.parametrize("text", [STEERING.read_text(), HARD], ids=["non-diffractive", "hard"])
def test_interrupted_or_not_the_result_is_the_same(tmp_path: Path, text: str) -> None:
    steering = tmp_path / "steering.cmnd"
    steering.write_text(text)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert finish(start(whole, steering, EVENTS, SEED)) == (0, "")
    assert interrupt(parts, signal.SIGTERM, steering, 0.25) == -signal.SIGTERM
    done = json.loads((parts / "checkpoint.json").read_text())["totals"]["events"]
    assert 0 < done < EVENTS
    assert interrupt(parts, signal.SIGKILL, steering, 0.1) == -signal.SIGKILL
    assert interrupt(parts, signal.SIGTERM, steering, 0.1) == -signal.SIGTERM
    assert finish(start(parts, steering, EVENTS, SEED)) == (0, "")
    once, often = summary(whole), summary(parts)
    assert often["histograms"] == once["histograms"]
    assert often["histograms_sha256"] == once["histograms_sha256"]
    assert often["events"] == EVENTS
    # The cross-section is joined from estimates of each run, so it agrees within its error only.
    assert often["sigma_mb"] == pytest.approx(once["sigma_mb"], abs=once["sigma_error_mb"], rel=1e-6)
    assert not (parts / "checkpoint.json").exists()


def test_what_it_says(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    job = start(tmp_path, STEERING, 50, 1, pass_fds=[writer], environment={"VC_PROGRESS_FD": str(writer)})
    os.close(writer)
    assert finish(job) == (0, "")
    with os.fdopen(reader) as pipe:
        told = [json.loads(line) for line in pipe]
    assert told[0] == {"done": 0, "total": 50, "unit": "events"}
    assert told[-1] == {"done": 50, "total": 50, "unit": "events"}
    said = summary(tmp_path)
    assert said["process"] == "non-diffractive"
    assert sum(said["histograms"]["charged_multiplicity"]) == said["events"] == 50
    # The non-diffractive cross-section at 13 TeV in this generator's default description.
    assert said["sigma_mb"] == pytest.approx(56.42, abs=0.1)
    assert "Done: 50 events" in (tmp_path / "job.log").read_text()


def test_another_seed_another_result_and_no_foreign_checkpoint(tmp_path: Path) -> None:
    assert interrupt(tmp_path, signal.SIGTERM, STEERING, 0.2) == -signal.SIGTERM
    assert finish(start(tmp_path, STEERING, 20, SEED + 1)) == (0, "")
    (tmp_path / "checkpoint.json").write_text('{"fits": "garbage", "histograms": [1')
    other = summary(tmp_path)
    assert finish(start(tmp_path, STEERING, 20, SEED)) == (0, "")
    assert summary(tmp_path)["events"] == other["events"] == 20
    assert summary(tmp_path)["histograms_sha256"] != other["histograms_sha256"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((STEERING, 10), "usage"),
        (("absent.cmnd", 10, 1), "cannot be read"),
        ((STEERING, "0", 1), "EVENTS must be"),
        ((STEERING, "ten", 1), "EVENTS must be"),
        ((STEERING, 10, "-1"), "SEED must be"),
        ((STEERING, 10, "9" * 11), "SEED must be"),
        ((JOB / "run.sh", 10, 1), "not understood by Pythia"),
        (("/dev/null", 10, 1), "cannot start"),
    ],
)
def test_bad_input(tmp_path: Path, words: tuple[object, ...], complaint: str) -> None:
    code, said = finish(start(tmp_path, *words))
    assert code == 2
    assert complaint in said
    assert not (tmp_path / "summary.json").exists()
