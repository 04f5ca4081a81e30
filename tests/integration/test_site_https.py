"""Files of jobs over HTTPS through real prosody, chirp_server and both managers, and what prosody refuses."""

import asyncio
import base64
import contextlib
import hmac
import http.client
import itertools
import json
import os
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

import pytest

from client.copilot.errors import AskFailed, TransferFailed
from client.copilot.managers.slot import NAMESPACE, Slot, UploadService
from client.copilot.managers.upload import UploadStore
from client.copilot.queue.queue import JobState
from client.copilot.storage.https import HttpsTransfer
from client.copilot.transport import Account, Incoming, XmppTransport
from client.project.definition import load_project
from client.service.operator import JobOrder, get_job, job_counts, submit
from client.service.site import MAIN, Site
from client.service.site_files import SiteTerms
from client.service.site_https import UPLOAD, file_service
from client.service.site_plan import load_plan
from tests.integration.test_managers import guest_account, until

pytestmark = pytest.mark.integration
WITHIN_S = 60.0
LIMIT_MIB = 1
#: of 16 KiB; more than lies in the buffers on the way
CHUNKS = 1000
USERS = itertools.count(200_000 + os.getpid() * 100)


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-https-", dir="/tmp") as name:
        # Jobs are users of their own and tell each other here that they run.
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
async def site(base: Path) -> AsyncIterator[Site]:
    appliance = base / "appliance"
    appliance.mkdir()
    (appliance / "manifest.json").write_text('{"files": {}}')
    site = Site(base / "site", appliance, terms=SiteTerms(lease_s=60, output_limit_mib=LIMIT_MIB))
    await site.up()
    watch = asyncio.create_task(site.watch())
    yield site
    watch.cancel()
    await site.down()


def https_of(site: Site) -> str:
    project = load_project(site.folder.project)
    return f"{project.https_host}:{project.https_port}"


@asynccontextmanager
async def agent(site: Site, base: Path, name: str, *, https: bool) -> AsyncIterator[None]:
    root = base / name
    root.mkdir(mode=0o755)
    account, _ = await guest_account(site)
    told = account | ({"https": https_of(site)} if https else {})
    settings = base / f"{name}.json"
    settings.write_text(json.dumps({"agent": told, "root": str(root), "job": {}, "job_uid": next(USERS)}))
    running = await asyncio.create_subprocess_exec(sys.executable, str(MAIN), "agent", str(settings))
    try:
        yield
    finally:
        running.terminate()
        async with asyncio.timeout(WITHIN_S):
            await running.wait()


def shown_input(site: Site) -> int:
    return len(list(site.folder.inputs.iterdir()))


async def test_agents_with_and_without_https_work_side_by_side(site: Site, base: Path) -> None:
    script = base / "job.sh"
    # Each job waits until two agents are at work, so that both have some.
    meet = (
        f"touch {base}/at-$AGENT; for try in $(seq 300); do [ $(ls {base}/at-* | wc -l) = 2 ] && break; sleep 0.1; done"
    )
    script.write_text(f"#!/bin/sh\nAGENT=$(basename $(dirname $(dirname $PWD)))\n{meet}\necho $AGENT $1 > out.txt\n")
    ids = submit(site.folder.base, JobOrder("job.sh", [script], "{n}", number=6))
    async with agent(site, base, "web", https=True), agent(site, base, "chirp", https=False):
        await until(lambda: job_counts(site.folder.base)[JobState.DONE] == 6)
    outputs = [(site.folder.results / job_id / "output" / "out.txt").read_text().split() for job_id in ids]
    assert [number for _, number in outputs] == [str(number) for number in range(6)]
    assert {name for name, _ in outputs} == {"web", "chirp"}
    taken = [path for path in uploads(site) if path.stat().st_size == 0]
    assert len(taken) == sum(name == "web" for name, _ in outputs)
    assert shown_input(site) == 1
    left = {path.name for path in site.folder.chirp_root.iterdir() if path.is_dir()}
    assert not left & set(ids), "the folders of jobs that were handed in are closed"


def uploads(site: Site) -> list[Path]:
    return list((site.folder.run / "prosody").rglob("*.bin"))


