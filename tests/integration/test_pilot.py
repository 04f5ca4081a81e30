"""A job that needs a token of an outside service, with real prosody, key manager, job manager and agent."""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from client.copilot import native
from client.copilot.managers.chirp_folder import ACL_INPUT, make_chirp_folder
from client.copilot.messages import JobDescription
from client.copilot.queue.queue import JobState, NewJob
from client.copilot.report import LogReport
from client.project.definition import load_project
from client.project.enrolment import fetch_guest_token
from client.service.operator import get_job
from client.service.site import Site
from client.service.site_queue import open_site_queue

pytestmark = pytest.mark.integration
TOKEN = "a token that is nobody's business"
WITHIN_S = 60.0


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-pilot-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def site(base: Path) -> AsyncIterator[Site]:
    (base / "appliance").mkdir()
    (base / "appliance" / "manifest.json").write_text('{"files": {}}')
    (base / "site").mkdir()
    (base / "site" / "pilots.toml").write_text(f'[atlas]\ncommand = ["/bin/echo", "{TOKEN}"]\n')
    site = Site(base / "site", base / "appliance")
    await site.up()
    yield site
    await site.down()


def submit(site: Site, service: str, script: str) -> str:
    name = f"in-{service}"
    (make_chirp_folder(site.folder.chirp_root, name, ACL_INPUT) / "run.sh").write_text(script)
    job = JobDescription(
        f"job-{service}", input_dir=name, input_files=("run.sh",), command="run.sh", pilot_service=service
    )
    with closing(open_site_queue(site.folder)) as queue:
        queue.submit([NewJob(job, max_attempts=1)], time.time())
    return job.id


def agent(site: Site, root: Path) -> dict[str, Any]:
    project = load_project(site.folder.project)
    token = fetch_guest_token(project, "vm-1")
    account = {"jid": token.jid, "password": token.password, "host": project.xmpp_host, "port": project.xmpp_port}
    root.mkdir()
    return {"root": str(root), "agent": {**account, "ca_pem": project.ca_pem, "job_manager": project.job_manager}}


async def test_a_job_reads_its_token_and_nothing_of_it_stays(site: Site, base: Path) -> None:
    # The job's files are uploaded, so the token itself must not be in them.
    digest = hashlib.sha256(f"{TOKEN}\n".encode()).hexdigest()
    script = (
        f'#!/bin/sh\n[ "$(sha256sum < "$VC_PILOT_TOKEN_FILE" | cut -c -64)" = "{digest}" ] || exit 3\n'
        '[ "$(stat -c %a "$VC_PILOT_TOKEN_FILE")" = 400 ] || exit 4\n'
        'case "$(readlink -f "$VC_PILOT_TOKEN_FILE")" in "$PWD"/*) exit 5;; esac\necho read\n'
    )
    job_id = await asyncio.to_thread(submit, site, "atlas", script)
    settings = await asyncio.to_thread(agent, site, base / "agent")
    async with asyncio.timeout(WITHIN_S):
        await native.run(settings, LogReport(), max_jobs=1)
    job = get_job(site.folder.base, job_id)
    assert (job.state, job.reason) == (JobState.DONE, "")
    found = [
        path
        for folder in (base / "agent", site.folder.results, site.folder.logs, site.folder.storage)
        for path in folder.rglob("*")
        if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert found == []


async def test_a_job_whose_service_is_not_known_comes_back_with_the_reason(site: Site, base: Path) -> None:
    job_id = await asyncio.to_thread(submit, site, "cms", "#!/bin/sh\nexit 0\n")
    settings = await asyncio.to_thread(agent, site, base / "agent")
    async with asyncio.timeout(WITHIN_S):
        await native.run(settings, LogReport(), max_jobs=1)
        while get_job(site.folder.base, job_id).state is JobState.LEASED:
            await asyncio.sleep(0.1)
    job = get_job(site.folder.base, job_id)
    assert job.state is JobState.DEAD
    assert "this project has no such service" in job.reason
