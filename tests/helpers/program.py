"""The program as a user has it: child processes on a base folder of their own, asked through its own commands."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from client.preferences.store import save_all
from client.service.regulation import AT_ONCE
from tests.helpers.screen import wait_for

TOP = Path(__file__).resolve().parents[2]
APPLIANCE = TOP / "build" / "appliance"
MAIN = [sys.executable, str(TOP / "main.py")]


def run_main(*words: str, env: dict[str, str] | None = None, limit_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run one of the program's commands to its end."""
    return subprocess.run([*MAIN, *words], env=env, capture_output=True, text=True, timeout=limit_s, cwd=TOP)


@dataclass
class Site:
    """A local site that runs as its own process."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def project(self) -> Path:
        return self.folder / "project.toml"

    def submit(self, *words: str) -> list[str]:
        done = run_main("submit", "--site", str(self.folder), "--json", *words)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return list(said["jobs"] if isinstance(said, dict) else said)

    def jobs(self) -> list[dict[str, Any]]:
        done = run_main("jobs", "--site", str(self.folder), "list", "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return list(said["jobs"] if isinstance(said, dict) else said)

    def states(self) -> list[str]:
        return sorted(job["state"] for job in self.jobs())

    def job(self, job_id: str) -> dict[str, Any]:
        return next(job for job in self.jobs() if job["id"] == job_id)

    def history(self, job_id: str) -> list[str]:
        """What became of a job, oldest first, in the queue's words."""
        done = run_main("jobs", "--site", str(self.folder), "show", job_id, "--json")
        assert done.returncode == 0, done.stderr
        return [f"{event['what']} {event['detail']}".strip() for event in json.loads(done.stdout)["history"]]

    def results(self, job_id: str) -> list[str]:
        """Names of the files of a job's accepted result; empty for none."""
        folder = self.folder / "storage" / "results" / job_id / "output"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def child(self, name: str) -> int:
        """Process id of one of the site's parts; 0 while it does not run."""
        done = run_main("site", "status", "--folder", str(self.folder), "--json")
        return int(json.loads(done.stdout)["children"].get(name) or 0)

    def kill_child(self, name: str) -> int:
        """Kill one of the site's parts as nothing can prevent; returns the process id that it had."""
        pid = self.child(name)
        assert pid, name
        os.kill(pid, signal.SIGKILL)
        return pid


