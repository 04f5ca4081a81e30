"""Our managers in secure mode play against what the original's agent said to its own.

The agent's maps are as it encrypted them. Only its session key, which it had wrapped for managers whose private keys
nobody has any more, is wrapped anew for ours; tickets of that key manager cannot be tried, so they are not asked for.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from client.copilot.account import bare
from client.copilot.managers.config import ProcessSettings
from client.copilot.managers.job_desk import JobDesk, JobSettings
from client.copilot.managers.process import Desk, ManagerProcess
from client.copilot.managers.secure import SecureSettings
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.storage_desk import StorageDesk
from client.copilot.messages import RunJob, StoreTicket, parse_info
from client.copilot.queue.queue import NewJob
from client.copilot.queue.sqlite import SqliteQueue
from client.copilot.security import check_ticket, wrap_key
from client.copilot.security_codec import TICKET, Consumer
from client.copilot.stanza import Kind, Received
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.captured import DATA
from tests.unit.copilot.conformance.replay import Step, same, steps
from tests.unit.copilot.conformance.wire import Wire, account_of, put_on_wire, running

AGENT: Final = "agent@localhost/e46d3bf1297b413e79728b27424e172e"
KEY_MANAGER: Final = 23
JOB_MANAGER: Final = 24


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """Of the original's size."""
    return generate_private_key(65537, 1024)


def of_agent(connection: int) -> list[Step]:
    """What passed between a manager and that agent."""
    return [one for one in steps("secure.txt", connection) if AGENT in {one.element.get("from"), one.element.get("to")}]


def reader() -> Consumer:
    """Reads what was encrypted for the agent, with the key that it had."""
    consumer = object.__new__(Consumer)
    word = (DATA / "secure-session-key.txt").read_text().split()[-1]
    consumer._session_key = bytes.fromhex(word)
    return consumer


def rewrapped(element: ElementTree.Element, key: RSAPrivateKey) -> ElementTree.Element:
    body = element.find("body")
    if body is not None:
        assert "info" in body.attrib
        body.set("session_key", wrap_key(reader()._session_key, key.public_key()))
    return element


@asynccontextmanager
async def manager(folder: Path, key: RSAPrivateKey, full_jid: str, *desks: Desk, gives: bool) -> AsyncIterator[Wire]:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    secure = SecureSettings(folder / "key.pem", gives_tickets=gives, only=True)
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire(full_jid)
        put_on_wire(patch, wire)
        process = ManagerProcess(account_of(wire), ProcessSettings(None, None, secure=secure))
        for desk in desks:
            process.add(desk)
        async with running(process, wire):
            yield wire


async def replay(wire: Wire, script: list[Step], key: RSAPrivateKey) -> list[tuple[Received, Received]]:
    """Ours and theirs, as the agent reads them, of all that the original's manager answered."""
    pairs: list[tuple[Received, Received]] = []
    ours: list[Received] = []
    seen = 0
    for step in script:
        if not step.outgoing:
            wire.feed(rewrapped(step.element, key))
            await wire.settle()
            fresh = [ElementTree.fromstring(text) for text in wire.texts[seen:]]
            seen = len(wire.texts)
            for element in fresh:
                body = element.find("body")
                assert body is None or set(body.attrib) == {"info"}, "nothing goes out in clear"
            ours += [reader().parse(element) for element in fresh]
            continue
        theirs = reader().parse(step.element)
        found = next(
            one for one in ours if (one.kind, one.info.get("command")) == (theirs.kind, theirs.info.get("command"))
        )
        ours.remove(found)
        pairs.append((found, theirs))
    assert ours == [], "ours says nothing more"
    return pairs


@in_fast_time
async def test_the_original_agent_gets_a_ticket(tmp_path: Path, key: RSAPrivateKey) -> None:
    async with manager(tmp_path, key, "km@localhost/r", gives=True) as wire:
        (acked, _), (ours, theirs) = await replay(wire, of_agent(KEY_MANAGER), key)
    assert acked.kind is Kind.ACK
    assert (ours.recipient, ours.noack, set(ours.info)) == (theirs.recipient, theirs.noack, set(theirs.info))
    given, original = parse_info(ours.info), parse_info(theirs.info)
    assert isinstance(given, StoreTicket)
    assert isinstance(original, StoreTicket)
    assert len(given.ticket) == len(original.ticket)
    assert check_ticket(given.ticket, key.public_key(), time.time()).holder == AGENT


@in_fast_time
async def test_the_original_agent_does_a_job(tmp_path: Path, key: RSAPrivateKey) -> None:
    script = of_agent(JOB_MANAGER)
    run = next(
        info
        for info in (parse_info(reader().parse(one.element).info) for one in script if one.outgoing)
        if isinstance(info, RunJob)
    )
    (tmp_path / "chirp").mkdir()
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    queue.submit([NewJob(run.job)], 0)
    claims: list[Claim] = []
    shelf = Shelf(tmp_path / "chirp", tmp_path / "storage", "s")
    desks = (
        JobDesk(queue, JobSettings(run.job.chirp_url)),
        StorageDesk(queue, shelf, run.job.chirp_url, claims.append),
    )
    async with manager(tmp_path, key, "jm@localhost/alpha", *desks, gives=False) as wire:
        pairs = await replay(wire, script, key)
    for ours, theirs in pairs:
        same(ours, theirs)
        if theirs.kind is Kind.ACK:
            assert ours.message_id == theirs.message_id
    commands = [theirs.info.get("command") for _, theirs in pairs if theirs.kind is Kind.INFO]
    assert commands == ["have_getJob", "runJob", "have_getJobOutputDir", "storeJobOutputDir"]
    assert [(claim.job_id, bare(claim.sender)) for claim in claims] == [(run.job.id, "agent@localhost")]
    queue.close()


@in_fast_time
async def test_what_the_agent_wrapped_for_another_manager_is_refused_and_nothing_happens(
    tmp_path: Path, key: RSAPrivateKey, caplog: pytest.LogCaptureFixture
) -> None:
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    desk = JobDesk(queue, JobSettings("127.0.0.1:9094"))
    async with manager(tmp_path, key, "jm@localhost/alpha", desk, gives=False) as wire:
        for step in of_agent(JOB_MANAGER):
            if not step.outgoing:
                wire.feed(step.element)
        await wire.settle()
        (refusal,) = wire.sent
    assert refusal.info["command"] == "security_error"
    assert (len(desk._askers), TICKET in refusal.info) == (0, False)
    queue.close()
