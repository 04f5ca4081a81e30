"""A job that takes longer than its guest's account is good: the guest goes on under the next one, with no pause."""

import asyncio
import time
from pathlib import Path

import pytest

from client.copilot.account import bare, owner_of
from client.copilot.queue.queue import JobState
from client.service.operator import JobOrder, get_job, submit
from client.service.site import Site
from client.service.site_files import SiteTerms
from tests.helpers.paced_job import let_end, paced_script
from tests.helpers.program import APPLIANCE, open_client, processes_of
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(300)]
ACCOUNT_S = 60


def good_until(account: str) -> int:
    """Epoch seconds, as an account's name says."""
    return int(account.split("-")[1])


def work_beyond_the_account(base: Path, site: Path, job_id: str) -> None:
    def account() -> str:
        return bare(get_job(site, job_id).agent)

    words = ("--project", str(site / "project.toml"), "--set", "hypervisor.accelerator=tcg", "--start")
    with open_client(base, "headless", *words) as client:
        client.wait_events(1)
        (guest,) = client.qemus()
        first = account()
        assert 0 < good_until(first) - time.time() <= ACCOUNT_S
        wait_for("the first account's end", lambda: time.time() > good_until(first) + 1, ACCOUNT_S + 5)
        wait_for("the next one to have the job", lambda: good_until(account()) > time.time(), 30)
        client.wait_more(job_id)
        let_end(client)
        wait_for("the verdict", lambda: client.accepted() == 1, 60)
        assert client.qemus() == [guest]
        last = account()
        assert (owner_of(last), good_until(last) > good_until(first)) == (owner_of(first), True)
        assert client.quit("--stop-work") == 0
    wait_for("the last relay to go", lambda: not processes_of(base), 5)


async def test_a_job_longer_than_its_guests_account_is_accepted(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", APPLIANCE, terms=SiteTerms(token_s=ACCOUNT_S))
    await site.up()
    try:
        folder, script = site.folder.base, paced_script(tmp_path)
        (job_id,) = await asyncio.to_thread(submit, folder, JobOrder(script.name, (script,), arguments="1000000"))
        await asyncio.to_thread(work_beyond_the_account, tmp_path / "base", folder, job_id)
        job = get_job(folder, job_id)
        assert (job.state, job.attempts) == (JobState.DONE, 1)
        assert (folder / "storage" / "results" / job_id / "output" / "result").exists()
    finally:
        await site.down()
    assert processes_of(tmp_path / "site") == []
