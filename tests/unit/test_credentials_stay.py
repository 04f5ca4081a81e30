"""What a guest gets from its host, all of it, holds its own account and no other credential."""

import asyncio
from asyncio import StreamReader, StreamWriter
from datetime import timedelta
from pathlib import Path

import pytest

from client.commands import Start
from client.core import VM_ID
from client.credentials import Credentials
from client.hypervisor.demo_guest import demo_guest
from client.hypervisor.fake_link import Guest
from client.link import LinkEnd
from client.project.definition import load_project
from client.project.enrolment import GuestToken, project_id
from client.snapshot import Activity
from tests.helpers.client_core import FAST, Rig, quicken

SECRET = "the invitation of the project file"


def overheard(guest: Guest, heard: bytearray) -> Guest:
    """The same guest; all that the host says to it is noted."""

    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        copy = StreamReader()

        async def listen() -> None:
            while data := await reader.read(65536):
                heard.extend(data)
                copy.feed_data(data)
            copy.feed_eof()

        listening = asyncio.create_task(listen())
        try:
            await guest(copy, writer)
        finally:
            listening.cancel()

    return play


class Accounts(Rig):
    """Gives accounts with passwords that can be looked for; those of other VMs, too."""

    given: list[GuestToken]

    async def _token(self, project: object, vm_id: str) -> GuestToken:
        token = await super()._token(project, vm_id)  # type: ignore[arg-type]
        fresh = GuestToken(f"agent-{len(self.given)}@localhost", f"password number {len(self.given)}", token.expires_at)
        self.given.append(fresh)
        return fresh


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    quicken(monkeypatch)
    rig = Accounts(tmp_path)
    rig.given = []
    rig.prepare()
    file = rig.paths.project
    file.write_text(file.read_text().replace('secret = "secret"', f'secret = "{SECRET}"'))
    return rig


async def test_a_guest_gets_its_own_account_and_nothing_else_that_opens_a_door(rig: Accounts) -> None:
    heard = bytearray()
    rig.guest = overheard(demo_guest(FAST), heard)
    seed = Credentials(rig.paths.keys, lambda: None).key_of(project_id(load_project(rig.paths.project))).seed
    await rig._token(None, "the VM of somebody else")
    # The first account of the guest ends at once, so it is told the next one over its link.
    rig.token_life = timedelta(seconds=0)
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        rig.token_life = timedelta(days=1)
        await rig.until(lambda _: rig.given[-1].password.encode() in heard)
    told = [message.fields for message in LinkEnd("listener").receive(bytes(heard)) if message.kind == "account"]
    assert told, "the guest was told"
    medium = rig.paths.context(VM_ID).read_bytes()
    assert rig.given[1].password.encode() in medium, "the account that it booted with"
    files = [path.read_bytes() for path in rig.paths.vms.rglob("*") if path.is_file()]
    for content in (medium, bytes(heard), *files):
        assert SECRET.encode() not in content
        assert seed not in content and seed.hex().encode() not in content
        assert rig.given[0].password.encode() not in content and b"agent-0@" not in content
    assert medium.count(b"password number") == 1