@asynccontextmanager
async def session(account: Account) -> AsyncIterator[XmppTransport]:
    async def ignore(incoming: Incoming) -> None:
        """Nobody speaks to it."""

    transport = XmppTransport(account, ignore, resend=False)
    await transport.connect(WITHIN_S)
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def manager(site: Site) -> AsyncIterator[UploadService]:
    """The upload service as a storage manager of the site sees it."""
    plan, project = load_plan(site.folder.plan), load_project(site.folder.project)
    account = Account(
        plan.job_manager, plan.manager_password, project.xmpp_host, project.xmpp_port, project.ca_pem, "test-1"
    )
    async with session(account) as transport:
        yield UploadService(transport.ask, UPLOAD)


async def slot(service: UploadService, size: int) -> Slot:
    found = await service.slot(size)
    assert found is not None
    return found


async def status_of(site: Site, put_url: str, headers: Any, local: Path) -> str:
    """What prosody says to an upload: 201, or the number of its refusal."""
    transfer = HttpsTransfer(https_of(site), load_project(site.folder.project).ca_pem)
    try:
        await transfer.put(put_url, headers, local)
    except TransferFailed as failed:
        return failed.said.split()[0]
    return "201"


def forged(site: Site, found: Slot, size: int, **more: Any) -> tuple[tuple[str, str], ...]:
    """A token as prosody signs them, with other contents: the test knows the secret."""
    service = file_service(site.folder, load_plan(site.folder.plan), LIMIT_MIB)
    assert service is not None
    now = int(time.time())
    said = {"sub": "jm@localhost", "iat": now, "exp": now + 300, "slot": found.id, "filename": "output.tgz"}
    said |= {"filesize": size, "filetype": "application/octet-stream"} | more
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "HS256"}, said)]
    signed = b".".join(parts)
    mark = base64.urlsafe_b64encode(hmac.digest(service.secret.encode(), signed, "sha256")).rstrip(b"=")
    return (("Authorization", f"Bearer {(signed + b'.' + mark).decode()}"),)


async def test_a_place_is_good_once_for_one_file_of_its_size_with_its_own_token(site: Site, base: Path) -> None:
    # So small that prosody hears it out before it refuses; others are cut off.
    local, shorter, large = base / "local", base / "shorter", base / "large"
    local.write_bytes(os.urandom(30_000))
    shorter.write_bytes(b"x" * 29_999)
    large.write_bytes(os.urandom(LIMIT_MIB * 1024 * 1024))
    async with manager(site) as service:
        one, two = await slot(service, 30_000), await slot(service, 30_000)
        three = await slot(service, large.stat().st_size)
        assert await service.slot(LIMIT_MIB * 1024 * 1024 + 1) is None, "beyond the limit there is no place"
    good = forged(site, one, 30_000)
    damaged = ((good[0][0], good[0][1][:-4] + "AAAA"),)
    expired = forged(site, one, 30_000, exp=int(time.time()) - 1)
    answers = [await status_of(site, one.put_url, token, local) for token in ((), damaged, two.headers, expired)]
    assert answers == ["401", "401", "400", "410"]
    assert await status_of(site, one.put_url, one.headers, shorter) == "413"
    assert await status_of(site, three.put_url, one.headers, large) != "201"
    assert uploads(site) == []
    assert await status_of(site, one.put_url, one.headers, local) == "201"
    assert await status_of(site, one.put_url, one.headers, local) == "409"
    [uploaded] = uploads(site)
    assert UploadStore(uploaded.parent).take(one.id, base / "taken")
    assert (base / "taken").read_bytes() == local.read_bytes()
    assert await status_of(site, one.put_url, good, local) == "409", "nor when it was taken"
    assert await status_of(site, three.put_url, three.headers, large) == "201"


