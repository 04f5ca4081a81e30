"""The driver with the session helper: used where it serves, done without at the first sign that it does not."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from client.hypervisor.driver import VmSpec
from client.hypervisor.virtualbox import quick, session
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.session import SessionHelper
from client.hypervisor.virtualbox.shape import Abilities
from client.snapshot import VmState
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.fake_pyvbox import OF_6_1, OF_7, FakePyvbox
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox

TOP = Path(__file__).resolve().parents[4]
#: A program with a helper that hangs, at its end.
HUNG = """
import asyncio, threading
from client.hypervisor.virtualbox.session import SessionHelper
async def main():
    helper = SessionHelper(threading.Event().wait)
    helper.begin()
    await asyncio.sleep(0)
    helper.close()
asyncio.run(main())
print("left")
"""


class Pair:
    """A driver with a helper, and the VirtualBox that both talk to."""

    def __init__(self, folder: Path, box: FakeVirtualBox, spec: VmSpec) -> None:
        self.box = box
        self.pyvbox = FakePyvbox(OF_6_1)
        self.pyvbox.machine.on_become = self._become
        self.pyvbox.machine.progress.on_look = self._look
        self.may_end = threading.Event()
        self.may_end.set()
        self.helper = SessionHelper(self._load)
        installation = Installation(box, "6.1.50", Abilities())
        self.driver = VirtualBoxDriver(folder, clock=FakeClock(), installation=installation, helper=self.helper)
        self._spec = spec
        self._others = self._threads()

    async def started(self) -> None:
        """A VM that runs, and a helper that has made up its mind."""
        await self.driver.define(self._spec)
        await self.driver.start("one")
        while self.helper.why_off == "not proved yet" or self.helper.why_off == "not started":
            await asyncio.sleep(0.01)

    async def thread_ended(self) -> None:
        """Wait until the helper's thread is no more."""
        while self._threads() - self._others:
            await asyncio.sleep(0.01)

    async def state(self) -> VmState:
        return (await self.driver.info("one")).state

    def manage_did(self) -> list[str]:
        """Verbs on the VM that went by VBoxManage."""
        return [words[2] for words in self.box.said("controlvm")]

    def _threads(self) -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name == "virtualbox"}

    def _load(self) -> tuple[Any, Any]:
        return self.pyvbox, self.pyvbox.constants

    def _become(self, word: str) -> None:
        box = self.box.only()
        box.state = {"Saved": "saving"}.get(word, word.lower())
        box.write()

    def _look(self) -> None:
        if len(self.pyvbox.machine.progress._left) == 2:
            self.may_end.wait(10)
            self.end_saving()

    def end_saving(self) -> None:
        """VirtualBox has written the state."""
        box = self.box.only()
        self.box.alive.discard(box.pid)
        box.state, box.pid = "saved", 0
        box.write()


@pytest.fixture
async def pair(tmp_path: Path, box: FakeVirtualBox, spec: VmSpec) -> AsyncIterator[Pair]:
    pair = Pair(tmp_path / "vms", box, spec)
    yield pair
    pair.may_end.set()
    pair.pyvbox.machine.hangs.set()
    await pair.driver.close()


