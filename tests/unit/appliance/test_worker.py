"""The contract between the client and its worker processes, with real processes."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import psutil
import pytest

from client import log, process
from client.appliance import worker, worker_child
from client.appliance.errors import DownloadFailed, WorkerFailed
from client.appliance.worker import Steering, run_worker, worker_command
from client.appliance.worker_words import error_from, error_to
from client.errors import CommandFailed, DiskFull
from tests.helpers.worker_kinds import COMMAND, TOP


async def work(kind: str, order: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
    async with asyncio.timeout(60):
        return await run_worker(kind, order, command=COMMAND, **more)


class Told:
    """What a worker told, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[Mapping[str, Any]] = []
        self._new = asyncio.Event()

    def __call__(self, said: Mapping[str, Any]) -> None:
        self.all.append(said)
        self._new.set()

    async def until(self, **facts: Any) -> Mapping[str, Any]:
        async with asyncio.timeout(60):
            while not self.all or any(self.all[-1].get(key) != value for key, value in facts.items()):
                self._new.clear()
                await self._new.wait()
        return self.all[-1]


async def test_the_order_arrives_and_the_result_comes_back() -> None:
    told = Told()
    order = {"limit_bytes_per_s": 5, "text": "ä\n", "deep": [1, {"a": None}]}
    assert await work("echo", order, on_progress=told) == {"order": order, "limit": 5}
    assert told.all == [{"seen": 1}]


async def test_steering_reaches_it_before_and_while_it_works() -> None:
    told, steer = Told(), Steering()
    steer.limit(7)
    steer.hold()
    doing = asyncio.create_task(work("steered", {"wanted": 99}, on_progress=told, steer=steer))
    await told.until(limit=7, held=True)
    steer.go_on()
    await told.until(limit=7, held=False)
    steer.limit(None)
    await told.until(limit=None, held=False)
    steer.limit(99)
    assert await doing == {"limit": 99}


async def test_what_was_asked_holds_for_the_next_worker_too() -> None:
    steer = Steering()
    steer.limit(99)
    for _ in range(2):
        assert await work("steered", {"wanted": 99}, steer=steer) == {"limit": 99}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("command", CommandFailed(("tool", "--flag"), 3, "it said so")),
        ("full", DiskFull("/data/x", 0, 0)),
        ("else", DiskFull("/data", 10, 5)),
    ],
)
async def test_its_errors_are_raised_here_as_the_same_class(how: str, expected: CommandFailed | DiskFull) -> None:
    with pytest.raises(type(expected)) as caught:
        await work("refuse", {"how": how})
    assert caught.value.details() == expected.details()


@pytest.mark.parametrize(("how", "said"), [("bug", "KeyError: 'a bug'"), ("end", "exit code 9")])
async def test_one_that_dies_is_an_error_with_its_last_words(how: str, said: str) -> None:
    with pytest.raises(WorkerFailed) as caught:
        await work("refuse", {"how": how})
    assert caught.value.details() == {"kind": "refuse", "said": said}


async def test_what_it_logs_is_in_the_client_s_log() -> None:
    said: list[tuple[str, str, str]] = []
    handler = log.to_listener(lambda at, level, area, text: said.append((level, area, text)))
    try:
        await work("writes_log", {})
    finally:
        log.remove(handler)
    assert said == [("warning", "project", "news came"), ("info", "appliance", "it is done")]


async def test_progress_is_bounded_and_results_may_be_large() -> None:
    told = Told()
    result = await work("chatter", {"times": 20_000, "size": 3_000_000}, on_progress=told)
    assert len(result["big"]) == 3_000_000
    assert 1 <= len(told.all) < 2000


@pytest.mark.parametrize("kind", ["steered", "deaf"])
async def test_calling_it_off_ends_its_process(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GRACE_S", 0.5 if kind == "deaf" else 30.0)
    told = Told()
    doing = asyncio.create_task(work(kind, {"wanted": 1}, on_progress=told))
    await told.until()
    pid = told.all[0]["pid"]
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert process.identity(pid) is None


def test_it_ends_when_its_client_was_killed() -> None:
    """Its input ends then; nobody else tells it."""
    child = subprocess.Popen([*COMMAND, "steered"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    child.stdin.write(b'{"wanted": 1}\n')
    child.stdin.flush()
    child.stdout.readline()
    child.stdin.close()
    assert child.wait(60) == 3
    child.stdout.close()


async def test_errors_from_a_process_are_not_trusted() -> None:
    assert isinstance(error_from({"code": "disk-full", "fields": {"folder": "x"}}), WorkerFailed)
    assert isinstance(error_from({"code": ["disk-full"], "fields": 3}), WorkerFailed)
    error = error_from(error_to(DownloadFailed("http://x", "no")))
    assert isinstance(error, DownloadFailed)
    assert error.details() == {"url": "http://x", "said": "no"}


def test_the_program_is_its_own_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_command() == (sys.executable, str(TOP / "main.py"), "worker")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert worker_command() == (sys.executable, "worker")


@pytest.mark.parametrize("place", worker_child.KINDS.values(), ids=worker_child.KINDS.keys())
def test_every_kind_of_work_is_there(place: str) -> None:
    module, _, function = place.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


async def test_the_real_program_knows_the_role() -> None:
    with pytest.raises(WorkerFailed) as caught:
        await run_worker("no-such-kind", {})
    assert "invalid choice" in caught.value.said


async def test_no_worker_is_left() -> None:
    await work("echo", {})
    assert not [child for child in psutil.Process().children(recursive=True) if str(COMMAND[1]) in child.cmdline()]