async def test_an_upload_without_an_end_is_not_written_down(site: Site) -> None:
    async with manager(site) as service:
        found = await slot(service, 30_000)
    project = load_project(site.folder.project)
    context = ssl.create_default_context(cadata=project.ca_pem)

    def send_chunks() -> int:
        """Until the server has enough of it; returns how many it let through."""
        connection = http.client.HTTPSConnection(project.https_host, project.https_port, context=context, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest("PUT", urlsplit(found.put_url).path)
            for header in (*found.headers, ("Transfer-Encoding", "chunked")):
                connection.putheader(*header)
            connection.endheaders()
            for number in range(CHUNKS):
                try:
                    connection.send(b"4000\r\n" + bytes(0x4000) + b"\r\n")
                except OSError:
                    return number
        return CHUNKS

    assert await asyncio.to_thread(send_chunks) < CHUNKS
    written = [path for path in (site.folder.run / "prosody").rglob("*.bin*") if path.stat().st_size]
    assert written == []
    assert await status_of(site, found.put_url, found.headers, site.folder.plan) == "413", "the server goes on"


async def test_a_guest_can_neither_ask_for_a_place_nor_look_around(site: Site) -> None:
    _, account = await guest_account(site)
    request = Element(f"{{{NAMESPACE}}}request", {"filename": "output.tgz", "size": "1"})
    async with session(account) as guest:
        for address in (UPLOAD, "localhost"):
            with pytest.raises(AskFailed):
                await guest.ask(address, request)
    project = load_project(site.folder.project)
    context = ssl.create_default_context(cadata=project.ca_pem)

    def statuses() -> list[int]:
        found = []
        for path in (
            "/input/",
            "/input",
            "/upload/0123abcd/output.tgz",
            "/input/../site.toml",
            "/input/%2e%2e/site.toml",
        ):
            connection = http.client.HTTPSConnection(project.https_host, project.https_port, context=context)
            with contextlib.closing(connection):
                connection.request("GET", path)
                found.append(connection.getresponse().status)
        return found

    found = await asyncio.to_thread(statuses)
    assert all(status >= 300 for status in found), found


async def test_without_the_upload_service_the_job_is_done_over_chirp(site: Site, base: Path) -> None:
    """The service is away for good: prosody is told to serve none."""
    config = site.folder.run / "prosody.cfg.lua"
    text = config.read_text()
    config.write_text(text[: text.index(f'Component "{UPLOAD}"')])
    prosody = site.children["prosody"]
    await prosody.stop()
    await until(lambda: prosody.pid is not None and prosody.spec.is_ready())
    script = base / "job.sh"
    script.write_text("#!/bin/sh\necho done > out.txt\n")
    [job_id] = submit(site.folder.base, JobOrder("job.sh", [script]))
    async with agent(site, base, "web", https=True):
        await until(lambda: get_job(site.folder.base, job_id).state is JobState.DONE)
    assert uploads(site) == []


async def test_one_process_may_be_job_and_storage_manager_beside_others(site: Site, base: Path) -> None:
    """As an operator adds one by hand: the sections of both, and a name of its own."""
    jobs, storage = (site.folder.config(name).read_text() for name in ("job-manager", "storage-manager"))
    both = base / "both.toml"
    own = f'[process]\nlog = "{base}/both.log"\nready_file = "{base}/ready"\n'
    section = storage[storage.index("[storage]") : storage.index("[monitor]")]
    both.write_text(jobs[: jobs.index("[process]")].replace("jobs-1", "both-1") + section + own)
    for name in ("job-manager", "storage-manager"):
        # Kept from coming back: nobody can log in with that.
        config = site.folder.config(name)
        config.write_text(config.read_text().replace("password", "no_password"))
    running = await asyncio.create_subprocess_exec(sys.executable, str(MAIN), "manager", "--config", str(both))
    try:
        await until((base / "ready").exists)
        for name in ("job-manager", "storage-manager"):
            pid = site.children[name].pid
            assert pid
            os.kill(pid, signal.SIGKILL)
        script = base / "job.sh"
        script.write_text("#!/bin/sh\necho done > out.txt\n")
        submit(site.folder.base, JobOrder("job.sh", [script], number=3))
        async with agent(site, base, "web", https=True):
            await until(lambda: job_counts(site.folder.base)[JobState.DONE] == 3)
        second = await asyncio.create_subprocess_exec(
            sys.executable, str(MAIN), "manager", "--config", str(both), stderr=asyncio.subprocess.PIPE
        )
        _, said = await second.communicate()
        assert second.returncode == 2
        assert "A storage manager named both-1 works in" in said.decode()
    finally:
        running.terminate()
        await running.wait()
