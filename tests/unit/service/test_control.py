"""One instance, and how others speak to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client.board import Board
from client.commands import Command, Finish, Pause, Quit, Resume, Start, Stop, WhatOfWork
from client.errors import AlreadyRunning, BadInput, NotRunning
from client.guest.errands import Errands
from client.paths import Paths
from client.service.control import ControlServer, InstanceLock, ask, parse_command, watch
from client.service.ctl import in_words
from client.service.ctl import main as ctl
from client.service.vm_desk import VmDesk
from client.snapshot import Activity, PolicyView, Reason, VmKind, VmState, VmView
from tests.helpers.clock import FakeClock


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Paths, Board, list[Command]]]:
    paths, board, taken = Paths(folder), Board(FakeClock()), []

    async def take(command: Command) -> None:
        taken.append(command)

    server = ControlServer(paths, board, take, lambda: True)
    await server.open()
    try:
        async with asyncio.timeout(10):
            yield paths, board, taken
    finally:
        await server.close()


def test_a_second_instance_is_refused_and_a_later_one_not(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with InstanceLock(paths), pytest.raises(AlreadyRunning), InstanceLock(paths):
        pass
    with InstanceLock(paths):
        pass


@pytest.mark.parametrize(
    ("word", "given", "expected"),
    [
        ("start", {}, Start()),
        ("stop", {}, Stop()),
        ("resume", {}, Resume()),
        ("pause", {}, Pause()),
        ("pause", {"until": "2026-11-20T18:00:00+00:00"}, Pause(datetime(2026, 11, 20, 18, tzinfo=UTC))),
        ("finish", {"undo": True}, Finish(undo=True)),
        ("quit", {"work": "stop"}, Quit(WhatOfWork.STOP)),
    ],
)
def test_words_become_commands(word: str, given: dict[str, object], expected: Command) -> None:
    assert parse_command(word, given) == expected


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("dance", {}),
        ("pause", {"until": "tomorrow"}),
        ("pause", {"until": "2026-11-20T18:00:00"}),
        ("pause", {"until": "0001-01-01T00:00:00+14:00"}),
        ("pause", {"until": 5}),
        ("pause", ["until"]),
        ("quit", {"work": "burn"}),
    ],
)
def test_words_that_do_not_fit(word: str, given: Any) -> None:
    with pytest.raises(BadInput):
        parse_command(word, given)


async def test_status_and_commands(tmp_path: Path) -> None:
    async with serving(tmp_path) as (paths, board, taken):
        assert (await ask(paths, "status"))["snapshot"]["activity"] == "stopped"
        board.facts.activity = Activity.WORKING
        assert (await ask(paths, "pause"))["ok"]
        refused = await ask(paths, "dance")
        assert (refused["ok"], refused["error"]) == (False, "bad-input")
        assert taken == [Pause()]


@pytest.mark.parametrize("word", ["pause", "resume", "finish"])
async def test_what_needs_work_is_refused_at_rest(tmp_path: Path, word: str) -> None:
    async with serving(tmp_path) as (paths, _, taken):
        refused = await ask(paths, word)
        assert (refused["ok"], refused["text"]) == (False, f"Nothing runs, so there is nothing to {word}.")
        assert taken == []


@pytest.mark.parametrize("word", ["pause", "resume", "reset"])
async def test_what_comes_too_late_is_not_done_and_says_so(tmp_path: Path, word: str) -> None:
    async with serving(tmp_path) as (paths, board, taken):
        board.update_vm(VmView("work-1", "work-1", VmState.RUNNING, "fake"))
        board.facts.activity = Activity.STOPPING
        reply = await ask(paths, word)
        assert (reply["ok"], taken) == (False, [])
        assert f"not done: {word}" in reply["text"]


async def test_what_is_too_long_is_not_sent(tmp_path: Path) -> None:
    async with serving(tmp_path) as (paths, _, taken):
        with pytest.raises(BadInput):
            await ask(paths, "pause", {"until": "x" * 100_000})
        assert taken == []


@pytest.mark.parametrize("state", [VmState.SAVING, VmState.RUNNING, VmState.SAVED])
async def test_nothing_is_begun_in_a_guest_that_is_being_ended(tmp_path: Path, state: VmState) -> None:
    board, said = Board(FakeClock()), []
    board.update_vm(VmView("work-1", "work-1", state, "fake"))
    board.facts.activity = Activity.STOPPED if state is VmState.SAVED else Activity.STOPPING

    class Machine:
        errands = Errands(tmp_path, lambda kind, **fields: None, FakeClock())

        async def console(self, limit_bytes: int) -> str:
            return ""

    async def send(reply: dict[str, Any]) -> None:
        said.append(reply)

    desk = VmDesk(board, lambda vm_id: Machine())
    async with asyncio.timeout(5):
        await desk.answer("vm exec", {"argv": ["true"]}, asyncio.StreamReader(), send)
    assert [reply["error"] for reply in said] == ["guest-not-ready"]
    assert "main.py vm start" in said[0]["doing"]


async def test_without_the_token_nothing_is_done(tmp_path: Path) -> None:
    async with serving(tmp_path) as (paths, _, taken):
        said = json.loads(paths.control.read_text())
        paths.control.write_text(json.dumps(said | {"token": "guessed"}))
        assert (await ask(paths, "quit"))["ok"] is False
        assert taken == []


@pytest.mark.parametrize("line", [b"\n", b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"token": 5}\n', b"\xff\xfe\n"])
async def test_noise_is_refused(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path) as (paths, _, taken):
        reader, writer = await asyncio.open_connection("127.0.0.1", json.loads(paths.control.read_text())["port"])
        writer.write(line)
        assert json.loads(await reader.readline())["ok"] is False
        writer.close()
        assert taken == []


async def test_watching_gives_each_newest_snapshot(tmp_path: Path) -> None:
    async with serving(tmp_path) as (paths, board, _):
        seen = []

        async def look() -> None:
            async for said in watch(paths):
                seen.append(said["seq"])
                if len(seen) == 2:
                    return

        looking = asyncio.create_task(look())
        while not looking.done():
            board.publish_now()
            await asyncio.sleep(0.01)
        assert seen == sorted(seen)


async def test_the_file_with_the_token_is_private_and_goes_with_the_instance(tmp_path: Path) -> None:
    async with serving(tmp_path) as (paths, _, _):
        assert paths.control.stat().st_mode & 0o077 == 0
    assert not paths.control.exists()
    with pytest.raises(NotRunning):
        await ask(paths, "status")


def test_ctl_says_that_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        ctl(["status", "--basedir", str(tmp_path)])


def test_ctl_refuses_a_pause_of_no_time(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        ctl(["pause", "--for", "0", "--basedir", str(tmp_path)])


def test_an_own_vm_in_words() -> None:
    board = Board(FakeClock())
    reason = Reason("own-no-room", "It waits for room.")
    board.update_vm(VmView("own-box", "Box", VmState.ABSENT, "qemu", kind=VmKind.OWN, wish="run", reason=reason))
    assert "Box: not started yet\n  It waits for room." in in_words(board.snapshot().to_json())


def test_why_work_is_slow_is_part_of_the_state() -> None:
    board = Board(FakeClock())
    board.facts.policy = PolicyView("run", 25, None, 1, 1024, pace="At most a quarter.")
    assert "At most a quarter." in in_words(board.snapshot().to_json()).splitlines()


def test_what_holds_guests_and_transfers_is_said_once() -> None:
    board = Board(FakeClock())
    board.facts.reason = board.facts.fetching_held = Reason("in-use", "You are using the computer.")
    assert in_words(board.snapshot().to_json()).count("You are using the computer.") == 1


def test_the_state_in_words() -> None:
    text = in_words(Board(FakeClock()).snapshot().to_json())
    assert text.endswith("Jobs accepted: 0, failed: 0")
