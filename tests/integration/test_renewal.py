"""A guest goes on with its job under a new account, before a real prosody, job manager and queue."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from client.copilot.account import owner_of
from client.copilot.queue.queue import JobState
from client.project.definition import load_project
from client.project.enrolment import fetch_guest_token
from client.service.operator import JobOrder, get_job, submit
from client.service.site import Site
from client.service.site_owners import revoke
from tests.integration.test_guest import guest, until_there

pytestmark = pytest.mark.integration
SEED = bytes(range(32))


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-renew-", dir="/tmp") as name:
        # A job of root's agent is another user's.
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def site(base: Path) -> AsyncIterator[Site]:
    (base / "appliance").mkdir()
    (base / "appliance" / "manifest.json").write_text('{"files": {}}')
    site = Site(base / "site", base / "appliance")
    await site.up()
    yield site
    await site.down()


async def test_a_job_is_finished_under_another_account_than_it_was_begun(site: Site, base: Path) -> None:
    project = load_project(site.folder.project)
    first, second = [await asyncio.to_thread(fetch_guest_token, project, "vm-1", SEED) for _ in range(2)]
    script = base / "run.sh"
    script.write_text("#!/bin/sh\n: > ready\nuntil [ -e go ]; do sleep 0.1; done\n")
    (job_id,) = await asyncio.to_thread(submit, site.folder.base, JobOrder("run.sh", (script,)))
    agent = {"jid": first.jid, "password": first.password, "host": project.xmpp_host, "port": project.xmpp_port}
    context = {
        "version": 1,
        "agent": {**agent, "ca_pem": project.ca_pem, "job_manager": project.job_manager},
        "job": {"time_limit_s": 60, "output_limit_mib": 10},
        "link": {"heartbeat_interval_s": 0.5, "host_silence_limit_s": 30},
    }
    (base / "guest").mkdir()
    async with guest(base / "guest", context) as (host, _):
        await host.wait_state("executing")
        place = await until_there(base / "guest", "ready")
        host.write(host.end.send("account", jid=second.jid, password=second.password, expires_at=2e9))
        assert (await host.wait_kind("account_taken")).fields["jid"] == second.jid
        # The job is the new account's, and the old one is of no use to anybody any more.
        async with asyncio.timeout(60):
            while not (get_job(site.folder.base, job_id)).agent.startswith(second.jid):
                await asyncio.sleep(0.1)
        revoke(site.folder.base, first.jid)
        (place / "go").touch()
        assert (await host.wait_kind("verdict")).fields["accepted"] is True
    job = get_job(site.folder.base, job_id)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert owner_of(job.agent) == owner_of(first.jid)
    assert first.jid != second.jid
