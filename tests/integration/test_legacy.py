"""Agents of the original Co-Pilot at a real site: only when they are let in, and behind walls."""

import asyncio
import ssl
import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.copilot.managers.config import Config
from client.copilot.queue.queue import JobState
from client.copilot.stanza import Kind
from client.copilot.storage.chirp import ChirpTransfer
from client.service.heartbeat_command import ask_room
from client.service.operator import JobOrder, get_job, submit
from client.service.site import Site
from client.service.site_legacy import LEGACY_DOMAIN, ROOM, write_accounts
from client.service.site_plan import load_plan
from tests.helpers.old_client import OldClient

pytestmark = pytest.mark.integration
PASSWORD = "0123456789abcdef"
JM = "jm@localhost"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    with tempfile.TemporaryDirectory(prefix="vc-legacy-", dir="/tmp") as name:
        site = Site(Path(name) / "site", None, wishes={"legacy": True})
        await site.up()
        write_accounts(site.folder.legacy, {"old": PASSWORD, "other": PASSWORD})
        yield site
        await site.down()


@pytest.fixture
async def old(site: Site) -> AsyncIterator[OldClient]:
    client = OldClient(LEGACY_DOMAIN, "old", PASSWORD)
    await client.connect(port_of(site))
    yield client
    await client.close()


def port_of(site: Site) -> int:
    return load_plan(site.folder.plan).ports.xmpp


async def test_it_gets_in_with_plain_and_never_newer_tls_than_it_can(site: Site) -> None:
    client = OldClient(LEGACY_DOMAIN, "old", PASSWORD)
    await client.connect(port_of(site), newest_tls=ssl.TLSVersion.TLSv1_3)
    assert "PLAIN" in client.mechanisms
    assert client.tls_version == "TLSv1.2"
    await client.close()


@pytest.mark.parametrize(
    ("domain", "name", "password"),
    [
        (LEGACY_DOMAIN, "old", "wrong"),
        (LEGACY_DOMAIN, "nobody", PASSWORD),
        (LEGACY_DOMAIN, "jm", PASSWORD),
        ("localhost", "old", PASSWORD),
    ],
)
async def test_others_do_not_get_in(site: Site, domain: str, name: str, password: str) -> None:
    client = OldClient(domain, name, password)
    with pytest.raises((ConnectionError, TimeoutError)):
        async with asyncio.timeout(3):
            await client.connect(port_of(site))
    await client.close()


async def test_a_whole_job(site: Site, old: OldClient) -> None:
    (job_id,) = submit(site.folder.base, JobOrder(command="run.sh", input_files=(make_script(site),)))
    await old.ask(JM, {"command": "want_getJob", "jdl": '[\nType="machine";\n]\n', "agentHost": "h"}, "have_getJob")
    run = await old.ask(JM, {"command": "getJob", "agentHost": "h"}, "runJob")
    job = run.info["job"]
    assert isinstance(job, dict)
    assert (job["id"], job["command"], job["inputFiles"]) == (job_id, "run.sh", "###run.sh")
    assert set(run.info) == {"command", "jmJobData", "job"}
    await put_output(site, job_id, old, str(run.info["jmJobData"]))
    while get_job(site.folder.base, job_id).state is not JobState.DONE:
        await asyncio.sleep(0.05)


async def put_output(site: Site, job_id: str, old: OldClient, data: str) -> None:
    about = {"jobID": job_id, "agentHost": "h", "jmJobData": data}
    await old.ask(JM, {"command": "want_getJobOutputDir", "agentIP": "todo", **about}, "have_getJobOutputDir")
    place = await old.ask(JM, {"command": "getJobOutputDir", **about}, "storeJobOutputDir")
    assert place.info["outputDir"] == job_id
    archive = site.folder.base / "output.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(make_script(site), "./stdout")
    transfer = ChirpTransfer({})
    try:
        await transfer.put(str(place.info["outputChirpUrl"]), f"/{job_id}/{job_id}.tgz", archive)
    finally:
        await transfer.close()
    old.send(place.sender, {"command": "jobDone", "state": "ready", "exitCode": "0", **about})