async def test_it_pauses_resumes_and_saves(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_PERCENT_EVERY_S", 0.01)
    await pair.started()
    await pair.driver.pause("one")
    assert await pair.state() is VmState.PAUSED
    await pair.driver.resume("one")
    assert await pair.state() is VmState.RUNNING
    pair.may_end.clear()
    saving = asyncio.create_task(pair.driver.save("one"))
    while (seen := await pair.driver.info("one")).note != "10 % of its state is written.":
        await asyncio.sleep(0.01)
    assert seen.state is VmState.SAVING
    pair.may_end.set()
    await saving
    seen = await pair.driver.info("one")
    assert (seen.state, seen.note) == (VmState.SAVED, "")
    assert pair.manage_did() == []


async def test_nothing_is_loaded_before_a_vm_runs(pair: Pair) -> None:
    assert await pair.driver.list_vms() == ()
    assert pair.helper.why_off == "not started"


async def test_where_the_states_differ_it_is_left_out(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.pyvbox = FakePyvbox(OF_7)
    with caplog.at_level(logging.INFO):
        await pair.started()
        for _ in range(2):
            await pair.driver.pause("one")
            await pair.driver.resume("one")
    assert pair.manage_did() == ["pause", "resume", "pause", "resume"]
    told = [record.getMessage() for record in caplog.records if "pyvbox" in record.getMessage()]
    assert len(told) == 1 and "AbortedSaved, Paused, Running, Stuck" in told[0]


async def test_the_first_disagreement_is_the_last(pair: Pair) -> None:
    await pair.started()
    pair.pyvbox.machine._installed = OF_7
    # It was held all the same.
    await pair.driver.pause("one")
    assert await pair.state() is VmState.PAUSED
    assert "reads the state as Stuck" in pair.helper.why_off
    await pair.driver.resume("one")
    await pair.driver.save("one")
    assert pair.manage_did() == ["pause", "resume", "savestate"]


async def test_one_that_hangs_does_nothing_later(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_VERB_LIMIT_S", 0.05)
    await pair.started()
    pair.pyvbox.machine.hangs.clear()
    await pair.driver.pause("one")
    await pair.driver.resume("one")
    assert pair.manage_did() == ["pause", "resume"]
    pair.pyvbox.machine.hangs.set()
    await pair.thread_ended()
    assert "Paused" not in pair.pyvbox.machine.asked
    assert await pair.state() is VmState.RUNNING


async def test_one_that_dies_within_a_verb(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def die(word: str) -> None:
        pair._become(word)
        raise RuntimeError("the layer below is gone")

    await pair.started()
    pair.pyvbox.machine.on_become = die
    await pair.driver.pause("one")
    assert await pair.state() is VmState.PAUSED
    assert pair.helper.why_off == "ValueError: its thread ended"
    await pair.thread_ended()
    assert [one.exc_type for one in told] == [RuntimeError]
    await pair.driver.resume("one")
    assert pair.manage_did() == ["pause", "resume"]


@pytest.mark.parametrize("goes_on", [True, False])
async def test_saving_of_which_sight_is_lost(pair: Pair, monkeypatch: pytest.MonkeyPatch, goes_on: bool) -> None:
    monkeypatch.setattr(quick, "_LOOK_PAUSE_S", 0.01)
    asked = 0

    def lose() -> None:
        pair.box.only().state = "saving" if goes_on else "running"
        raise OSError("the connection is gone")

    def answer(uuid: str, *words: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 3 and goes_on:
            pair.end_saving()
        return shown(uuid, *words)

    await pair.started()
    shown = pair.box._showvminfo
    monkeypatch.setattr(pair.box, "_showvminfo", answer)
    pair.pyvbox.machine.progress.on_look = lose
    await pair.driver.save("one")
    assert await pair.state() is VmState.SAVED
    assert pair.manage_did() == ([] if goes_on else ["savestate"])
    assert asked >= (3 if goes_on else 1)


async def test_no_verb_waits_for_its_trial(pair: Pair) -> None:
    never = threading.Event()
    pair.helper._load = never.wait  # type: ignore[assignment]
    await pair.driver.define(pair._spec)
    await pair.driver.start("one")
    while pair.helper.why_off == "not started":
        await asyncio.sleep(0.01)
    await pair.driver.pause("one")
    assert pair.helper.why_off == "not proved yet"
    await pair.driver.close()
    assert pair.manage_did() == ["pause"]
    never.set()


def test_one_that_hangs_does_not_keep_the_program() -> None:
    done = subprocess.run([sys.executable, "-c", HUNG], cwd=TOP, capture_output=True, timeout=60, check=True)
    assert done.stdout == b"left\n"
