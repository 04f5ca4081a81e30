"""The agent's side of pilot use: when a token is asked for, where it lies, and that it goes with the job."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Conversation
from client.copilot.errors import JobFailed
from client.copilot.messages import GetPilotToken, NoPilotToken, PilotToken
from client.copilot.pilot import pilot_token
from client.copilot.token_file import put_token, token_file
from tests.helpers.copilot import MANAGER, FakeManagers, describe

KEYS = f"{MANAGER}/keys-1"


class Place:
    """Remembers what lay there."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def keep_pilot_token(self, token: str) -> None:
        self.held.append(token)


def record(**more: str) -> JobRecord:
    return JobRecord(describe(**more), f"{MANAGER}/jobs-1", 30, "lease-1")


@pytest.fixture
async def managers() -> AsyncIterator[FakeManagers]:
    yield FakeManagers()


def talk_with(managers: FakeManagers) -> Conversation:
    talk = Conversation(managers, MANAGER, lambda _: None)
    managers.on_info = talk.deliver
    return talk


async def test_a_job_has_its_token_while_it_runs_and_no_longer(managers: FakeManagers) -> None:
    managers.answers[GetPilotToken] = lambda to, asked: [
        (KEYS, PilotToken(asked.service, asked.job_id, token="secret", expires_at=2**32))
    ]
    place = Place()
    async with pilot_token(talk_with(managers), MANAGER, record(pilot_service="atlas"), place):
        assert place.held == ["secret"]
    assert place.held == ["secret", ""]
    assert managers.heard == [(MANAGER, GetPilotToken("atlas", "job-1", "lease-1"))]


async def test_a_job_that_names_no_service_asks_nobody(managers: FakeManagers) -> None:
    place = Place()
    async with pilot_token(talk_with(managers), MANAGER, record(), place):
        assert place.held == []
    assert (place.held, managers.heard) == ([], [])


async def test_a_refusal_gives_the_job_back_with_its_reason(managers: FakeManagers) -> None:
    managers.answers[GetPilotToken] = lambda to, asked: [
        (KEYS, NoPilotToken(asked.service, asked.job_id, reason="the job is another's"))
    ]
    place = Place()
    with pytest.raises(JobFailed, match="the job is another's"):
        async with pilot_token(talk_with(managers), MANAGER, record(pilot_service="atlas"), place):
            pytest.fail("the job was run")
    assert place.held == []


async def test_when_nobody_answers_the_job_goes_back(managers: FakeManagers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.copilot.pilot._WAITS_S", (0.01, 0.01))
    with pytest.raises(JobFailed, match="nobody answers"):
        async with pilot_token(talk_with(managers), MANAGER, record(pilot_service="atlas"), Place()):
            pytest.fail("the job was run")
    assert len(managers.commands(GetPilotToken)) == 2


async def test_the_next_token_is_put_before_the_first_ends(
    managers: FakeManagers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.copilot.pilot._SHORTEST_TURN_S", 0.01)
    given = iter(range(1000))
    managers.answers[GetPilotToken] = lambda to, asked: [
        (KEYS, PilotToken(asked.service, asked.job_id, token=f"token {next(given)}", expires_at=0))
    ]
    place = Place()
    async with pilot_token(talk_with(managers), MANAGER, record(pilot_service="atlas"), place):
        async with asyncio.timeout(10):
            while len(place.held) < 3:
                await asyncio.sleep(0)
    assert place.held[:3] == ["token 0", "token 1", "token 2"]
    assert place.held[-1] == ""


async def test_a_token_that_ended_while_the_computer_was_paused_is_replaced_at_once(
    managers: FakeManagers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.copilot.pilot._SHORTEST_TURN_S", 0.0)
    clock = SimpleNamespace(now=1000)
    monkeypatch.setattr("client.copilot.pilot.time", SimpleNamespace(time=lambda: clock.now))
    given = iter(range(1000))
    managers.answers[GetPilotToken] = lambda to, asked: [
        (KEYS, PilotToken(asked.service, asked.job_id, token=f"token {next(given)}", expires_at=clock.now + 3600))
    ]
    place, talk = Place(), talk_with(managers)

    async def new_session() -> None:
        async with asyncio.timeout(10):
            while not talk._pausing:
                await asyncio.sleep(0)
            before = set(talk._pausing)
            talk.session_began()
            while not talk._pausing or before & talk._pausing:
                await asyncio.sleep(0)

    async with pilot_token(talk, MANAGER, record(pilot_service="atlas"), place):
        await new_session()
        assert place.held == ["token 0"]
        clock.now += 7200
        await new_session()
        assert place.held == ["token 0", "token 1"]


def test_the_file_is_the_jobs_alone(tmp_path: Path) -> None:
    uid = 70000 if os.geteuid() == 0 else None
    put_token(tmp_path, "one", uid)
    put_token(tmp_path, "two", uid)
    path = token_file(tmp_path)
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert path.stat().st_uid == (os.geteuid() if uid is None else uid)
    assert not path.is_relative_to(tmp_path / "work")
    assert [each.name for each in path.parent.iterdir()] == ["token"]
    put_token(tmp_path, "", uid)
    put_token(tmp_path, "", uid)
    assert not path.exists()
