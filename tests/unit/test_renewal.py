"""When a guest's next account is asked for, and what the guest is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from client.board import Board
from client.guest.channel import LinkChannel
from client.parts import Parts
from client.paths import Paths
from client.project.enrolment import GuestToken
from client.project.errors import ProjectUnreachable
from client.renewal import Renewal, renew_at
from client.snapshot import VmState
from client.vm_record import VmRecord
from tests.helpers.clock import FakeClock

LIFE = timedelta(days=1)


@dataclass
class Rig:
    """A renewal whose collaborators are fakes; `said` is what the guest was told."""

    clock: FakeClock = field(default_factory=FakeClock)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    connected: bool = True
    asked: int = 0
    error: Exception | None = None
    project: object = None

    def __post_init__(self) -> None:
        self.board = Board(self.clock)
        self.record = VmRecord(self.clock.now() + LIFE, "a", self.clock.now())
        self.renewal = Renewal(cast(Parts, self), "work-1", cast(LinkChannel, self), lambda: self.record, self.save)

    def save(self, record: VmRecord) -> None:
        self.record = record

    def send(self, kind: str, **fields: Any) -> None:
        self.said.append((kind, fields))

    async def fetch_token(self, _: object, vm_id: str) -> GuestToken:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return GuestToken(f"{vm_id}-{self.asked}@localhost", "pw", self.clock.now() + LIFE)

    async def turns(self, state: VmState = VmState.RUNNING) -> None:
        """Some turns, each with what it began."""
        for _ in range(3):
            self.renewal.attend(state)
            while self.renewal._asking is not None and not self.renewal._asking.done():
                await asyncio.sleep(0)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.renewal.close()


async def test_the_next_account_is_asked_for_at_three_quarters_and_told(rig: Rig) -> None:
    rig.clock.advance(0.74 * 86400)
    await rig.turns()
    assert rig.asked == 0
    rig.clock.advance(0.02 * 86400)
    await rig.turns()
    assert (rig.asked, len(rig.said)) == (1, 1)
    kind, fields = rig.said[0]
    expires = rig.clock.now() + LIFE
    assert (kind, fields) == (
        "account",
        {"jid": "work-1-1@localhost", "password": "pw", "expires_at": int(expires.timestamp())},
    )
    assert (rig.record.token_expires_at, rig.record.medium_is_old, rig.record.appliance) == (expires, True, "a")


@pytest.mark.parametrize("state", [VmState.PAUSED, VmState.SAVED, VmState.DEFINED, VmState.STARTING])
async def test_a_guest_that_does_not_run_needs_none(rig: Rig, state: VmState) -> None:
    rig.clock.advance(2 * 86400)
    await rig.turns(state)
    assert rig.asked == 0
    await rig.turns()
    assert rig.asked == 1


async def test_without_a_link_nobody_could_be_told(rig: Rig) -> None:
    rig.clock.advance(2 * 86400)
    rig.connected = False
    await rig.turns()
    assert rig.asked == 0


async def test_a_refusal_is_shown_and_asked_again_later(rig: Rig) -> None:
    rig.clock.advance(0.8 * 86400)
    rig.error = ProjectUnreachable("https://x", "no")
    await rig.turns()
    assert rig.asked == 1
    assert [problem.code for problem in rig.board.problems] == ["project-unreachable"]
    rig.error = None
    rig.clock.advance(3600)
    await rig.turns()
    assert rig.asked == 2 and rig.said
    assert not rig.board.problems


async def test_a_guest_that_boots_again_by_itself_is_told_the_newest(rig: Rig) -> None:
    rig.renewal.guest_began()
    assert rig.said == [], "its medium is not old"
    rig.clock.advance(0.8 * 86400)
    await rig.turns()
    rig.renewal.guest_began()
    assert rig.said[0] == rig.said[1]
    assert rig.asked == 1


async def test_a_client_that_was_started_again_asks_for_another(rig: Rig) -> None:
    rig.record = VmRecord(rig.clock.now() + LIFE, "a", rig.clock.now(), medium_is_old=True)
    await rig.turns()
    assert rig.asked == 0
    rig.renewal.guest_began()
    await rig.turns()
    assert (rig.asked, len(rig.said)) == (1, 1)


def test_a_guest_of_an_older_client_is_let_be() -> None:
    assert renew_at(VmRecord(datetime.now(UTC))) is None
    assert renew_at(VmRecord()) is None


def test_the_record_survives_and_that_of_an_older_client_is_read(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.make()
    now = datetime(2026, 11, 21, tzinfo=UTC)
    record = VmRecord(now + LIFE, "a", now, medium_is_old=True)
    record.save(paths, "work-1")
    assert VmRecord.load(paths, "work-1") == record
    place = paths.context("work-1").with_suffix(".json")
    place.write_text(f'{{"token_expires_at": "{now.isoformat()}", "appliance": "b"}}')
    assert VmRecord.load(paths, "work-1") == VmRecord(now, "b")
