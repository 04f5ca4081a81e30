"""What is shown of transfers, and what holds them; workers are played."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from client.appliance.errors import DownloadFailed
from client.appliance.target import Target
from client.appliance.transfers import BY_USER, METERED, Transfers
from client.appliance.worker import OnProgress, Steering
from client.snapshot import TransferView

ONE, TWO = Target("a", 100, "1" * 64), Target("b", 300, "2" * 64)


class PlayedWorker:
    """Says what it is told to say, then waits until it may end."""

    def __init__(self, *said: Mapping[str, Any]) -> None:
        self.said = said
        self.orders: list[Mapping[str, Any]] = []
        self.heard: dict[str, Any] = {}
        self.may_end = asyncio.Event()
        self.speaks = asyncio.Event()

    async def __call__(
        self, kind: str, order: Mapping[str, Any], *, on_progress: OnProgress = print, steer: Steering | None = None
    ) -> Mapping[str, Any]:
        self.orders.append(order)
        for one in self.said:
            on_progress(one)
        self.speaks.set()
        assert steer is not None
        while not self.may_end.is_set():
            steering = asyncio.ensure_future(steer.changes())
            ending = asyncio.ensure_future(self.may_end.wait())
            await asyncio.wait((steering, ending), return_when=asyncio.FIRST_COMPLETED)
            if steering.done():
                self.heard |= steering.result()
            for task in (steering, ending):
                task.cancel()
        return {"done": kind}


async def test_another_limit_holds_for_what_is_under_way_and_what_comes() -> None:
    worker = PlayedWorker()
    transfers = Transfers(5000, is_held=False, run=worker)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(transfers.work("files", {}, lambda view: None))
        await worker.speaks.wait()
        transfers.limit(3000)
        while worker.heard.get("limit_bytes_per_s") != 3000:
            await asyncio.sleep(0)
        worker.may_end.set()
    await transfers.work("files", {}, lambda view: None)
    assert worker.orders[-1]["limit_bytes_per_s"] == 3000


async def test_files_one_after_the_other_are_one_bar() -> None:
    worker = PlayedWorker(
        {"file": ONE.sha256},
        {"step": "downloading", "done_bytes": 50, "rate_bytes_per_s": 10.0},
        {"file": TWO.sha256},
        {"step": "checking", "done_bytes": 100, "rate_bytes_per_s": 0.0},
        {"step": "patching", "done_bytes": 300},
    )
    worker.may_end.set()
    shown: list[TransferView | None] = []
    assert await Transfers(5000, is_held=False, run=worker).work("files", {}, shown.append, (ONE, TWO)) == {
        "done": "files"
    }
    views = [view for view in shown if view is not None]
    assert [(view.step, view.done_bytes, view.total_bytes) for view in views] == [
        ("downloading", 50, 400),
        ("verifying", 200, 400),
        ("unpacking", 400, 400),
    ]
    assert views[0].seconds_left == 35.0
    assert shown[-1] is None
    assert worker.orders[0]["limit_bytes_per_s"] == 5000


async def test_holds_add_up_and_reach_workers_that_begin_later() -> None:
    worker, shown = PlayedWorker(), list[TransferView | None]()
    transfers = Transfers(None, is_held=True, run=worker)
    assert transfers.held is not None and transfers.held.code == BY_USER
    work = asyncio.create_task(transfers.work("files", {}, shown.append, (ONE,)))
    async with asyncio.timeout(10):
        while worker.heard.get("hold") is not True:
            await asyncio.sleep(0)
        assert shown and shown[0] is not None and shown[0].held is not None
        transfers.hold(METERED)
        transfers.go_on(BY_USER)
        assert transfers.held.code == METERED
        transfers.go_on(METERED)
        assert transfers.held is None
        while worker.heard.get("hold") is not False:
            await asyncio.sleep(0)
        last = shown[-1]
        assert last is not None and last.held is None
        worker.may_end.set()
        await work


async def test_silence_of_all_servers_is_told_until_one_gives_something() -> None:
    bar = {"step": "downloading", "done_bytes": 50, "rate_bytes_per_s": 10.0}
    worker = PlayedWorker({"file": ONE.sha256}, bar, {"step": "waiting", "said": "Connection refused"}, bar)
    worker.may_end.set()
    shown: list[TransferView | None] = []
    await Transfers(None, is_held=False, run=worker).work("files", {}, shown.append, (ONE,))
    before, silent, after, _ = shown
    assert before is not None
    assert silent is not None
    assert silent.held is not None
    assert (silent.held.code, silent.done_bytes, silent.rate_bytes_per_s) == ("no-server-answers", 50, 0.0)
    assert silent.held.text == "No server gives it now (Connection refused); trying again."
    assert after == before


async def test_who_holds_it_is_told_before_silence() -> None:
    worker = PlayedWorker({"file": ONE.sha256}, {"step": "waiting", "said": "Connection refused"})
    worker.may_end.set()
    shown: list[TransferView | None] = []
    await Transfers(None, is_held=True, run=worker).work("files", {}, shown.append, (ONE,))
    assert {view.held.code for view in shown if view is not None and view.held is not None} == {BY_USER}


async def test_what_fails_is_shown_no_more() -> None:
    async def fail(kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        raise DownloadFailed("https://x", "down")

    shown: list[TransferView | None] = []
    transfers = Transfers(None, is_held=False, run=fail)
    with pytest.raises(DownloadFailed):
        await transfers.work("files", {}, shown.append, (ONE,))
    assert shown == [None]
    transfers.hold(BY_USER)
    assert shown == [None], "nothing is shown for work that is over"
