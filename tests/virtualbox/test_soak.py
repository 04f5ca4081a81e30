"""The whole path under VirtualBox: the appliance boots, its agent gets a job from a real site, the output arrives."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from client import filenames
from client.clock import SystemClock
from client.hypervisor.verdicts import Verdicts, host_identity
from client.hypervisor.virtualbox.parse import parse_version
from tests.helpers.program import MAIN, TOP, Client, open_client, open_site
from tests.helpers.screen import wait_for
from tests.virtualbox.lane import Lane

pytestmark = [pytest.mark.soak, pytest.mark.integration, pytest.mark.timeout(3600)]
#: From the power button to the agent's first word, from there to the job, and one errand: minutes in this mode.
BOOT_LIMIT_S, JOB_LIMIT_S, ERRAND_LIMIT_S = 900, 900, 300
#: more than what goes over the link
LARGE_BYTES = 3_000_000
PROGRESS = TOP / "build/virtualbox/soak.json"
HELLO = """#!/bin/sh
echo "hello from $(uname -m), $(nproc) processor" >greeting.txt
"""


def note_proof(lane: Lane, vms: Path) -> None:
    """What a computer on which a guest has lived under this VirtualBox remembers of it: there is no kernel module."""
    host = host_identity("VirtualBox", str(parse_version(lane.manage("--version"))))
    vms.mkdir(parents=True)
    verdicts = Verdicts(vms / filenames.ACCELERATORS, SystemClock())
    for subject in ("virtualbox", "virtualbox interpreter"):
        verdicts.remember(subject, host, works=True)


class Watch:
    """Times of what came, since the beginning; kept in a file also when a later step fails."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._seen: dict[str, int] = {}

    def saw(self, what: str) -> None:
        self._seen[what] = round(time.monotonic() - self._begun)
        PROGRESS.write_text(json.dumps(self._seen))
        print(f"\nvirtualbox: {what} after {self._seen[what]} s", flush=True)


def vm(client: Client, *words: str) -> str:
    """An errand of `main.py vm`."""
    place = words.index("--") if "--" in words else len(words)
    line = [*MAIN, "vm", *words[:place], "--basedir", str(client.base), *words[place:]]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ERRAND_LIMIT_S)
    assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}\n{client.output()}"
    return done.stdout.strip()


def carry(client: Client, folder: Path, size_bytes: int) -> None:
    """A file into the guest and back."""
    local, back = folder / f"there-{size_bytes}", folder / f"back-{size_bytes}"
    local.write_bytes(os.urandom(size_bytes))
    vm(client, "put", str(local), f"/scratch/{local.name}")
    vm(client, "get", f"/scratch/{local.name}", str(back))
    assert hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(local.read_bytes()).digest()


def do_errands(client: Client, folder: Path, watch: Watch) -> None:
    """Commands and files in the same guest: over the link, and by the exchange."""
    assert vm(client, "exec", "--root", "--", "id", "-u") == "0"
    watch.saw("a command")
    carry(client, folder, 5)
    watch.saw("a small file there and back")
    carry(client, folder, LARGE_BYTES)
    watch.saw("a large file there and back")


def test_a_job_from_start_to_result_and_errands(lane: Lane, tmp_path: Path) -> None:
    job = tmp_path / "hello.sh"
    job.write_text(HELLO)
    job.chmod(0o755)
    base = tmp_path / "base"
    note_proof(lane, base / "vms" / "_virtualbox")
    with open_site(tmp_path / "site") as site:
        (job_id,) = site.submit("--command", "hello.sh", "--input-files", str(job), "--number", "1")
        words = ("--project", str(site.project), "--set", "hypervisor.driver=virtualbox", "--start")
        watch = Watch()
        with open_client(base, "headless", *words, env={**os.environ, **lane.environment}) as client:
            wait_for("the guest's start", lambda: client.vm()["state"] in {"starting", "running"}, 120)
            wait_for("its process", lambda: lane.processes("VBoxHeadless"), 60)
            watch.saw("the power button")
            wait_for("the agent's first word", lambda: client.vm().get("guest"), BOOT_LIMIT_S)
            watch.saw("the agent's first word")
            wait_for("the agent's login", lambda: client.vm()["guest"]["xmpp_connected"], BOOT_LIMIT_S)
            watch.saw("the agent's login")
            wait_for("the output", lambda: site.job(job_id)["state"] == "done", JOB_LIMIT_S)
            watch.saw("the output")
            assert site.results(job_id).count("greeting.txt") == 1
            do_errands(client, tmp_path, watch)
            assert client.quit("--stop-work") == 0
            watch.saw("the end")
    assert lane.processes("VBoxHeadless") == []
