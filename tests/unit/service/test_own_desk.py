"""What the control socket answers for own VMs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from client.board import Board
from client.clock import SystemClock
from client.commands import CreateVm, OrderVm
from client.errors import BadInput
from client.own_view import view_of
from client.own_vm import Boots, OwnVm
from client.service.own_desk import OwnDesk, parse_create, parse_order

BOX = OwnVm("own-box", "Box", Path("/a.iso"), "a.iso", Boots.CD)


class FakeOwn:
    """Takes what it is asked, and waits where it is told to."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.asked: list[object] = []
        self.gate = asyncio.Event()
        self.given_up = False

    async def create(self, wanted: CreateVm) -> OwnVm:
        self.asked.append(wanted)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        self.board.update_vm(view_of(BOX))
        return BOX

    def order(self, wanted: OrderVm) -> OwnVm | None:
        self.asked.append(wanted)
        if wanted.vm_id != "Box":
            raise BadInput(wanted.vm_id, "there is no such virtual machine", "main.py vm list shows them")
        return BOX


async def ask(own: FakeOwn, word: str, given: dict[str, Any], reader: asyncio.StreamReader) -> list[dict[str, Any]]:
    replies: list[dict[str, Any]] = []

    async def send(said: dict[str, Any]) -> None:
        replies.append(said)

    await OwnDesk(own.board, own).answer(word, given, reader, send)  # type: ignore[arg-type]
    return replies


async def test_one_is_made() -> None:
    own = FakeOwn(Board(SystemClock()))
    own.gate.set()
    (reply,) = await ask(own, "own create", {"name": "Box", "image": "/a.iso"}, asyncio.StreamReader())
    assert reply["ok"]
    assert reply["vm"]["about"] == "a.iso, 1 processor, 512 MiB, no network"
    assert own.asked == [CreateVm("Box", "/a.iso")]


async def test_who_hangs_up_gives_it_up() -> None:
    own, reader = FakeOwn(Board(SystemClock())), asyncio.StreamReader()
    reader.feed_eof()
    assert await ask(own, "own create", {"name": "Box", "image": "/a.iso"}, reader) == []
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


def test_no_refusal_repeats_a_secret() -> None:
    with pytest.raises(BadInput) as refused:
        parse_create({"name": "a", "image": "/a", "values": {"password": ["hunter2"]}})
    assert "hunter2" not in str(refused.value)
