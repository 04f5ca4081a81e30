"""The project's parts die in mid-job and come back: the job is done all the same, once, and whole."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def wait_more(client: Client, job_id: str, limit_s: float = 60) -> None:
    """Wait until the job goes on: more of it is done than now."""
    done = client.job()["done_units"]
    wait_for(
        "the job to go on", lambda: client.job()["job_id"] == job_id and client.job()["done_units"] > done, limit_s
    )


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


def kill_and_wait_back(site: Site, name: str) -> None:
    """Kill a part of the site and wait until the site has started it again."""
    before = parts_of(site)
    dead = site.kill_child(name)
    wait_for(f"{name} to come back", lambda: dead not in parts_of(site) and len(parts_of(site)) == len(before), 20)


def test_managers_and_message_server_die_in_mid_job(tmp_path: Path, site: Site) -> None:
    (job_id,) = site.submit("--events", "350", "--number", "1", "--seed", "31")
    with working(tmp_path / "base", site) as client:
        client.wait_events(10)
        (guest,) = client.qemus()
        for name in ("prosody", "job-manager", "storage-manager"):
            kill_and_wait_back(site, name)
            wait_more(client, job_id)
        wait_for("the verdict", lambda: client.accepted() == 1, 180)
        assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)
        assert "summary.json" in site.results(job_id)
        assert client.qemus() == [guest]


def test_the_whole_project_is_away_for_a_while(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with open_site(tmp_path / "site") as site:
            (job_id,) = site.submit("--events", "250", "--number", "1", "--seed", "32")
            client = stack.enter_context(working(tmp_path / "base", site))
            done = client.wait_events(10)["done_units"]
        offline = "The virtual machine cannot reach the project's server."
        wait_for("the sentence", lambda: offline in client.problems().get("project-offline", ""), 60)
        assert client.job()["job_id"] == job_id
        assert client.job()["done_units"] > done
        with open_site(tmp_path / "site") as site:
            wait_for("the verdict", lambda: client.accepted() == 1, 180)
            assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)
            assert "project-offline" not in client.problems()
            stack.close()


def test_an_upload_that_is_cut_in_half_is_done_again(tmp_path: Path, site: Site) -> None:
    script = tmp_path / "job.sh"
    script.write_text(BIG)
    (job_id,) = site.submit("--command", "job.sh", "--input-files", str(script))
    uploads = site.folder / "chirp" / job_id

    def arrived() -> int:
        with contextlib.suppress(OSError):
            return sum(path.stat().st_size for path in uploads.iterdir())
        return 0

    with working(tmp_path / "base", site, "--set", "network.limit_kib_per_s=2048") as client:
        wait_for("a part of the upload", lambda: arrived() > 2_000_000, 120, 0.02)
        kill_and_wait_back(site, "chirp")
        assert site.job(job_id)["state"] == "leased"
        assert site.results(job_id) == []
        wait_for("the verdict", lambda: client.accepted() == 1, 120)
        result = site.folder / "storage" / "results" / job_id / "output" / "big"
        assert result.stat().st_size == OUTPUT_BYTES
        assert site.job(job_id)["attempts"] == 1
