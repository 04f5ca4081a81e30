"""Keys, accounts and their end, with the real prosody and the real key manager of a site."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.copilot.account import owner_of
from client.copilot.errors import TransportDown
from client.copilot.managers.key_account import guest_name, guest_password
from client.copilot.transport import Account, Incoming, XmppTransport
from client.project.definition import Project, load_project
from client.project.enrolment import fetch_guest_token
from client.project.errors import EnrolmentRefused, ProjectUnreachable
from client.project.token import ask_token
from client.service.site import MAIN, Site
from client.service.site_certificate import Certificates
from client.service.site_owners import enrolled, revoke, revoked, unrevoke
from client.service.site_plan import load_plan

pytestmark = pytest.mark.integration
WITHIN_S = 60.0
#: what was promised for the end of a revoked session
REVOKED_S = 10.0
SEED = bytes(range(32))


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-keys-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
async def site(base: Path) -> AsyncIterator[Site]:
    appliance = base / "appliance"
    appliance.mkdir()
    (appliance / "manifest.json").write_text('{"files": {}}')
    site = Site(base / "site", appliance)
    await site.up()
    yield site
    await site.down()


@pytest.fixture
def project(site: Site) -> Project:
    return load_project(site.folder.project)


class Guest:
    """A guest's session, and whether it has one."""

    def __init__(self, project: Project, jid: str, password: str, resource: str = "") -> None:
        given = Account(jid, password, project.xmpp_host, project.xmpp_port, project.ca_pem, resource)
        self.transport = XmppTransport(given, self.on_info, resend=False, on_state=self.on_state)
        self.online = asyncio.Event()
        self.offline = asyncio.Event()
        self.sessions = 0

    async def on_info(self, _: Incoming) -> None:
        """Nothing is expected."""

    def on_state(self, connected: bool) -> None:
        self.sessions += connected
        (self.online if connected else self.offline).set()

    async def __aenter__(self) -> "Guest":
        await self.transport.connect(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.close()


async def can_log_in(project: Project, jid: str, password: str, within_s: float = 5.0) -> bool:
    async with Guest(project, jid, password) as guest:
        try:
            await guest.transport.connect(within_s)
        except TransportDown:
            return False
        return True


async def ask(project: Project, seed: bytes = SEED) -> tuple[str, str]:
    token = await asyncio.to_thread(fetch_guest_token, project, "vm-1", seed)
    return token.jid, token.password


async def test_a_computer_stays_the_same_owner_with_a_new_account_each_time(site: Site, project: Project) -> None:
    first, second = await ask(project), await ask(project)
    assert first[0] != second[0]
    assert owner_of(first[0]) == owner_of(second[0])
    (known,) = enrolled(site.folder.base)
    assert (known.owner, known.accounts) == (owner_of(first[0]), 2)
    assert await can_log_in(project, *first, WITHIN_S)


async def test_a_key_manager_that_another_authority_vouches_for_is_told_nothing(project: Project, base: Path) -> None:
    (base / "other").mkdir()
    other = Certificates(base / "other")
    other.make("localhost", "127.0.0.1")
    for ca_pem in (other.authority.read_text(), ""):
        with pytest.raises(ProjectUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await ask(replace(project, enrolment_ca_pem=ca_pem))


async def test_a_project_file_of_another_project_enrols_nobody(site: Site, project: Project) -> None:
    for wrong in (replace(project, enrolment_secret="x" * 64), replace(project, domain="other.example")):
        with pytest.raises(EnrolmentRefused) as refused:
            await ask(wrong)
        assert refused.value.status == 403
    assert enrolled(site.folder.base) == []


async def test_who_is_revoked_is_out_within_seconds_and_in_again_when_let_in(site: Site, project: Project) -> None:
    jid, password = await ask(project)
    folder = site.folder.base
    async with Guest(project, jid, password) as guest, asyncio.timeout(WITHIN_S):
        await guest.online.wait()
        began = time.monotonic()
        assert revoke(folder, owner_of(jid))
        await guest.offline.wait()
        took = time.monotonic() - began
    print(f"out after {took:.1f} s")
    assert took < REVOKED_S
    assert list(revoked(folder)) == [owner_of(jid)]
    assert not await can_log_in(project, jid, password)
    with pytest.raises(EnrolmentRefused) as refused:
        await ask(project)
    assert "shut this computer out" in refused.value.said
    assert unrevoke(folder, owner_of(jid))
    assert await can_log_in(project, jid, password, WITHIN_S)
    assert await ask(project)


async def test_one_account_is_revoked_and_its_owner_gets_another(site: Site, project: Project) -> None:
    jid, password = await ask(project)
    assert revoke(site.folder.base, jid)
    await asyncio.sleep(1.1)  # the server looks at the list once a second
    assert not await can_log_in(project, jid, password)
    assert await can_log_in(project, *await ask(project), WITHIN_S)


async def test_a_session_ends_with_its_account(site: Site, project: Project) -> None:
    secret = load_plan(site.folder.plan).site_secret
    name = guest_name(time.time(), 6, "0" * 16)
    async with Guest(project, f"{name}@localhost", guest_password(secret, name)) as guest, asyncio.timeout(WITHIN_S):
        await guest.online.wait()
        assert time.time() < int(name.split("-")[1])
        await guest.offline.wait()
        assert int(name.split("-")[1]) <= time.time() < int(name.split("-")[1]) + REVOKED_S


async def test_an_account_has_one_session_and_a_cut_off_guest_does_not_wait_for_its_ghost(project: Project) -> None:
    jid, password = await ask(project)
    async with Guest(project, jid, password, "one") as first, asyncio.timeout(WITHIN_S):
        await first.online.wait()
        async with Guest(project, jid, password, "two") as second:
            await second.online.wait()
            # The older one is out at once; both go on trying, and neither is in more often than every few seconds.
            await first.offline.wait()
            began = time.monotonic()
            while first.sessions + second.sessions < 4:
                await asyncio.sleep(0.05)
            assert time.monotonic() - began > 4


async def test_accounts_of_before_there_were_owners_are_good(site: Site, project: Project) -> None:
    secret = load_plan(site.folder.plan).site_secret
    name = guest_name(time.time(), 600)
    assert await can_log_in(project, f"{name}@localhost", guest_password(secret, name), WITHIN_S)


async def test_the_client_asks_in_a_process_of_its_own_and_keeps_its_key(
    site: Site, project: Project, base: Path
) -> None:
    keys = base / "keys"
    first = await ask_token(keys, project, "vm-1")
    second = await ask_token(keys, project, "vm-1")
    assert owner_of(first.jid) == owner_of(second.jid)
    assert len(enrolled(site.folder.base)) == 1
    (kept,) = keys.iterdir()
    assert json.loads(kept.read_text())["place"] == "file"
    assert kept.stat().st_mode & 0o777 == 0o600
    revoke(site.folder.base, owner_of(first.jid))
    with pytest.raises(EnrolmentRefused):
        await ask_token(keys, project, "vm-1")


async def test_an_old_site_still_serves_its_old_clients(base: Path) -> None:
    folder = base / "old"
    folder.mkdir()
    secrets = "\n".join(f'{name} = "{"a" * 64}"' for name in ("site_secret", "enrolment_secret", "manager_password"))
    (folder / "site.toml").write_text(f"[ports]\nxmpp = 0\nchirp = 0\nkey = 0\n\n[secrets]\n{secrets}\n")
    site = Site(folder, None)
    plan = await site.up()
    try:
        words = [f"http://127.0.0.1:{plan.ports.key}/guest-token", "-d", '{"vm_id": "vm-1"}']
        command = ["curl", "-sS", "-H", f"Authorization: Bearer {'a' * 64}", *words]
        answer = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=WITHIN_S)
        assert json.loads(answer.stdout)["jid"].startswith("agent-")
    finally:
        await site.down()


_IN_A_SESSION = """
import asyncio, json, sys
from pathlib import Path
from client.copilot.account import owner_of
from client.project.definition import load_project
from client.project.token import ask_token

async def both():
    project, keys = load_project(Path(sys.argv[1])), Path(sys.argv[2])
    return [owner_of((await ask_token(keys, project, "vm-1")).jid) for _ in range(2)]

print(json.dumps(asyncio.run(both())))
"""


@pytest.mark.skipif(not shutil.which("gnome-keyring-daemon"), reason="gnome-keyring is not installed")
async def test_a_real_keyring_keeps_the_key(site: Site, base: Path) -> None:
    home = base / "home"
    (home / "run").mkdir(parents=True, mode=0o700)
    keys = base / "keys"
    (base / "ask.py").write_text(_IN_A_SESSION)
    inner = (
        "printf 'a password' | gnome-keyring-daemon --unlock --components=secrets >/dev/null;"
        f" exec {sys.executable} {base / 'ask.py'} {site.folder.project} {keys}"
    )
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "PYTHONPATH": str(MAIN.parent),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        ["dbus-run-session", "--", "sh", "-c", inner],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first == second
    (kept,) = keys.iterdir()
    assert json.loads(kept.read_text()) == {"place": "keyring"}, done.stderr
    assert list(home.rglob("*.keyring"))