@contextlib.contextmanager
def open_site(folder: Path, *words: str) -> Iterator[Site]:
    """Start a local site and wait until it is up; down at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "site-output.log").open("ab")
    command = [*MAIN, "site", "up", "--folder", str(folder), "--appliance", str(APPLIANCE), *words]
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=TOP)
    try:
        up = ["site", "status", "--folder", str(folder)]
        wait_for("the local site", lambda: process.poll() is not None or run_main(*up).returncode == 0, 120)
        assert process.poll() is None, (folder / "site-output.log").read_text()
        yield Site(folder, process)
    finally:
        end(process)
        log.close()


def end(process: subprocess.Popen[bytes], limit_s: float = 60) -> None:
    """Ask a child to end, and insist."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Client:
    """A running client, headless or with its window."""

    base: Path
    process: subprocess.Popen[bytes]
    log: Path

    def ctl(self, *words: str) -> dict[str, Any]:
        done = run_main("ctl", *words, "--json", "--basedir", str(self.base))
        assert done.stdout, f"{done.stderr}\n{self.output()}"
        return dict(json.loads(done.stdout))

    def snapshot(self) -> dict[str, Any]:
        """The state, asked for without a process of its own: tests that wait ask often, and guests want the cores."""
        try:
            place = json.loads((self.base / "control.json").read_text())
            with socket.create_connection(("127.0.0.1", place["port"]), 60) as connection:
                connection.sendall(json.dumps({"token": place["token"], "do": "status"}).encode() + b"\n")
                with connection.makefile() as lines:
                    return dict(json.loads(lines.readline())["snapshot"])
        except (OSError, ValueError) as error:
            raise AssertionError(f"{error}\n{self.output()}") from error

    def vm(self) -> dict[str, Any]:
        vms = self.snapshot()["vms"]
        return dict(vms[0]) if vms else {"state": "absent", "job": None}

    def job(self) -> dict[str, Any]:
        return dict(self.vm()["job"] or {"state": "", "job_id": "", "done_units": 0, "accepted": None})

    def accepted(self) -> int:
        return int(self.snapshot()["totals"]["jobs_accepted"])

    def problems(self) -> dict[str, str]:
        """What stands now: code to both sentences."""
        return {one["code"]: f"{one['text']} {one['doing']}" for one in self.snapshot()["problems"]}

    def said(self, words: str) -> bool:
        """Whether the program's log holds these words."""
        log = self.base / "client.jsonl"
        return log.exists() and words in log.read_text(encoding="utf-8", errors="replace")

    def qemus(self) -> list[int]:
        return qemus_of(self.base)

    def wait_events(self, least: int, limit_s: float = 120) -> dict[str, Any]:
        """Wait until the job in hand has done so many of its units; returns it as it was then."""
        seen: dict[str, Any] = {}

        def has_done() -> bool:
            seen.update(self.job())
            return bool(seen["state"] == "executing" and seen["done_units"] >= least)

        wait_for(f"{least} events", has_done, limit_s)
        return seen

    def wait_more(self, job_id: str, limit_s: float = 90) -> None:
        """Wait until the job goes on: more of it is done than now."""
        done = self.job()["done_units"]

        def goes_on() -> bool:
            job = self.job()
            return bool(job["job_id"] == job_id and job["done_units"] > done)

        wait_for("the job to go on", goes_on, limit_s)

    def output(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def wait_up(self) -> None:
        wait_for("the client", lambda: (self.base / "control.json").exists() or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.output()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        (self.base / "control.json").unlink(missing_ok=True)

    def quit(self, *words: str) -> int:
        self.ctl("quit", *words)
        return self.process.wait(90)


@contextlib.contextmanager
def open_client(
    base: Path,
    face: str,
    *words: str,
    env: dict[str, str] | None = None,
    cwd: Path = TOP,
    wrapper: tuple[str, ...] = (),
    at_once: bool = True,
) -> Iterator[Client]:
    """Start a client; it is ended with its work stopped if the test did not end it.

    Args:
        wrapper: a command that starts it in a place of its own, as env(1) does.
        at_once: its guests get all of the computer, whoever else needs it; False: by the preferences as they are.
    """
    base.mkdir(parents=True, exist_ok=True)
    if at_once:
        save_all(base / "preferences.toml", dict(AT_ONCE))
    log = base.parent / f"{base.name}-{face}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*wrapper, *MAIN, face, "--basedir", str(base), *words],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=env,
            cwd=cwd,
        )
    client = Client(base, process, log)
    try:
        client.wait_up()
        yield client
    finally:
        if process.poll() is None:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                client.quit("--stop-work")
        end(process)


def processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that mention a folder (this one and its parents left out)."""
    found = []
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) in own:
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words:
                found.append(words)
    return found


def qemus_of(folder: Path) -> list[int]:
    """Processes of hypervisors that work in a folder, once none of them is about to become another.

    QEMU goes into the background by a second process while the first ends, and its forks become relays.
    """
    before: dict[int, int] | None = None

    def is_settled() -> bool:
        nonlocal before
        seen = _qemus(folder)
        is_still, before = seen == before and not any(parent in seen for parent in seen.values()), seen
        return is_still

    wait_for("QEMU to be in the background", is_settled, 30)
    return sorted(before or ())


def _qemus(folder: Path) -> dict[int, int]:
    """Process id -> that of its parent."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if "qemu-system" in words[0] and any(str(folder) in word for word in words):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    found[int(entry.name)] = parent
    return found
