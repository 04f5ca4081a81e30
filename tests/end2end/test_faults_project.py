"""The project's parts die in mid-job and come back: the job is done all the same, once, and whole."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paced_job import let_end, submit_paced
from tests.helpers.program import Client, Site, open_client, open_site, processes_of
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]
OUTPUT_BYTES = 24_000_000
#: its output cannot be packed any smaller, so that the upload takes its time
BIG = f"#!/bin/sh\nhead -c {OUTPUT_BYTES} /dev/urandom > big\n"


@contextlib.contextmanager
def working(base: Path, site: Site, *more: str) -> Iterator[Client]:
    words = ("--project", str(site.project), "--set", "hypervisor.accelerator=tcg", *more, "--start")
    with open_client(base, "headless", *words) as client:
        yield client
        assert client.quit("--stop-work") == 0
        assert processes_of(base) == []


def parts_of(site: Site) -> set[int]:
    """Processes that the site itself has started and that run."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == site.process.pid and state != "Z":
                    found.add(int(entry.name))
    return found


def wait_back(site: Site, dead: int, before: set[int]) -> None:
    def is_back() -> bool:
        now = parts_of(site)
        return dead not in now and len(now) == len(before)

    wait_for("it to come back", is_back, 90)


def kill_and_wait_back(site: Site, name: str) -> None:
    """Kill a part of the site and wait until the site has started it again."""
    before = parts_of(site)
    wait_back(site, site.kill_child(name), before)


def test_managers_and_message_server_die_in_mid_job(tmp_path: Path, site: Site) -> None:
    job_id = submit_paced(site, tmp_path)
    with working(tmp_path / "base", site) as client:
        client.wait_events(4)
        (guest,) = client.qemus()
        for name in ("prosody", "job-manager", "storage-manager"):
            kill_and_wait_back(site, name)
            client.wait_more(job_id)
        let_end(client)
        wait_for("the verdict", lambda: client.accepted() == 1, 180)
        assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)
        assert "result" in site.results(job_id)
        assert client.qemus() == [guest]


def test_the_whole_project_is_away_for_a_while(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with open_site(tmp_path / "site") as site:
            job_id = submit_paced(site, tmp_path)
            client = stack.enter_context(working(tmp_path / "base", site))
            done = client.wait_events(4)["done_units"]
        offline = "The virtual machine cannot reach the project's server."
        wait_for("the sentence", lambda: offline in client.problems().get("project-offline", ""), 120)
        assert client.job()["job_id"] == job_id
        assert client.job()["done_units"] > done
        with open_site(tmp_path / "site") as site:
            let_end(client)
            wait_for("the verdict", lambda: client.accepted() == 1, 180)
            assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)
            wait_for("the sentence taken back", lambda: "project-offline" not in client.problems(), 60)
            stack.close()


def test_an_upload_that_is_cut_in_half_is_done_again(tmp_path: Path, site: Site) -> None:
    script = tmp_path / "job.sh"
    script.write_text(BIG)
    (job_id,) = site.submit("--command", "job.sh", "--input-files", str(script))
    uploads = site.folder / "run" / "prosody"

    def arrived() -> int:
        with contextlib.suppress(OSError):
            return sum(path.stat().st_size for path in uploads.rglob("*.bin*"))
        return 0

    with working(tmp_path / "base", site, "--set", "network.limit_kib_per_s=2048") as client:
        # Asked before, for to ask takes a while, in which the upload would go on.
        server, before = site.child("prosody"), parts_of(site)
        wait_for("a part of the upload", lambda: arrived() > 2_000_000, 150, 0.02)
        os.kill(server, signal.SIGKILL)
        assert arrived() < OUTPUT_BYTES, "it was cut"
        assert site.results(job_id) == []
        wait_back(site, server, before)
        wait_for("the verdict", lambda: client.accepted() == 1, 150)
        turns = [what for what in site.history(job_id) if what.startswith(("handed out", "returned", "done"))]
        assert [turn.split()[0] for turn in turns] == ["handed", "done"]
        result = site.folder / "storage" / "results" / job_id / "output" / "big"
        assert result.stat().st_size == OUTPUT_BYTES
        assert site.job(job_id)["attempts"] == 1
