"""Window, tray and core together: start, closing, the end in order, and that nothing ever runs unseen."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from client.clock import SystemClock
from client.commands import Command, Quit, Start, Stop
from client.snapshot import Activity, ClientSnapshot, VmState
from tests.unit.ui import samples
from tests.unit.ui.conftest import OFFSCREEN_LACKS
from ui import application
from ui.application import Application
from ui.bridge import CoreMain, CorePort
from ui.report import Report
from ui.ui_time import UiTime

TOP = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.qt_log_ignore(*OFFSCREEN_LACKS)


class FakeHost(QObject):
    """A desktop with or without a tray."""

    changed = Signal(bool)

    def __init__(self, *, present: bool) -> None:
        super().__init__()
        self.present = present

    def start(self) -> None:
        if self.present:
            self.changed.emit(True)


class FakeCore:
    """Publishes what it is given, records what it is asked, ends at Quit."""

    def __init__(self, *snapshots: ClientSnapshot) -> None:
        self.snapshots = snapshots
        self.asked: list[Command] = []
        self.may_end = True

    async def __call__(self, port: CorePort) -> None:
        for snapshot in self.snapshots:
            port.publish(snapshot)
        while not self.asked or not isinstance(self.asked[-1], Quit):
            self.asked.append(await port.next_command())
        if not self.may_end:
            await asyncio.Event().wait()


class Ended(QObject):
    """Records the program's exit code."""

    ended = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[int] = []
        self.ended.connect(self.codes.append)


Build = Callable[..., Application]


@pytest.fixture
def ended(qtbot: QtBot) -> Ended:
    return Ended()


@pytest.fixture
def build(qtbot: QtBot, ended: Ended) -> Iterator[Build]:
    built: list[Application] = []

    def make(core: CoreMain, *, tray: bool = True) -> Application:
        host = FakeHost(present=tray)
        face = Application(core, clock=SystemClock(), tray_host=host, quit_program=ended.ended.emit)  # type: ignore[arg-type]
        host.setParent(face)
        built.append(face)
        return face

    yield make
    for face in built:
        face.core.cancel()
        assert face.core.join(5.0)
        if face.window is not None:
            face.window.may_close = True
            face.window.close()
            face.window.deleteLater()


def test_snapshots_reach_window_and_tray_and_commands_the_core(qtbot: QtBot, build: Build, ended: Ended) -> None:
    core = FakeCore(samples.WORKING)
    face = build(core)
    with qtbot.waitSignal(face.core.snapshot_changed):
        face.start()
    qtbot.waitUntil(lambda: face.window is not None and face.window.is_built)
    assert face.window is not None
    assert face.window.page.headline.headline.text() == samples.WORKING.headline
    assert face.tray.icon is not None
    assert samples.WORKING.headline in face.tray.icon.toolTip()
    with qtbot.waitSignal(ended.ended):
        face.window.page.headline.buttons.press("stop")
        face.window.asked.emit(Quit())
    assert core.asked == [Stop(), Quit()]
    assert ended.codes == [0]


class HeldClock(SystemClock):
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at


def test_numbers_move_once_a_second_and_what_matters_at_once(
    qtbot: QtBot, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "CALM_INTERVAL_S", 0.05)
    face = build(FakeCore())
    face._clock = HeldClock()
    face.start(minimized=True)
    assert face.tray.icon is not None
    face.on_snapshot(samples.WORKING)
    face.on_snapshot(replace(samples.WORKING, headline="Working: 121 of 500 events"))
    face.on_snapshot(replace(samples.WORKING, headline="Working: 122 of 500 events"))
    assert "120 of" in face.tray.icon.toolTip()
    qtbot.waitUntil(lambda: face.tray.icon is not None and "122 of" in face.tray.icon.toolTip())
    face.on_snapshot(samples.PAUSED)
    assert "Paused" in face.tray.icon.toolTip()


def test_quit_says_that_it_saves_and_offers_nothing_more(qtbot: QtBot, build: Build, ended: Ended) -> None:
    core = FakeCore(samples.WORKING)
    core.may_end = False
    face = build(core)
    with qtbot.waitSignal(face.core.snapshot_changed):
        face.start()
    qtbot.waitUntil(lambda: face.window is not None and face.window.is_built)
    assert face.window is not None
    face.send(Quit())
    assert face.window.page.headline.headline.text() == "Saving the work …"
    assert not any(button.isEnabled() for button in face.window.page.headline.buttons.buttons.values())
    assert face.tray.icon is not None
    assert "Saving the work" in face.tray.icon.toolTip()
    face.on_snapshot(samples.WORKING)
    assert face.window.page.headline.headline.text() == "Saving the work …"
    face.send(Start())
    assert ended.codes == []
    qtbot.waitUntil(lambda: core.asked != [])
    with qtbot.waitSignal(ended.ended):
        face.hurry()
    assert core.asked == [Quit()]
    assert not face.window.isVisible()


