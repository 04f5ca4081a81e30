"""Printing for readers that are slow, stop, or go away."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TextIO

import pytest

from client.board import Board
from client.service import printer
from client.service.daemon import JsonLines, TerminalPort
from client.service.printer import Outlet, Printer
from client.service.terminal import PlainLines, progress_of
from client.snapshot import Activity, ClientSnapshot, PolicyView, Reason, Severity, TransferView, VmState, VmView
from tests.helpers.clock import FakeClock


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Both ends; the reader's as a number."""
    reader, number = os.pipe()
    with os.fdopen(number, "w") as writer:
        yield reader, writer
    with suppress(OSError):
        os.close(reader)


def snapshot(text: str = "It broke.") -> ClientSnapshot:
    board = Board(FakeClock())
    board.raise_problem("x", "y", text, "", Severity.WARNING)
    return board.snapshot()


@pytest.mark.parametrize("face", [PlainLines, JsonLines])
def test_a_reader_that_went_away_is_no_error(face: type[PlainLines | JsonLines], pipe: tuple[int, TextIO]) -> None:
    reader, writer = pipe
    show = face(Outlet(writer))
    os.close(reader)
    show.show(snapshot())
    show.show(snapshot("It broke again."))
    assert show.outlet.over


@pytest.mark.parametrize("face", [PlainLines, JsonLines])
async def test_a_reader_that_stops_reading_stops_neither_the_loop_nor_the_end(
    face: type[PlainLines | JsonLines], pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printer, "LAST_WORDS_S", 0.2)
    port = TerminalPort(face(Outlet(pipe[1])))
    begun = time.monotonic()
    for number in range(200):
        port.publish(snapshot(f"{number}" * 20_000))
    assert time.monotonic() - begun < 2
    async with asyncio.timeout(5):
        await port.close()


async def test_the_last_state_is_printed_before_the_end(pipe: tuple[int, TextIO]) -> None:
    port = TerminalPort(JsonLines(Outlet(pipe[1])))
    last = snapshot()
    for said in (snapshot(), last):
        port.publish(said)
    await port.close()
    lines = os.read(pipe[0], 65536).splitlines()
    assert [json.loads(line)["taken_at"] for line in lines][-1] == last.taken_at.isoformat()
    assert len(lines) == 2


class Slow:
    """Draws only when it is let."""

    backlog = 1

    def __init__(self) -> None:
        self.outlet = Outlet()
        self.gate = threading.Semaphore(0)
        self.drawn: list[ClientSnapshot] = []
        self.at_once = self.most_at_once = 0

    def show(self, snapshot: ClientSnapshot) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.gate.acquire(timeout=5)
        self.drawn.append(snapshot)
        self.at_once -= 1

    def close(self) -> None:
        self.drawn.append(self.drawn[-1])


async def test_a_slow_face_gets_the_newest_and_never_two_at_once() -> None:
    show = Slow()
    one = Printer(show)
    said = [snapshot(str(number)) for number in range(10)]
    one.put(said[0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for more in said[1:]:
        one.put(more)
    show.gate.release(2)
    await one.close()
    assert show.drawn == [said[0], said[9], said[9]]
    assert show.most_at_once == 1


async def test_a_face_that_fails_says_so_to_the_board() -> None:
    class Broken(Slow):
        def show(self, snapshot: ClientSnapshot) -> None:
            raise ZeroDivisionError

    one = Printer(Broken())
    one.put(snapshot())
    async with asyncio.timeout(5):
        with pytest.raises(ZeroDivisionError):
            while True:
                await asyncio.sleep(0.01)
                one.put(snapshot())


async def test_a_terminal_that_is_held_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "LAST_WORDS_S", 0.2)
    person, number = os.openpty()
    with os.fdopen(number, "w") as terminal:
        port = TerminalPort(PlainLines(Outlet(terminal)))
        port.publish(snapshot("x" * 200_000))
        async with asyncio.timeout(5):
            await port.close()
            await asyncio.get_running_loop().shutdown_default_executor()
        assert os.read(person, 100).startswith(b"  ! x")
    os.close(person)


def test_why_it_waits_is_printed_with_it(pipe: tuple[int, TextIO]) -> None:
    reader, writer = pipe
    lines = PlainLines(Outlet(writer))
    waits = replace(ClientSnapshot(1, FakeClock().now(), Activity.PAUSED), headline="Waiting")
    # The same rule with another number is no news.
    for text in ("Other programs use 90 %.", "Other programs use 91 %."):
        lines.show(replace(waits, reason=Reason("others-busy", text)))
    assert os.read(reader, 1000).decode() == "Waiting\n  Other programs use 90 %.\n"


def test_why_it_is_slow_is_printed_once(pipe: tuple[int, TextIO]) -> None:
    reader, writer = pipe
    lines = PlainLines(Outlet(writer))
    slow = PolicyView("run", 25, None, 1, 1024, pace="At most a quarter.")
    works = replace(ClientSnapshot(1, FakeClock().now(), Activity.WORKING), headline="Computing", policy=slow)
    for said in (works, replace(works, policy=None), works):
        lines.show(said)
    assert os.read(reader, 1000).decode() == "Computing\n  At most a quarter.\n"


def test_what_a_driver_wants_known_is_printed_once(pipe: tuple[int, TextIO]) -> None:
    reader, writer = pipe
    lines = PlainLines(Outlet(writer))
    note = "KVM makes no progress here."
    vm = VmView("work-1", "work-1", VmState.RUNNING, "qemu", note=note)
    for _ in range(2):
        lines.show(replace(Board(FakeClock()).snapshot(), vms=(vm,)))
    assert os.read(reader, 4096).decode().count(note) == 1


def test_a_download_that_rests_says_why() -> None:
    reason = Reason("no-server-answers", "No server gives it now (Connection refused); trying again.")
    view = TransferView("the appliance", "downloading", 10, 40, 0.0, None, reason)
    said = progress_of(replace(snapshot(), transfers=(view,)))
    assert said == ("the appliance: No server gives it now (Connection refused); trying again", 0.25)
