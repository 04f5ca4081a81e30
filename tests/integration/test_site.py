"""A whole site with the real prosody and chirp_server: comes up, guards its doors, heals itself, leaves nothing."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from client.copilot.errors import TransportDown
from client.copilot.managers.key_account import guest_password
from client.copilot.stanza import build_message
from client.copilot.transport import Account, Incoming, XmppTransport
from client.project.definition import Project, load_project
from client.project.enrolment import fetch_guest_token
from client.service.site import MAIN, Site
from client.service.site_certificate import Certificates
from client.service.site_errors import SiteRunning
from client.service.site_plan import load_plan

pytestmark = pytest.mark.integration
WITHIN_S = 60.0


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-site-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def appliance(base: Path) -> Path:
    folder = base / "appliance"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"files": {"kernel": {"size_bytes": 10}}}))
    (folder / "kernel").write_bytes(b"0123456789")
    (folder / "secret").write_bytes(b"not in the manifest")
    return folder


@pytest.fixture
async def site(base: Path, appliance: Path) -> AsyncIterator[Site]:
    site = Site(base / "site", appliance)
    await site.up()
    watch = asyncio.create_task(site.watch())
    yield site
    watch.cancel()
    await site.down()


@pytest.fixture
def project(site: Site) -> Project:
    return load_project(site.folder.project)


async def on_info(_: Incoming) -> None:
    """Nothing is expected."""


def account(project: Project, jid: str, password: str, ca_pem: str | None = None) -> Account:
    return Account(jid, password, project.xmpp_host, project.xmpp_port, project.ca_pem if ca_pem is None else ca_pem)


async def can_log_in(given: Account, timeout_s: float = 5.0) -> bool:
    transport = XmppTransport(given, on_info, resend=False)
    try:
        await transport.connect(timeout_s)
    except TransportDown:
        return False
    finally:
        await transport.close()
    return True


async def until(true: object, within_s: float = WITHIN_S) -> None:
    assert callable(true)
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)


def is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


def processes_of(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words and int(path.parent.name) != os.getpid():
                found.append(words)
    return found


@pytest.mark.alone
async def test_a_site_is_up_in_five_seconds_and_down_without_a_trace(base: Path, appliance: Path) -> None:
    site = Site(base / "site", appliance)
    began = time.monotonic()
    plan = await site.up()
    took = time.monotonic() - began
    print(f"up in {took:.1f} s")
    assert took < 5
    project = load_project(site.folder.project)
    assert site.folder.project.stat().st_mode & 0o777 == 0o600
    assert (project.xmpp_port, project.chirp_port) == (plan.ports.xmpp, plan.ports.chirp)
    assert project.manifest_sha256 == hashlib.sha256((appliance / "manifest.json").read_bytes()).hexdigest()
    assert processes_of(site.folder.base)
    await site.down()
    assert processes_of(site.folder.base) == []
    assert not any(is_listening(port) for port in vars(plan.ports).values())


async def test_a_site_remembers_its_ports_unless_they_are_taken(base: Path, appliance: Path) -> None:
    said: list[str] = []
    first = Site(base / "site", appliance)
    ports = (await first.up()).ports
    with pytest.raises(SiteRunning):
        await Site(base / "site", appliance).up()
    await first.down()
    second = Site(base / "site", appliance, say=said.append)
    assert (await second.up()).ports == ports
    await second.down()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.chirp))
        other.listen()
        third = Site(base / "site", appliance, say=said.append)
        changed = (await third.up()).ports
        await third.down()
    assert changed == replace(ports, chirp=changed.chirp)
    assert changed.chirp != ports.chirp
    assert any(sentence.startswith(f"Port {ports.chirp} (chirp) is taken") for sentence in said)


async def test_a_guest_token_opens_the_door_and_nothing_else_does(site: Site, project: Project) -> None:
    token = await asyncio.to_thread(fetch_guest_token, project, "vm-1")
    assert await can_log_in(account(project, token.jid, token.password), WITHIN_S)
    name = token.jid.partition("@")[0]
    word = name.rpartition("-")[2]
    secret = load_plan(site.folder.plan).site_secret
    expired = f"agent-{int(time.time()) - 1}-{word}"
    longer = f"agent-{int(time.time()) + 10**6}-{word}"
    forged = [
        (token.jid, "0" * 64),
        (f"{longer}@localhost", token.password),
        (f"{expired}@localhost", guest_password(secret, expired)),
        ("jm@localhost", token.password),
        ("stranger@localhost", guest_password(secret, "stranger")),
    ]
    tries = [can_log_in(account(project, jid, password)) for jid, password in forged]
    assert await asyncio.gather(*tries) == [False] * len(forged)


async def test_a_server_that_another_authority_vouches_for_is_refused(site: Site, project: Project, base: Path) -> None:
    token = await asyncio.to_thread(fetch_guest_token, project, "vm-1")
    (base / "other").mkdir()
    other = Certificates(base / "other")
    other.make("localhost")
    assert not await can_log_in(account(project, token.jid, token.password, other.authority.read_text()))


async def test_the_key_manager_wants_a_signature_and_serves_only_what_the_manifest_lists(
    site: Site, project: Project
) -> None:
    url = project.enrolment_url
    context = ssl.create_default_context(cadata=project.enrolment_ca_pem)
    files = project.manifest_url.rpartition("/")[0]
    async with aiohttp.ClientSession() as web:
        good = {"Authorization": f"Bearer {project.enrolment_secret}"}
        codes = []
        for headers in ({}, {"Authorization": "Bearer x"}, good):
            async with web.post(url, json={"vm_id": "a"}, headers=headers, ssl=context) as reply:
                codes.append(reply.status)
        assert codes == [401, 401, 401]
        async with web.post(f"{files.rpartition('/')[0]}/guest-token", json={"vm_id": "a"}, headers=good) as reply:
            assert reply.status == 404
        async with web.get(f"{files}/kernel", headers={"Range": "bytes=4-"}) as reply:
            assert (reply.status, await reply.read()) == (206, b"456789")
        for name in ("secret", "..%2Fsecret", "%2e%2e/site/site.toml", "manifest.json.part", ""):
            async with web.get(f"{files}/{name}") as reply:
                assert reply.status == 404


async def test_guests_cannot_reach_each_other(site: Site, project: Project) -> None:
    tokens = [await asyncio.to_thread(fetch_guest_token, project, f"vm-{number}") for number in range(2)]
    heard: list[Incoming] = []
    bounced: list[str] = []

    async def hear(incoming: Incoming) -> None:
        heard.append(incoming)

    victim = XmppTransport(account(project, tokens[0].jid, tokens[0].password), hear, resend=False)
    spy = XmppTransport(
        account(project, tokens[1].jid, tokens[1].password), hear, resend=False, on_bounce=bounced.append
    )
    await victim.connect(WITHIN_S)
    await spy.connect(WITHIN_S)
    try:
        assert build_message("m", spy.full_jid, victim.full_jid, {"command": "sleep"})
        sent = {await spy.send(to, {"command": "sleep"}) for to in (victim.full_jid, tokens[0].jid)}
        await until(lambda: set(bounced) == sent)
        assert heard == []
    finally:
        await spy.close()
        await victim.close()


@pytest.mark.parametrize("name", ["prosody", "chirp", "key-manager", "job-manager", "storage-manager"])
async def test_a_killed_part_comes_back(site: Site, name: str) -> None:
    child = site.children[name]
    pid = child.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: child.pid not in {pid, None} and child.spec.is_ready())
    assert child.restarts == 1
    # A manager's file may still be the one of before; a guest gets in only if all of it works again.
    project = load_project(site.folder.project)
    token = await asyncio.to_thread(fetch_guest_token, project, "vm")
    assert await can_log_in(account(project, token.jid, token.password), WITHIN_S)


def run_site(base: Path, appliance: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, str(MAIN), "site", "up", "--folder", str(base / "site"), "--appliance", str(appliance)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_line(running: "subprocess.Popen[str]", start: str) -> None:
    assert running.stdout
    for line in running.stdout:
        if line.startswith(start):
            return
    raise AssertionError(f"it ended without saying {start!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_however_a_site_ends_nothing_stays_and_the_next_has_the_same_ports(
    base: Path, appliance: Path, number: int
) -> None:
    with run_site(base, appliance) as running:
        await asyncio.to_thread(wait_line, running, "The site is up")
        ports = load_plan(base / "site" / "site.toml").ports
        running.send_signal(number)
        code = await asyncio.to_thread(running.wait, WITHIN_S)
    assert code == (-number if number == signal.SIGKILL else 0)
    await until(lambda: not processes_of(base / "site"))
    again = Site(base / "site", appliance)
    assert (await again.up()).ports == ports
    await again.down()


def test_the_command_line_says_whether_a_site_runs_and_ends_it(base: Path, appliance: Path) -> None:
    def site(verb: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(MAIN), "site", verb, "--folder", str(base / "site")]
        return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    assert site("status").returncode == 1
    assert "does not run" in site("down").stderr or site("down").returncode == 2
    with run_site(base, appliance) as running:
        wait_line(running, "The site is up")
        status = site("status")
        assert (status.returncode, status.stdout.splitlines()[0]) == (0, "The site is up.")
        assert site("down").returncode == 0
        assert running.wait(WITHIN_S) == 0
