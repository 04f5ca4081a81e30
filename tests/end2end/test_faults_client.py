"""The client dies or leaves in mid-job: the same guest and the same job go on, and nothing is left behind."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paced_job import let_end, submit_paced
from tests.helpers.program import Client, Site, open_client, processes_of, qemus_of, run_main
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]
TCG = ("--set", "hypervisor.accelerator=tcg")
#: shortest that the preferences allow
SILENCE = ("--set", "guest.host_silence_limit_s=15")


@contextlib.contextmanager
def working(base: Path, site: Site, *more: str) -> Iterator[Client]:
    with open_client(base, "headless", "--project", str(site.project), *TCG, *SILENCE, *more) as client:
        yield client


def wait_accepted(client: Client, site: Site, job_id: str, result: str = "result", limit_s: float = 180) -> None:
    """result: a file that the job makes."""
    wait_for("the verdict", lambda: client.accepted() == 1, limit_s)
    assert site.job(job_id)["state"] == "done"
    assert result in site.results(job_id)


def leave(client: Client) -> None:
    """Quit with the work stopped; nothing of the client is left but its base folder."""
    assert client.quit("--stop-work") == 0
    assert processes_of(client.base) == []
    leftovers = [path.name for path in client.base.rglob("*") if path.suffix in {".part", ".new"}]
    assert leftovers == []


def test_a_killed_client_takes_up_the_same_guest_and_job(tmp_path: Path, site: Site) -> None:
    base = tmp_path / "base"
    job_id = submit_paced(site, tmp_path)
    with working(base, site, "--start") as client:
        done = client.wait_events(4)["done_units"]
        (qemu,) = client.qemus()
        client.kill()
    assert qemus_of(base) == [qemu]
    with working(base, site) as client:
        second = run_main("headless", "--basedir", str(base))
        assert second.returncode == 2
        assert f"Volunteer Cloud already runs in {base}." in second.stderr
        job = client.wait_events(done + 1)
        assert job["job_id"] == job_id
        assert client.qemus() == [qemu]
        let_end(client)
        wait_accepted(client, site, job_id)
        assert client.qemus() == [qemu]
        assert site.job(job_id)["attempts"] == 1
        leave(client)


def test_a_guest_left_alone_saves_its_job_and_goes(tmp_path: Path, site: Site) -> None:
    base = tmp_path / "base"
    job_id = submit_paced(site, tmp_path)
    with working(base, site, "--start") as client:
        done = client.wait_events(4)["done_units"]
        client.kill()
    assert len(qemus_of(base)) == 1
    wait_for("the guest's own end", lambda: qemus_of(base) == [], 120)
    assert processes_of(base) == []
    with working(base, site) as client:
        job = client.wait_events(1)
        assert job["job_id"] == job_id and job["done_units"] >= done
        let_end(client)
        wait_accepted(client, site, job_id)
        assert site.job(job_id)["attempts"] == 1
        leave(client)


def test_a_stopped_job_goes_on_from_its_saved_state(tmp_path: Path, site: Site) -> None:
    base = tmp_path / "base"
    job_id = submit_paced(site, tmp_path)
    with working(base, site, "--start") as client:
        done = client.wait_events(4)["done_units"]
        client.ctl("stop")
        wait_for("the saved state", lambda: client.vm()["state"] == "saved", 120)
        assert client.snapshot()["reason"]["code"] == "stopped-by-user"
        assert client.qemus() == []
        assert client.quit() == 0
    assert processes_of(base) == []
    with working(base, site) as client:
        assert client.vm()["state"] in {"saved", "absent"}
        client.ctl("start")
        assert client.wait_events(done + 1)["job_id"] == job_id
        let_end(client)
        wait_accepted(client, site, job_id)
        assert site.job(job_id)["attempts"] == 1
        leave(client)
