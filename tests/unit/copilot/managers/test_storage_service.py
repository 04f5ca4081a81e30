"""The storage manager's process when its disk or its queue fails. It has no session here."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.copilot.managers import storage
from client.copilot.managers.config import Config
from client.copilot.managers.errors import InstanceRunning
from client.copilot.managers.judge import Judge, Verdict
from client.copilot.managers.shelf import Claim, Parcel, Shelf
from client.copilot.managers.storage import StorageService
from client.copilot.queue.queue import JobState
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.managers.archives import pack
from tests.unit.copilot.queue.jobs import new_job

CONFIG = """
[xmpp]
jid = "jm@localhost"
password = "x"
host = "127.0.0.1"
port = 1
resource = "storage-1"
[queue]
path = "queue.sqlite"
[storage]
chirp = "127.0.0.1:9094"
chirp_root = "chirp"
folder = "storage"
"""
WITHIN_S = 10.0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[StorageService]:
    (tmp_path / "chirp").mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    service = StorageService(Config(tmp_path / "config.toml"))
    yield service
    service.close()


@asynccontextmanager
async def running(duty: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(duty)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def lasts_until(task: asyncio.Task[None], seen: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not seen() and not task.done():
            await asyncio.sleep(0.01)
    assert not task.done(), task.exception()


async def test_a_second_one_of_the_same_name_is_refused(service: StorageService, tmp_path: Path) -> None:
    config = Config(tmp_path / "config.toml")
    with pytest.raises(InstanceRunning) as refused:
        StorageService(config)
    assert (refused.value.instance, refused.value.folder) == ("storage-1", str(tmp_path / "storage"))
    (tmp_path / "other.toml").write_text(CONFIG.replace("storage-1", "storage-2"))
    StorageService(Config(tmp_path / "other.toml")).close()
    service.close()
    StorageService(config).close()


async def test_a_sweep_that_fails_is_not_the_end_and_is_tried_again(
    service: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "SWEEP_INTERVAL_S", 0.01)
    (tmp_path / "chirp").rmdir()
    async with running(service._sweep()) as task:
        await lasts_until(task, lambda: len(caplog.records) >= 2)
    assert "not removed" in caplog.text


async def test_a_sweep_does_not_touch_the_judges_queue(
    service: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[SqliteQueue] = []

    def sweep(queue: SqliteQueue, shelf: Shelf) -> int:
        swept.append(queue)
        return 0

    monkeypatch.setattr(storage, "sweep", sweep)
    async with running(service._sweep()) as task:
        await lasts_until(task, lambda: swept)
    assert swept[0] not in (service._queue, service._judge_queue)


async def test_an_output_in_hand_is_dealt_with_before_the_end(
    service: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    ended: list[Claim] = []

    def judge(_: Judge, claim: Claim) -> Verdict:
        begun.set()
        go.wait(WITHIN_S)
        ended.append(claim)
        return Verdict(claim.job_id, True, "")

    monkeypatch.setattr(Judge, "judge", judge)
    claim = Claim("one", "a@x/1", 0, None)
    task = asyncio.create_task(service._judge_all())
    service._note(claim)
    assert await asyncio.to_thread(begun.wait, WITHIN_S)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, go.set)
    await asyncio.gather(task, return_exceptions=True)
    assert (ended, task.cancelled()) == ([claim], True)


async def test_outputs_are_judged_though_those_of_an_earlier_run_cannot_be_read(
    service: StorageService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    queue.submit([new_job("one")], 0)
    assert queue.hand_out("a@x/1", 0, extends=False)
    intake = tmp_path / "storage" / "intake" / "storage-1"
    intake.rmdir()
    async with running(service._judge_all()) as task:
        await lasts_until(task, lambda: "cannot be read" in caplog.text)
        intake.mkdir()
        Shelf(tmp_path / "chirp", tmp_path / "storage", "storage-1").open_folder("one", "a@x/1")
        (tmp_path / "chirp" / "one" / "one.tgz").write_bytes(pack({"stdout": b"x"}))
        service._note(Claim("one", "a@x/1", 0, None))
        await lasts_until(task, lambda: queue.counts()[JobState.DONE])
    queue.close()


async def test_a_claim_that_could_not_be_taken_is_taken_later_and_judged_once(
    service: StorageService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "AGAIN_S", 0.01)
    judged: list[str] = []
    full = True

    def judge(_: Judge, claim: Claim) -> Verdict:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        judged.append(claim.job_id)
        return Verdict(claim.job_id, True, "")

    monkeypatch.setattr(Judge, "judge", judge)
    async with running(service._judge_all()) as task:
        for job_id in ("one", "two"):
            service._note(Claim(job_id, "a@x/1", 0, None))
        await lasts_until(task, lambda: len(service._not_taken) == 2)
        full = False
        await lasts_until(task, lambda: len(judged) == 2)
        service._note(Claim("three", "a@x/1", 0, None))
        await lasts_until(task, lambda: len(judged) == 3)
    assert sorted(judged) == ["one", "three", "two"]
    assert "no space left on the disk; it and all others are kept" in caplog.text


async def test_an_output_that_was_taken_is_not_asked_for_again(
    service: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "AGAIN_S", 0.01)
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    queue.submit([new_job("one")], 0)
    assert queue.hand_out("a@x/1", 0, extends=False)
    service._shelf.open_folder("one", "a@x/1")
    (tmp_path / "chirp" / "one" / "one.tgz").write_bytes(pack({"stdout": b"x"}))
    tries: list[Parcel] = []
    begin = Parcel.begin

    def full_three_times(parcel: Parcel) -> None:
        tries.append(parcel)
        if len(tries) <= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        begin(parcel)

    monkeypatch.setattr(Parcel, "begin", full_three_times)
    async with running(service._judge_all()) as task:
        service._note(Claim("one", "a@x/1", 0, None))
        await lasts_until(task, lambda: queue.counts()[JobState.DONE])
        await lasts_until(task, service._shelf.is_clear)
    assert (len(tries), list(service._not_taken)) == (4, [])
    assert [event.what for event in queue.history("one")] == ["submitted", "handed out", "done"]
    queue.close()


async def test_what_an_agent_says_twice_is_judged_once(
    service: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Claim] = []

    def judge(_: Judge, claim: Claim) -> Verdict:
        judged.append(claim)
        return Verdict(claim.job_id, False, "no output was uploaded")

    monkeypatch.setattr(Judge, "judge", judge)
    one, two = Claim("one", "a@x/1", 0, None), Claim("two", "a@x/1", 0, None)
    for claim in (one, one, two, one):
        service._note(claim)
    async with running(service._judge_all()) as task:
        await lasts_until(task, lambda: len(judged) == 2)
        await lasts_until(task, lambda: not service._waiting)
        service._note(one)
        await lasts_until(task, lambda: len(judged) == 3)
    assert judged == [one, two, one]


@pytest.mark.parametrize("output", [True, False])
async def test_what_was_handed_in_before_a_kill_and_not_begun_with_is_judged_at_the_next_start(
    tmp_path: Path, output: bool
) -> None:
    (tmp_path / "chirp").mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    queue.submit([new_job("one", output=output)], 0)
    assert queue.hand_out("a@x/1", 0, extends=False)
    first = StorageService(Config(tmp_path / "config.toml"))
    if output:
        first._shelf.open_folder("one", "a@x/1")
        (tmp_path / "chirp" / "one" / "one.tgz").write_bytes(pack({"stdout": b"x"}))
    first._note(Claim("one", "a@x/1", 0, None))
    first.close()
    again = StorageService(Config(tmp_path / "config.toml"))
    claims = tmp_path / "storage" / "claims" / "storage-1"
    async with running(again._judge_all()) as task:
        await lasts_until(task, lambda: queue.counts()[JobState.DONE])
        await lasts_until(task, lambda: not list(claims.iterdir()))
    again.close()
    queue.close()


async def test_a_claim_whose_output_was_taken_is_not_judged_once_more(
    service: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    queue.submit([new_job("one")], 0)
    claims = tmp_path / "storage" / "claims" / "storage-1"
    service._notes.note(Claim("one", "a@x/1", 0, None))
    (claims / "rubbish").write_text("{}")
    service._take_up_claims()
    assert (list(claims.iterdir()), service._claims.empty()) == ([], True)
    queue.close()
