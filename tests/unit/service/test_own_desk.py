"""What the control socket answers for own VMs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from client.appliance.worker import OnProgress
from client.board import Board
from client.clock import SystemClock
from client.commands import CreateVm, OrderVm
from client.errors import BadInput
from client.own_view import view_of
from client.own_vm import Boots, OwnVm
from client.service.own_desk import OwnDesk, parse_create, parse_order
from client.snapshot import Reason, Severity

#: only the last of what was told before anybody could take it
TOLD = {"progress": {"step": "reading", "done_bytes": 2, "total_bytes": 2}}
BOX = OwnVm("own-box", "Box", Path("/a.iso"), "a.iso", Boots.CD)


class FakeOwn:
    """Takes what it is asked, and waits where it is told to."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.asked: list[object] = []
        self.gate = asyncio.Event()
        self.given_up = False
        self.in_the_way: Reason | None = None

    async def create(self, wanted: CreateVm, on_progress: OnProgress) -> OwnVm:
        self.asked.append(wanted)
        try:
            for done in (1, 2):
                on_progress({"step": "reading", "done_bytes": done, "total_bytes": 2})
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        self.board.update_vm(view_of(BOX))
        return BOX

    def obstacle(self, vm: OwnVm) -> Reason | None:
        return self.in_the_way

    def order(self, wanted: OrderVm) -> OwnVm | None:
        self.asked.append(wanted)
        if wanted.vm_id != "Box":
            raise BadInput(wanted.vm_id, "there is no such virtual machine", "main.py vm list shows them")
        return BOX


async def ask(
    own: FakeOwn, word: str, given: dict[str, Any], reader: asyncio.StreamReader, *, until: int = 1
) -> list[dict[str, Any]]:
    """until: after so many replies the making goes on."""
    replies: list[dict[str, Any]] = []

    async def send(said: dict[str, Any]) -> None:
        replies.append(said)
        if len(replies) == until:
            own.gate.set()

    await OwnDesk(own.board, own).answer(word, given, reader, send)  # type: ignore[arg-type]
    return replies


async def test_one_is_made() -> None:
    own = FakeOwn(Board(SystemClock()))
    own.board.raise_problem("own-image-end-of-life", "a.iso", "It is old.", "Beware.", Severity.NOTICE)
    told, reply = await ask(own, "own create", {"name": "Box", "image": "/a.iso"}, asyncio.StreamReader())
    assert told == TOLD
    assert reply["ok"]
    assert reply["notes"] == ["It is old. Beware."]
    assert reply["vm"]["about"] == "a.iso, 1 processor, 512 MiB, no network"
    assert own.asked == [CreateVm("Box", "/a.iso")]


async def test_who_hangs_up_gives_it_up() -> None:
    own, reader = FakeOwn(Board(SystemClock())), asyncio.StreamReader()
    reader.feed_eof()
    assert await ask(own, "own create", {"name": "Box", "image": "/a.iso"}, reader, until=9) in ([], [TOLD])
    assert own.given_up


@pytest.mark.parametrize(
    ("word", "given", "code"),
    [
        ("own create", {"name": "Box"}, "bad-input"),
        ("own create", {"name": "Box", "image": "/a", "cpus": "many"}, "bad-input"),
        ("own create", {"name": "Box", "image": "/a", "values": {"key": ["x"]}}, "bad-input"),
        ("own order", {"vm": "Box", "verb": "fly"}, "bad-input"),
        ("own order", {"vm": "Other", "verb": "start"}, "bad-input"),
        ("own conquer", {}, "bad-input"),
    ],
)
async def test_what_does_not_fit_is_refused(word: str, given: dict[str, Any], code: str) -> None:
    (reply,) = await ask(FakeOwn(Board(SystemClock())), word, given, asyncio.StreamReader())
    assert (reply["ok"], reply["error"]) == (False, code)
    assert reply["text"] and reply["doing"]


async def test_an_order_is_passed_on() -> None:
    own = FakeOwn(Board(SystemClock()))
    (reply,) = await ask(own, "own order", {"vm": "Box", "verb": "remove"}, asyncio.StreamReader())
    assert reply["ok"]
    assert own.asked == [parse_order({"vm": "Box", "verb": "remove"})]


@pytest.mark.parametrize(("verb", "waits"), [("start", "no room"), ("resume", "no room"), ("save", "")])
async def test_who_starts_one_learns_at_once_that_it_waits(verb: str, waits: str) -> None:
    own = FakeOwn(Board(SystemClock()))
    own.in_the_way = Reason("own-no-room", "no room")
    (reply,) = await ask(own, "own order", {"vm": "Box", "verb": verb}, asyncio.StreamReader())
    assert (reply["ok"], reply["waits"]) == (True, waits)


async def test_one_that_is_removed_while_it_is_made_was_not_made() -> None:
    class Removed(FakeOwn):
        async def create(self, wanted: CreateVm, on_progress: OnProgress) -> OwnVm:
            raise asyncio.CancelledError

    own = Removed(Board(SystemClock()))
    (reply,) = await ask(own, "own create", {"name": "Box", "image": "/a.iso"}, asyncio.StreamReader())
    assert (reply["ok"], reply["error"]) == (False, "bad-input")


def test_no_refusal_repeats_a_secret() -> None:
    with pytest.raises(BadInput) as refused:
        parse_create({"name": "a", "image": "/a", "values": {"password": ["hunter2"]}})
    assert "hunter2" not in str(refused.value)