def test_a_signal_ends_and_a_second_quit_changes_nothing(qtbot: QtBot, build: Build, ended: Ended) -> None:
    core = FakeCore(samples.WORKING)
    face = build(core)
    face.start()
    with qtbot.waitSignal(ended.ended):
        face.hurry()
        face.begin_quit()
    assert core.asked == [Quit()]
    assert ended.codes == [0]


def test_a_core_that_does_not_save_in_time_is_cancelled(
    qtbot: QtBot, build: Build, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "SAVE_LIMIT_S", 0.01)
    core = FakeCore(samples.WORKING)
    core.may_end = False
    face = build(core)
    face.start()
    with qtbot.waitSignal(ended.ended):
        face.begin_quit()
    assert ended.codes == [0]


def test_a_save_that_makes_progress_is_waited_for(qtbot: QtBot, build: Build, ended: Ended) -> None:
    core = FakeCore(samples.WORKING)
    core.may_end = False
    face = build(core)
    face.start()
    face.begin_quit()
    (vm, *_) = samples.WORKING.vms
    waits = []
    for note in ("100 MB", "100 MB", "200 MB"):
        face._limit.stop()
        saving = replace(vm, state=VmState.SAVING, note=note)
        face.on_snapshot(replace(samples.WORKING, vms=(saving,)))
        waits.append(face._limit.isActive())
    assert waits == [True, False, True]
    with qtbot.waitSignal(ended.ended):
        face.hurry()


