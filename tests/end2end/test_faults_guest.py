"""The guest or its hypervisor's process hangs, dies or reboots: it is noticed and said, and the job is done."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hang import held, let_go_if_killed, processor_of, waits_for_lock
from tests.helpers.program import Client, Site, open_client, processes_of
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]


@contextlib.contextmanager
def working(base: Path, site: Site) -> Iterator[Client]:
    words = ("--project", str(site.project), "--set", "hypervisor.accelerator=tcg", "--start")
    with open_client(base, "headless", *words) as client:
        yield client
        assert client.quit("--stop-work") == 0
        assert processes_of(base) == []


def wait_problem(client: Client, code: str, limit_s: float) -> str:
    """The sentences of a problem, once it stands."""
    found: dict[str, str] = {}

    def stands() -> bool:
        found.update(client.problems())
        return code in found

    wait_for(f"the sentence on {code}", stands, limit_s)
    return found[code]


def is_stuck(qemu: int) -> bool:
    """Whether QEMU's first thread waits for a lock that nobody lets go of: one look may find it before any lock."""
    waits, free = 0, 0
    for _ in range(60):
        # Not a wait for anything: only looks that lie apart tell a lock that is kept from one that is let go.
        time.sleep(0.1)
        waits, free = (waits + 1, 0) if waits_for_lock(qemu) else (0, free + 1)
        if waits == 3 or free == 10:
            break
    return waits == 3


@contextlib.contextmanager
def still_processor(qemu: int) -> Iterator[None]:
    """The guest's processor stands still, while its hypervisor answers."""
    for _ in range(20):
        with held(processor_of(qemu)):
            if not is_stuck(qemu):
                yield
                return
    raise AssertionError("the processor always stood still with QEMU's own lock in hand")


def test_a_stopped_process_is_woken_and_a_hung_guest_reset(tmp_path: Path, site: Site) -> None:
    (job_id,) = site.submit("--events", "160", "--number", "1", "--seed", "21")
    with working(tmp_path / "base", site) as client:
        client.wait_events(10)
        (qemu,) = client.qemus()
        os.kill(qemu, signal.SIGSTOP)
        client.wait_more(job_id)
        with still_processor(qemu):
            said = wait_problem(client, "guest-hung", 90)
        assert "has not answered for" in said and "Resetting it; its job goes on." in said
        wait_for("the reset guest", lambda: "guest-hung" not in client.problems(), 120)
        wait_for("the verdict", lambda: client.accepted() == 1, 150)
        assert client.qemus() == [qemu]
        assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)


def test_a_process_that_hangs_or_dies_is_replaced(tmp_path: Path, site: Site) -> None:
    (job_id,) = site.submit("--events", "130", "--number", "1", "--seed", "22")
    with working(tmp_path / "base", site) as client:
        done = client.wait_events(30)["done_units"]
        (hung,) = client.qemus()
        with held(hung):
            said = wait_problem(client, "vm-failed", 90)
            assert "does not answer" in said and "its job goes on from its last checkpoint" in said

            def is_another() -> bool:
                let_go_if_killed(hung)
                return client.qemus() not in ([hung], [])

            wait_for("another process", is_another, 90)
        # While it starts, QEMU is two processes: itself and the one that it was started as.
        wait_for("one process", lambda: client.vm()["state"] == "running" and len(client.qemus()) == 1, 90)
        wait_for("the new guest's word", lambda: "vm-failed" not in client.problems(), 120)
        job = client.wait_events(1)
        assert job["job_id"] == job_id and job["done_units"] >= done - 25
        (killed,) = client.qemus()
        os.kill(killed, signal.SIGKILL)
        assert "ended unexpectedly" in wait_problem(client, "vm-failed", 60)
        wait_for("the verdict", lambda: client.accepted() == 1, 150)
        assert (site.job(job_id)["state"], site.job(job_id)["attempts"]) == ("done", 1)
        assert "vm-failed" not in client.problems()
