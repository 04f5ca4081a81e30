"""The tray: an icon for each host that comes, the same commands as in the window, never a lie."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu, QSystemTrayIcon
from pytestqt.qtbot import QtBot

from client.clock import SystemClock
from client.commands import Command, Finish, Pause, Quit, Resume, Start, Stop
from client.snapshot import Activity, ClientSnapshot
from tests.unit.ui import samples
from tests.unit.ui.conftest import OFFSCREEN_LACKS
from ui.tray import Tray

pytestmark = pytest.mark.qt_log_ignore(*OFFSCREEN_LACKS)


class FakeHost(QObject):
    """A desktop whose tray comes and goes as the test says."""

    changed = Signal(bool)

    def start(self) -> None:
        self.changed.emit(True)


@pytest.fixture
def host(qtbot: QtBot) -> FakeHost:
    return FakeHost()


@pytest.fixture
def tray(host: FakeHost) -> Tray:
    tray = Tray(SystemClock(), host)  # type: ignore[arg-type]
    host.changed.emit(True)
    return tray


def entries(tray: Tray) -> dict[str, bool]:
    assert tray.icon is not None
    menu = tray.icon.contextMenu()
    assert isinstance(menu, QMenu)
    menu.aboutToShow.emit()
    return {action.text().replace("&", ""): action.isEnabled() for action in menu.actions() if action.text()}


def trigger(tray: Tray, label: str) -> list[Command]:
    asked: list[Command] = []
    tray.asked.connect(asked.append)
    assert tray.icon is not None
    for action in tray.icon.contextMenu().actions():
        if action.text().replace("&", "") == label:
            action.trigger()
            break
    return asked


def test_working(tray: Tray) -> None:
    tray.show_snapshot(samples.WORKING)
    assert entries(tray) == {
        "Open Volunteer Cloud": True,
        "Pause": True,
        "Pause for 15 minutes": True,
        "Pause for 1 hour": True,
        "Finish after this job": True,
        "Stop": True,
        "Save the work and quit": True,
    }


def test_stopped_and_paused_offer_the_way_on(tray: Tray) -> None:
    tray.show_snapshot(samples.STOPPED)
    assert entries(tray)["Start"]
    assert not entries(tray)["Stop"]
    tray.show_snapshot(samples.PAUSED)
    assert entries(tray)["Resume"]
    assert "Start" not in entries(tray)


@pytest.mark.parametrize(
    ("snapshot", "label", "command"),
    [
        (samples.STOPPED, "Start", Start()),
        (samples.WORKING, "Pause", Pause()),
        (samples.PAUSED, "Resume", Resume()),
        (samples.WORKING, "Finish after this job", Finish()),
        (samples.FINISHING, "Keep working", Finish(undo=True)),
        (samples.WORKING, "Stop", Stop()),
        (samples.WORKING, "Save the work and quit", Quit()),
    ],
)
def test_entries_ask(tray: Tray, snapshot: ClientSnapshot, label: str, command: Command) -> None:
    tray.show_snapshot(snapshot)
    assert trigger(tray, label) == [command]


def test_a_menu_that_stays_open_does_not_lie(tray: Tray) -> None:
    tray.show_snapshot(samples.WORKING)
    assert tray.icon is not None
    labels = {action.text() for action in tray.icon.contextMenu().actions()}
    tray.show_snapshot(samples.PAUSED)
    assert {action.text() for action in tray.icon.contextMenu().actions()} != labels


def test_icon_and_tooltip_follow_the_state(tray: Tray) -> None:
    assert tray.icon is not None
    keys = set()
    for activity in (Activity.WORKING, Activity.PAUSED, Activity.STOPPED, Activity.BLOCKED, Activity.BOOTING):
        tray.show_snapshot(replace(samples.BASE, activity=activity, headline=f"It is {activity}"))
        keys.add(tray.icon.icon().cacheKey())
        assert tray.icon.toolTip().splitlines() == ["Volunteer Cloud", f"It is {activity}"]
    assert len(keys) == 5


def test_each_host_gets_a_new_icon(tray: Tray, host: FakeHost) -> None:
    tray.show_snapshot(samples.WORKING)
    first = tray.icon
    host.changed.emit(False)
    assert not tray.is_present
    tray.show_snapshot(samples.PAUSED)
    host.changed.emit(True)
    assert tray.icon is not None
    assert tray.icon is not first
    assert "Paused" in tray.icon.toolTip()
    assert entries(tray)["Resume"]


def test_click_opens_the_window(qtbot: QtBot, tray: Tray) -> None:
    assert tray.icon is not None
    with qtbot.waitSignal(tray.open_asked):
        tray.icon.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)
    with qtbot.assertNotEmitted(tray.open_asked):
        tray.icon.activated.emit(QSystemTrayIcon.ActivationReason.Context)


def test_without_a_host_nothing_breaks(host: FakeHost) -> None:
    tray = Tray(SystemClock(), host)  # type: ignore[arg-type]
    tray.show_snapshot(samples.WORKING)
    tray.notify("a", "b")
    tray.take_away()
    assert not tray.is_present
