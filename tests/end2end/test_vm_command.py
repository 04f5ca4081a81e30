"""`main.py vm` with the whole program: a guest that does a project's job meanwhile, a killed client, every verb."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.end2end.test_faults_client import TCG
from tests.helpers.program import MAIN, TOP, Client, Site, open_client, processes_of
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]


def begin(client: Client, *words: str) -> subprocess.Popen[str]:
    place = words.index("--") if "--" in words else len(words)
    line = [*MAIN, "vm", *words[:place], "--basedir", str(client.base), *words[place:]]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, cwd=TOP)


def vm(client: Client, *words: str, code: int = 0, limit_s: float = 120) -> str:
    process = begin(client, *words)
    out, err = process.communicate(timeout=limit_s)
    assert process.returncode == code, f"{words}: {out} {err}\n{client.output()}"
    return out.strip()


def wait_state(client: Client, state: str) -> None:
    wait_for(state, lambda: client.vm()["state"] == state, 120)


def test_every_word_beside_a_job_and_over_a_killed_client(tmp_path: Path, site: Site) -> None:
    base = tmp_path / "base"
    data = os.urandom(20_000_000)
    (tmp_path / "local").write_bytes(data)
    site.submit("--events", "100000", "--number", "1", "--seed", "5")
    with open_client(base, "headless", "--project", str(site.project), *TCG, "--start") as client:
        client.wait_events(1)
        assert vm(client, "exec", "--", "id", "-u") == "1001"
        assert vm(client, "exec", "--root", "--", "id", "-u") == "0"
        vm(client, "put", str(tmp_path / "local"), "/scratch/")
        vm(client, "get", "/scratch/local", str(tmp_path / "back"))
        assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(data).digest()
        vm(client, "exec", "--root", "--", "rm", "/scratch/local")
        # The job goes on beside all this, and the client hears of it.
        client.wait_events(client.job()["done_units"] + 1)

        vm(client, "pause")
        wait_state(client, "paused")
        late = begin(client, "exec", "--", "echo", "after the pause")
        assert late.stderr is not None
        assert "is paused" in late.stderr.readline()
        vm(client, "resume")
        assert late.communicate(timeout=120)[0].strip() == "after the pause"

        counting = begin(client, "exec", "--", "sh", "-c", "for i in $(seq 20); do echo $i; sleep 1; done; exit 9")
        assert counting.stdout is not None
        assert counting.stdout.readline() == "1\n"
        client.kill()
        said, err = counting.communicate(timeout=120)
        name = re.findall(r"vm result (\w+)", err)
        assert (counting.returncode, len(name)) == (125, 1)
    with open_client(base, "headless", *TCG) as client:
        wait_state(client, "running")
        vm(client, "save")
        wait_state(client, "saved")
        assert "Start it first" in _refusal(client, "exec", "--", "true")
        vm(client, "start")
        wait_for("the result", lambda: "not ended" not in _both(client, "result", name[0]), 120)
        kept = vm(client, "result", name[0], code=9).splitlines()
        # Whoever asked has lost at most the one line that was on its way when the client was killed.
        assert kept == [str(number) for number in range(int(kept[0]), 21)]
        assert int(kept[0]) - len(said.splitlines()) in {2, 3}
        assert vm(client, "console") is not None
        doomed = begin(client, "exec", "--", "sh", "-c", "echo on; sleep 100")
        assert doomed.stdout is not None
        assert doomed.stdout.readline() == "on\n"
        vm(client, "reset")
        assert "started afresh" in doomed.communicate(timeout=120)[1]
        assert vm(client, "exec", "--", "echo", "anew") == "anew"
        vm(client, "poweroff")
        wait_state(client, "defined")
        assert vm(client, "list").split()[:2] == ["work-1", "defined"]
        assert client.quit() == 0
        assert processes_of(base) == []


def _both(client: Client, *words: str) -> str:
    process = begin(client, *words)
    return "".join(process.communicate(timeout=120))


def _refusal(client: Client, *words: str) -> str:
    process = begin(client, *words)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 125
    return err