@pytest.mark.parametrize("signals", [1, 3])
def test_a_core_that_cannot_even_be_cancelled_is_left_behind(
    qtbot: QtBot, build: Build, ended: Ended, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    """One signal and both limits pass; or three signals and no limit does."""
    monkeypatch.setattr(application, "SAVE_LIMIT_S", 0.01 if signals == 1 else 1e4)
    monkeypatch.setattr(application, "CANCEL_LIMIT_S", 0.01 if signals == 1 else 1e4)
    monkeypatch.setattr(application, "JOIN_LIMIT_S", 0.01)
    free: list[Callable[[], None]] = []

    async def stubborn(port: CorePort) -> None:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()
        free.append(lambda: loop.call_soon_threadsafe(release.set))
        port.publish(samples.WORKING)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    face = build(stubborn)
    with qtbot.waitSignal(face.core.snapshot_changed):
        face.start()
    with qtbot.waitSignal(ended.ended):
        for _ in range(signals):
            face.hurry()
    assert ended.codes == [1]
    free[0]()


def test_a_core_that_never_started_needs_no_waiting(build: Build, ended: Ended) -> None:
    face = build(FakeCore())
    face.hurry()
    assert ended.codes == [0]


def test_core_that_ends_by_itself_ends_the_program(qtbot: QtBot, build: Build, ended: Ended) -> None:
    async def short(port: CorePort) -> None:
        port.publish(samples.STOPPED)

    face = build(short)
    with qtbot.waitSignal(ended.ended):
        face.start()
    assert ended.codes == [0]


def test_core_that_fails_is_shown_and_quit_then_ends_at_once(qtbot: QtBot, build: Build, ended: Ended) -> None:
    async def broken(port: CorePort) -> None:
        port.publish(samples.WORKING)
        raise OSError("no space left")

    face = build(broken)
    with qtbot.waitSignal(face.core.ended):
        face.start(minimized=True)
    qtbot.waitUntil(lambda: face.window is not None and face.window.is_built)
    assert face.window is not None
    assert face.window.isVisible()
    assert face.window.page.headline.headline.text() == "The program's core has stopped"
    (card,) = face.window.page.problems.cards.values()
    assert "no space left" in card.text.text()
    assert ended.codes == []
    face.send(Quit())
    assert ended.codes == [1]


def test_minimized_builds_no_window_until_it_is_wanted(qtbot: QtBot, build: Build) -> None:
    face = build(FakeCore(samples.WORKING))
    with qtbot.waitSignal(face.core.snapshot_changed):
        face.start(minimized=True)
    assert face.window is None
    face.tray.open_asked.emit()
    assert face.window is not None
    assert face.window.isVisible()


def test_never_unseen_without_a_tray(qtbot: QtBot, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "UNREACHABLE_LIMIT_MS", 1)
    face = build(FakeCore(samples.WORKING), tray=False)
    face.start(minimized=True)
    qtbot.waitUntil(lambda: face.window is not None and face.window.isVisible())
    assert face.window is not None
    assert face.window.isMinimized()


def test_a_tray_that_goes_away_gives_the_hidden_window_back(
    qtbot: QtBot, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "UNREACHABLE_LIMIT_MS", 1)
    face = build(FakeCore(samples.WORKING))
    face.start()
    assert face.window is not None
    face.window.close()
    assert not face.window.isVisible()
    face.tray._host.changed.emit(False)
    qtbot.waitUntil(lambda: face.window is not None and face.window.isVisible())
    assert "no tray" in face.window.page.notice.text.text()


class RecordingTray:
    """Stands where `Tray.notify` is."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, title: str, text: str, *, urgent: bool = False) -> None:
        self.told.append(title)


def test_closing_tells_once_that_work_goes_on(qtbot: QtBot, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    face = build(FakeCore(samples.WORKING))
    recorder = RecordingTray()
    monkeypatch.setattr(face.tray, "notify", recorder)
    face.start()
    assert face.window is not None
    face.window.close()
    face.show_window()
    face.window.close()
    assert recorder.told == ["Volunteer Cloud"]


def test_a_grave_problem_is_told_once_when_nobody_looks(
    qtbot: QtBot, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = build(FakeCore())
    recorder = RecordingTray()
    monkeypatch.setattr(face.tray, "notify", recorder)
    face.start(minimized=True)
    face.on_snapshot(samples.BLOCKED)
    face.on_snapshot(replace(samples.BLOCKED, seq=9))
    assert recorder.told == [samples.NO_QEMU.text]
    face.on_snapshot(samples.WORKING)
    face.on_snapshot(samples.BLOCKED)
    assert len(recorder.told) == 2


def test_session_end_waits_until_the_work_is_saved(qtbot: QtBot, build: Build) -> None:
    core = FakeCore(samples.WORKING)
    face = build(core)
    face.start()
    face.on_session_end()
    assert core.asked == [Quit()]
    assert not face.core.is_running


def test_the_core_brings_the_window_to_the_front(qtbot: QtBot, build: Build) -> None:
    async def main(port: CorePort) -> None:
        port.show_window()
        await FakeCore()(port)

    face = build(main)
    with qtbot.waitSignal(face.core.window_asked):
        face.start(minimized=True)
    assert face.window is not None
    assert face.window.isVisible()


def test_report_says_where_the_buttons_are(qtbot: QtBot, build: Build, tmp_path: Path) -> None:
    face = build(FakeCore(samples.WORKING))
    meter = UiTime(face)
    face.report = Report(tmp_path / "report.json", meter, face.tray, face)
    meter.start()
    with qtbot.waitSignal(face.core.snapshot_changed):
        face.start()
    qtbot.waitUntil(lambda: (tmp_path / "report.json").exists())
    face.report.write()
    said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert said["widgets"]["start"]["enabled"] is False
    assert said["widgets"]["pause"]["enabled"] is True
    assert said["widgets"]["headline"]["text"] == samples.WORKING.headline
    left, top, width, height = said["widgets"]["pause"]["box"]
    assert min(width, height) > 20
    assert left >= said["window"][0]
    assert top >= said["window"][1]
    assert said["longest_call_ms"] > 0
    assert samples.WORKING.headline in said["tray"]["tooltip"]
    assert face.window is not None
    face.window.close()
    assert face.report.build()["window"] is None


def test_every_activity_has_a_face(qtbot: QtBot, build: Build) -> None:
    face = build(FakeCore())
    face.start(minimized=True)
    for activity in Activity:
        face.on_snapshot(replace(samples.BASE, activity=activity))
    assert face.tray.icon is not None


def test_beside_the_tray_alone_nothing_is_loaded_that_is_only_for_later() -> None:
    """Each of these would take 2 to 5 MB of a client that may never want it."""
    later = {"ui.main_window", "ui.pages.home", "ui.pages.disk_space", "ui.store_view"}
    later |= {"pycdlib", "client.appliance.agent", "requests", "tuf", "slixmpp"}
    code = f"import sys, ui.launch, client.hypervisor.qemu.driver; print(*({later} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.split() == []
