"""What an operator types, on a whole site with two of each manager, with native agents that do the jobs."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from client.project.definition import load_project
from client.project.enrolment import fetch_guest_token
from tests.helpers.program import MAIN, TOP, end, run_main
from tests.helpers.screen import wait_for

pytestmark = pytest.mark.integration
USERS = iter(range(0x71000000, 0x71001000))


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-operator-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def env(base: Path) -> Iterator[dict[str, str]]:
    """The environment of an operator whose site is up."""
    appliance = base / "appliance"
    appliance.mkdir()
    (appliance / "manifest.json").write_text(json.dumps({"files": {}}))
    env = os.environ | {"VOLUNTEER_CLOUD_SITE": str(base / "site"), "LOGNAME": "anna", "COLUMNS": "200"}
    log = (base / "site.log").open("wb")
    command = [*MAIN, "site", "up", "--appliance", str(appliance), "--managers", "2"]
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=TOP, env=env)
    try:
        up = lambda: run_main("site", "status", env=env).returncode == 0  # noqa: E731
        wait_for("the site", lambda: process.poll() is not None or up(), 60)
        assert process.poll() is None, (base / "site.log").read_text()
        yield env
    finally:
        end(process)
        log.close()


@pytest.fixture(scope="module")
def agent(base: Path, env: dict[str, str]) -> Iterator[str]:
    """The account of a native agent that works."""
    with native_agent(base, "agent") as jid:
        yield jid


@contextmanager
def native_agent(base: Path, name: str) -> Iterator[str]:
    project = load_project(base / "site" / "project.toml")
    token = fetch_guest_token(project, name)
    root = base / name
    root.mkdir(mode=0o755)
    account = {"jid": token.jid, "password": token.password, "host": project.xmpp_host, "port": project.xmpp_port}
    account |= {"ca_pem": project.ca_pem, "domain": project.domain, "job_manager": project.job_manager}
    settings = {"agent": account, "root": str(root), "job": {}, "job_uid": next(USERS)}
    (base / f"{name}.json").write_text(json.dumps(settings))
    with (base / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([*MAIN, "agent", str(base / f"{name}.json")], stdout=log, stderr=log, cwd=TOP)
        try:
            yield token.jid
        finally:
            end(process)


def script(base: Path, text: str) -> str:
    path = base / "job.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    return str(path)


def asked(env: dict[str, str], *words: str, code: int = 0) -> Any:
    done = run_main(*words, "--json", env=env)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_the_site_says_how_it_is(env: dict[str, str]) -> None:
    # The monitor is not waited for when a site comes up.
    wait_for("all parts", lambda: all(part["ready"] for part in asked(env, "site", "status")["parts"]), 60)
    facts = asked(env, "site", "status")
    assert (facts["ready"], facts["managers"]) == (True, 2)
    assert {"job-manager", "job-manager-2", "storage-manager", "storage-manager-2"} <= set(facts["children"])
    assert all(part["restarts"] == 0 for part in facts["parts"])
    again = run_main("site", "up", env=env)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "runs already" in again.stderr
    assert "The site is down" not in again.stdout


def test_an_array_is_submitted_done_and_read(base: Path, env: dict[str, str], agent: str) -> None:
    (base / "cases.csv").write_text("name\na b\n$(id) 'x'\n")
    words = ["submit", "--command", script(base, 'echo "$1|$NAME"; echo oops >&2'), "--arguments", "{name}"]
    words += ["--parameters", str(base / "cases.csv"), "--env", "NAME={name}", "--wait"]
    said = asked(env, *words)
    assert (said["number"], said["done"], said["dead"]) == (2, 2, [])
    logs = [run_main("jobs", "log", job_id, env=env).stdout for job_id in said["jobs"]]
    assert logs == ["a b|a b\n", "$(id) 'x'|$(id) 'x'\n"]
    assert asked(env, "jobs", "log", said["jobs"][0])["stderr"] == "oops\n"
    listed = asked(env, "jobs", "--submitter", "anna", "--state", "done")["jobs"]
    assert {job["id"] for job in listed} >= set(said["jobs"])
    [record] = asked(env, "agents", "show", agent)["agents"]
    assert record["accepted"] >= 2
    assert record["last_seen"] > 0


def test_a_job_is_followed_to_its_end(base: Path, env: dict[str, str], agent: str) -> None:
    [job_id] = asked(env, "submit", "--command", script(base, "sleep 2; echo at last"))["jobs"]
    done = run_main("jobs", "log", job_id, "--follow", env=env)
    assert (done.returncode, done.stdout) == (0, "at last\n")
    assert "It is at work" in done.stderr


def test_a_job_that_fails_is_dead_with_its_reason_and_can_go_again(base: Path, env: dict[str, str], agent: str) -> None:
    said = asked(env, "submit", "--command", script(base, "exit 3"), "--max-attempts", "1", "--wait", code=1)
    [dead] = said["dead"]
    assert "exit code 3" in dead["reason"]
    groups = asked(env, "jobs", "dead")["groups"]
    assert dead["id"] in next(group["jobs"] for group in groups if "exit code 3" in group["reason"])
    assert [job["state"] for job in asked(env, "jobs", "retry", dead["id"])["changed"]] == ["waiting"]
    asked(env, "jobs", "wait", dead["id"], code=1)
    assert "exit code 3" in run_main("jobs", "log", dead["id"], env=env).stderr


def test_a_drained_site_ends_what_it_has_and_begins_nothing(base: Path, env: dict[str, str], agent: str) -> None:
    [first] = asked(env, "submit", "--command", script(base, f"touch {base}/began; sleep 3"))["jobs"]
    wait_for("the job", lambda: asked(env, "jobs", "show", first)["state"] == "leased", 60)
    [second] = asked(env, "submit", "--command", script(base, "true"))["jobs"]
    assert asked(env, "drain", "--wait") == {"drained": [""], "at_work": 0, "over": True}
    assert [asked(env, "jobs", "show", job)["state"] for job in (first, second)] == ["done", "waiting"]
    assert "It is drained" in run_main("site", "status", env=env).stdout
    assert asked(env, "drain", "--off")["drained"] == []
    asked(env, "jobs", "wait", second)


def test_ctrl_c_and_a_closed_pipe_end_quietly(base: Path, env: dict[str, str]) -> None:
    [job_id] = asked(env, "submit", "--command", script(base, "true"), "--memory-mib", "999999999")["jobs"]
    waiting = subprocess.Popen(
        [*MAIN, "jobs", "wait", job_id], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP, env=env
    )
    assert waiting.stderr is not None
    said = waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    said += waiting.communicate(timeout=60)[1]
    assert (waiting.returncode, "Traceback" in said) == (130, False)
    piped = subprocess.run(
        ["bash", "-c", f"{sys.executable} main.py jobs show {job_id} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=TOP,
        env=env,
        timeout=60,
        check=True,
    )
    assert piped.stderr == ""
    assert piped.stdout.strip() in {"0", "141"}
    asked(env, "jobs", "cancel", job_id)


def test_a_terminal_gets_a_table(env: dict[str, str], agent: str) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen([*MAIN, "agents"], stdout=slave, stderr=slave, cwd=TOP, env=env) as process:
        os.close(slave)
        assert process.wait(60) == 0
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert "OWNER" in shown
    assert agent.partition("@")[0][-16:] in shown or "idle" in shown
