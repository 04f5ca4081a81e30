"""Who gets a token of an outside service, and that nobody else does."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from client.copilot.managers.config import Config
from client.copilot.managers.pilot import AGAIN_S, PilotDesk, PilotSource, read_sources
from client.copilot.managers.reply import Reply
from client.copilot.managers.revoked import RevokedList
from client.copilot.messages import (
    Command,
    GetPilotToken,
    JobDescription,
    NoPilotToken,
    PilotToken,
    build_info,
    parse_info,
)
from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import NewJob
from client.copilot.queue.sqlite import SqliteQueue
from client.errors import BadInput, CommandFailed

OWNER = "0123456789abcdef"
AGENT = f"agent-1900000000-{OWNER}-fedcba9876543210@localhost/agent-1"
OTHER = "agent-1900000000-ffffffffffffffff-fedcba9876543210@localhost/agent-1"
NOW = 1_800_000_000.0


class Rig:
    """A desk with a real queue, and an operator's command that answers at once."""

    def __init__(self, folder: Path) -> None:
        self.queue = SqliteQueue(folder / "queue.sqlite")
        self.revoked = RevokedList(folder / "revoked.txt")
        self.sent: list[Reply] = []
        self.ran: list[Sequence[str]] = []
        self.prints = b"the token\n"
        self.fails = False
        sources = {"atlas": PilotSource(("make-token",), lifetime_s=600)}
        self.desk = PilotDesk(self.queue, self.revoked, sources, self.run, self.send)
        self.queue.submit([NewJob(JobDescription("job-1", command="run.sh", pilot_service="atlas"))], NOW)
        lease = self.queue.hand_out(AGENT, NOW, extends=True)
        assert lease is not None
        self.asks = GetPilotToken("atlas", "job-1", lease.lease_id)

    async def run(self, command: Sequence[str]) -> bytes:
        self.ran.append(command)
        if self.fails:
            raise CommandFailed(tuple(command), 1, "no")
        return self.prints

    async def send(self, replies: Iterable[Reply]) -> None:
        self.sent += replies

    async def ask(self, sender: str, command: Command, now: float = NOW) -> list[Reply]:
        said = self.desk.handle(sender, command, now)
        await asyncio.gather(*self.desk._tasks)
        sent, self.sent = self.sent, []
        return said + sent


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    await rig.desk.close()
    rig.queue.close()


async def test_the_holder_of_the_job_gets_what_the_command_prints(rig: Rig) -> None:
    (reply,) = await rig.ask(AGENT, rig.asks)
    assert reply.to == AGENT
    assert isinstance(reply.command, PilotToken)
    assert reply.command.token == "the token\n"
    assert reply.command.expires_at > 600
    assert rig.ran == [("make-token",)]


async def test_nobody_else_does(rig: Rig) -> None:
    for sender, asked in (
        (OTHER, rig.asks),
        (AGENT, replace(rig.asks, lease_id="another")),
        (AGENT, replace(rig.asks, job_id="job-2")),
        (AGENT, replace(rig.asks, service="cms")),
    ):
        (reply,) = await rig.ask(sender, asked)
        assert isinstance(reply.command, NoPilotToken) and reply.command.reason
    assert rig.ran == []


async def test_a_job_that_names_no_service_gets_none(rig: Rig) -> None:
    rig.queue.submit([NewJob(JobDescription("job-2", command="run.sh"))], NOW)
    lease = rig.queue.hand_out(OTHER, NOW, extends=True)
    assert lease is not None and lease.job.id == "job-2"
    (reply,) = await rig.ask(OTHER, GetPilotToken("atlas", "job-2", lease.lease_id))
    assert isinstance(reply.command, NoPilotToken)


async def test_a_lease_that_ended_or_an_owner_that_was_revoked_gets_none(rig: Rig) -> None:
    rig.revoked.add(OWNER)
    (reply,) = await rig.ask(AGENT, rig.asks)
    assert isinstance(reply.command, NoPilotToken)
    rig.revoked.remove(OWNER)
    rig.queue.expire(NOW + 10**6)
    (reply,) = await rig.ask(AGENT, rig.asks)
    assert isinstance(reply.command, NoPilotToken)
    assert rig.ran == []


async def test_commands_are_not_run_as_often_as_somebody_asks(rig: Rig) -> None:
    answers = [await rig.ask(AGENT, rig.asks, NOW + after) for after in (0, 1, AGAIN_S - 1, AGAIN_S)]
    kinds = [type(reply.command) for (reply,) in answers]
    assert kinds == [PilotToken, NoPilotToken, NoPilotToken, PilotToken]
    assert len(rig.ran) == 2


@pytest.mark.parametrize("prints", [b"", b"x" * 60_001, b"\xff"])
async def test_what_is_no_token_is_not_handed_out(rig: Rig, prints: bytes) -> None:
    rig.prints = prints
    (reply,) = await rig.ask(AGENT, rig.asks)
    assert isinstance(reply.command, NoPilotToken)


async def test_a_command_that_fails_is_told_without_its_words(rig: Rig) -> None:
    rig.fails = True
    (reply,) = await rig.ask(AGENT, rig.asks)
    assert isinstance(reply.command, NoPilotToken)
    assert reply.command.reason == "the project could not make one"


def test_a_token_is_carried_and_not_shown() -> None:
    command = PilotToken("atlas", "job-1", token="line 1\nline 2\n", expires_at=1_800_000_000)
    assert parse_info(build_info(command)) == command
    assert "line 1" not in repr(command)


def test_sources_are_read_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pilots.toml"
    path.write_text('[atlas]\ncommand = ["a", "b"]\nlifetime_s = 60\n[cms]\nfile = "token"\n')
    assert read_sources(Config(path)) == {
        "atlas": PilotSource(("a", "b"), None, 60),
        "cms": PilotSource((), tmp_path / "token", 3600),
    }
    for wrong in ("[atlas]\n", '[atlas]\ncommand = "a"\n', "[atlas]\ncommand = [1]\n"):
        path.write_text(wrong)
        with pytest.raises(BadInput):
            read_sources(Config(path))


async def test_a_queue_that_fails_meanwhile_is_a_refusal_and_not_silence(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_queue(_: str) -> None:
        raise QueueUnusable("queue.sqlite", "database is locked")

    run = rig.run

    async def run_and_break(command: Sequence[str]) -> bytes:
        monkeypatch.setattr(rig.queue, "get", break_queue)
        return await run(command)

    rig.desk._run = run_and_break
    (reply,) = await rig.ask(AGENT, rig.asks)
    assert reply == Reply(AGENT, NoPilotToken("atlas", "job-1", reason="the project could not make one"))