def make_script(site: Site) -> Path:
    script = site.folder.base / "run.sh"
    script.write_text("#!/bin/sh\ntrue\n")
    return script


async def test_it_talks_to_the_managers_and_nobody_else(site: Site, old: OldClient) -> None:
    other = OldClient(LEGACY_DOMAIN, "other", PASSWORD)
    await other.connect(port_of(site))
    for to in (other.full_jid, other.jid, "agent-1-0@localhost"):
        old.send(to, {"command": "sleep"})
        received = await old.next()
        assert (received.kind, received.condition) == (Kind.BOUNCE, "forbidden")
    await other.close()


async def test_a_removed_account_is_shut_out_at_once(site: Site, old: OldClient) -> None:
    write_accounts(site.folder.legacy, {"other": PASSWORD})
    old.send(JM, {"command": "want_getJob"})
    with pytest.raises(ConnectionError, match="closed the stream"):
        await old.text_with("</message>")


async def test_managers_and_old_clients_answer_heartbeats_in_the_room(site: Site, old: OldClient) -> None:
    old.send_raw(f"<presence to='{ROOM}/old'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    await old.text_with("<subject")
    config = Config(site.folder.config("job-manager"))
    asking = asyncio.create_task(ask_room(config, ROOM, ("systemLoad",), 3))
    asked = await old.command("Heartbeat:ping")
    assert asked.sender.startswith(f"{ROOM}/heartbeat-")
    old.send(asked.sender, {"command": "pong"}, noack=True)
    found = await asking
    assert {"jobs-1", "storage-1", "old"} <= set(found)
    assert set(found["jobs-1"]["systemLoad"]) == {"1min", "5min", "15min"}
    assert found["old"] == {}


async def test_the_room_is_for_talking_only(site: Site, old: OldClient) -> None:
    enters = "<presence to='{}/old'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    old.send_raw(enters.format(ROOM))
    await old.text_with("<subject")
    refused = [
        enters.format(f"another@conference.{LEGACY_DOMAIN}"),
        f"<iq id='i' type='set' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>",
        f"<message id='m' to='{ROOM}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='jm@localhost'/></x>"
        "</message>",
    ]
    for stanza in refused:
        old.send_raw(stanza)
        assert "forbidden" in await old.text_with("</error>")


async def test_managers_take_no_commands_of_who_is_in_the_room(site: Site, old: OldClient) -> None:
    submit(site.folder.base, JobOrder(command="run.sh", input_files=(make_script(site),)))
    old.send_raw(f"<presence to='{ROOM}/old'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    await old.text_with("<subject")
    old.send(f"{ROOM}/jobs-1", {"command": "want_getJob", "agentHost": "h"})
    await old.ask(JM, {"command": "want_getJob", "agentHost": "h"}, "have_getJob")
    old.send(f"{ROOM}/jobs-1", {"command": "Heartbeat:ping"})
    while (received := await old.next()).info.get("command") != "pong":
        assert received.info.get("command") is None


async def test_two_meet_in_a_room(site: Site, old: OldClient) -> None:
    other = OldClient(LEGACY_DOMAIN, "other", PASSWORD)
    await other.connect(port_of(site))
    room = f"pilots-lounge@conference.{LEGACY_DOMAIN}"
    for client in (old, other):
        client.send_raw(f"<presence to='{room}/{client.name}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        await client.text_with("<subject")
    body = "<body><info command='Heartbeat:ping'/></body>"
    old.send_raw(f"<message type='groupchat' noack='1' id='1' to='{room}'>{body}</message>")
    assert (await other.command("Heartbeat:ping")).sender == f"{room}/old"
    await other.close()


async def test_without_the_choice_there_is_no_such_domain() -> None:
    with tempfile.TemporaryDirectory(prefix="vc-legacy-", dir="/tmp") as name:
        site = Site(Path(name) / "site", None)
        await site.up()
        try:
            write_accounts(site.folder.legacy, {"old": PASSWORD})
            client = OldClient(LEGACY_DOMAIN, "old", PASSWORD)
            with pytest.raises(ConnectionError, match="host-unknown"):
                await client.connect(port_of(site))
            await client.close()
        finally:
            await site.down()
