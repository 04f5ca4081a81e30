"""The whole path, as a volunteer sees it: window, click on Start, real guest, real job, validated output, Quit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.program import TOP, Client, Site, open_client, open_site, processes_of
from tests.helpers.screen import Screen, open_screen, wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(400)]
PICTURES = TOP / "build" / "screenshots" / "end2end"
EVENTS, SEED = 150, 7
#: written outside the base folder by the system's own libraries, not by us
NOT_OURS = ("mesa_shader_cache", "fontconfig", "qtshadercache")


class Window:
    """The program's window through its report file, mouse and keyboard."""

    def __init__(self, screen: Screen, report: Path) -> None:
        self._screen = screen
        self._report = report

    def said(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._report.read_text()))
        except FileNotFoundError:
            return {"window": None, "widgets": {}}

    def text(self, name: str) -> str:
        return str(self.said()["widgets"].get(name, {}).get("text", ""))

    def wait_enabled(self, name: str, limit_s: float = 90) -> None:
        wait_for(f"button {name}", lambda: self.said()["widgets"].get(name, {}).get("enabled"), limit_s)

    def click(self, name: str) -> None:
        self.wait_enabled(name)
        self._screen.click(self.said()["widgets"][name]["box"])


def native_reference(folder: Path) -> Path:
    """The result that the guest's must equal, worked out on this computer without a guest."""
    folder.mkdir()
    for name in ("run.sh", "simulate.py", "steering.cmnd"):
        shutil.copy(TOP / "resources" / "jobs" / "pythia8" / name, folder)
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words = ["./run.sh", "steering.cmnd", str(EVENTS), str(SEED)]
    subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, timeout=120)
    said = json.loads((folder / "summary.json").read_text())
    known = {name: said[name] for name in ("histograms_sha256", "sigma_mb", "sigma_error_mb")}
    (folder / "reference.json").write_text(json.dumps(known))
    return folder / "reference.json"


def files_below(folder: Path) -> list[str]:
    found = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    return [name for name in found if not any(word in name for word in NOT_OURS)]


def test_from_start_to_a_validated_job(tmp_path: Path) -> None:
    home, base = tmp_path / "home", tmp_path / "base"
    home.mkdir()
    with open_screen(tmp_path / "screen") as screen, open_site(tmp_path / "site") as site:
        known = native_reference(tmp_path / "native")
        words = ("--events", str(EVENTS), "--number", "1", "--seed", str(SEED), "--reference", str(known))
        (job_id,) = site.submit(*words)
        env = screen.env | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "TMPDIR": str(home)}
        env = {key: value for key, value in env.items() if not key.startswith("XDG_") or key == "XDG_RUNTIME_DIR"}
        report = tmp_path / "report.json"
        words = ("--project", str(site.project), "--ui-report", str(report))
        with open_client(base, "gui", *words, env=env) as client:
            work_through(screen, Window(screen, report), client, site, job_id)
            screen.xdotool("key", "ctrl+q")
            assert client.process.wait(60) == 0
        wait_for("the last relay to go", lambda: not processes_of(base), 5)
        went_by_https(tmp_path / "site")
        assert files_below(home) == []
        assert json.loads(report.read_text())["longest_call_ms"] < 50
    assert processes_of(tmp_path / "site") == []


def went_by_https(site: Path) -> None:
    """Input was shown, and the output was uploaded and taken; nothing of the job went over Chirp."""
    assert len(list((site / "input").iterdir())) == 1
    [uploaded] = (site / "run" / "prosody").rglob("*.bin")
    assert uploaded.stat().st_size == 0
    assert [path.name[:3] for path in (site / "chirp").iterdir() if path.is_dir()] == ["in-"]


def work_through(screen: Screen, window: Window, client: Client, site: Site, job_id: str) -> None:
    window.wait_enabled("start")
    screen.picture(PICTURES / "1-before-start.png")
    assert client.snapshot()["activity"] == "stopped"
    window.click("start")
    wait_for("the guest's start", lambda: client.vm()["state"] in {"starting", "running"}, 120)
    screen.picture(PICTURES / "2-booting.png")
    wait_for("events", lambda: client.job()["state"] == "executing" and client.job()["done_units"] > EVENTS // 4, 150)
    screen.picture(PICTURES / "3-working.png")
    assert client.job()["job_id"] == job_id
    window.click("pause")
    wait_for("the pause", lambda: client.vm()["state"] == "paused", 60)
    wait_for("the window to say so", lambda: window.text("headline").startswith("Paused"), 60)
    screen.picture(PICTURES / "4-paused.png")
    done = client.job()["done_units"]
    window.click("pause")
    wait_for("progress after the pause", lambda: client.job()["done_units"] > done, 90)
    wait_for("the verdict", lambda: client.snapshot()["totals"]["jobs_accepted"] == 1, 180)
    wait_for("the window to say so", lambda: window.text("headline").startswith("Waiting"), 60)
    screen.picture(PICTURES / "5-accepted.png")
    (job,) = site.jobs()
    assert (job["id"], job["state"]) == (job_id, "done")
    assert client.snapshot()["totals"]["units_done"] == EVENTS
