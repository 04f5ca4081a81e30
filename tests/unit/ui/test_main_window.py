"""The window from snapshots: texts, buttons, keys, closing; and that all of it can be read, reached and named."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, QSettings, Qt, QTimer
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QApplication, QFileDialog, QLabel, QMenu, QWidget
from pytestqt.qtbot import QtBot

from client.clock import SystemClock
from client.commands import Attach, Command, DismissProblem, Finish, Pause, Quit, Resume, Start, Stop
from client.snapshot import ClientSnapshot, JobView, LogLine, Problem, Reason, VmView
from tests.unit.ui import samples
from tests.unit.ui.conftest import OFFSCREEN_LACKS, asked_by
from ui.main_window import MainWindow
from ui.placement import room_in
from ui.trace import Trace
from ui.view_models import CHOOSE_PROJECT

pytestmark = pytest.mark.qt_log_ignore(*OFFSCREEN_LACKS)
Open = Callable[..., MainWindow]


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[Open]:
    windows: list[MainWindow] = []

    def build(snapshot: ClientSnapshot, *, size: tuple[int, int] = (1000, 800)) -> MainWindow:
        window = MainWindow(SystemClock(), samples.filled_trace(snapshot))
        windows.append(window)
        qtbot.addWidget(window)
        window.build_all()
        window.resize(*size)
        window.show_snapshot(snapshot)
        window.show()
        qtbot.waitExposed(window)
        settle()
        return window

    yield build
    for window in windows:
        window.may_close = True


def settle() -> None:
    """Let layouts come to rest: a text changes a size, a size changes a row, a row the page."""
    for _ in range(4):
        QApplication.processEvents()


def visible(window: QWidget, kind: type[QWidget] = QWidget) -> list[QWidget]:
    return [widget for widget in window.findChildren(kind) if widget.isVisible()]


@pytest.mark.parametrize("name", list(samples.ALL))
def test_each_activity_is_drawn(open_window: Open, name: str) -> None:
    snapshot = samples.ALL[name]
    window = open_window(snapshot)
    page = window.page
    assert page.headline.headline.text() == snapshot.headline
    assert page.headline.reason.isVisible() is (snapshot.reason is not None)
    assert len(page.problems.cards) == len(snapshot.problems)
    assert page.preparation.isVisible() is bool(snapshot.transfers or name == "booting")
    assert page.log.view.toPlainText().count("\n") + 1 == max(1, len(snapshot.log))
    enabled = {key: button.isEnabled() for key, button in page.headline.buttons.buttons.items()}
    allowed = snapshot.allowed
    assert enabled == {
        "start": allowed.start,
        "pause": allowed.pause or allowed.resume,
        "finish": allowed.finish,
        "stop": allowed.stop,
    }


def test_one_window_goes_through_all_activities(open_window: Open) -> None:
    window = open_window(samples.STOPPED)
    for snapshot in samples.ALL.values():
        window.show_snapshot(snapshot)
        assert window.page.headline.headline.text() == snapshot.headline
        assert len(window.page.problems.cards) == len(snapshot.problems)


@pytest.mark.parametrize(
    ("snapshot", "button", "command"),
    [
        (samples.STOPPED, "start", Start()),
        (samples.WORKING, "pause", Pause()),
        (samples.PAUSED, "pause", Resume()),
        (samples.WORKING, "finish", Finish()),
        (samples.FINISHING, "finish", Finish(undo=True)),
        (samples.WORKING, "stop", Stop()),
    ],
)
def test_buttons_ask(qtbot: QtBot, open_window: Open, snapshot: ClientSnapshot, button: str, command: Command) -> None:
    window = open_window(snapshot)
    asked = asked_by(window)
    qtbot.mouseClick(window.page.headline.buttons.buttons[button], Qt.MouseButton.LeftButton)
    assert asked == [command]


def test_keys_ask(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.STOPPED)
    asked = asked_by(window)
    qtbot.keyClick(window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
    assert asked == []
    qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)
    assert asked == [Start(), Quit()]


def focused(window: MainWindow) -> str:
    widget = window.focusWidget()
    return "" if widget is None else widget.objectName()


@pytest.mark.parametrize(
    ("before", "pressed", "between", "after", "expected"),
    [
        (samples.WORKING, "stop", samples.STOPPING, samples.STOPPED, "start"),
        (samples.STOPPED, "start", samples.PREPARING, samples.WORKING, "pause"),
        (samples.STOPPED, "start", samples.PREPARING, samples.BLOCKED, "start"),
        (samples.FINISHING, "finish", samples.STOPPING, samples.STOPPED, "start"),
        (samples.WORKING, "pause", samples.PAUSED, samples.WORKING, "pause"),
    ],
)
def test_focus_goes_to_what_can_be_done_next(
    open_window: Open,
    before: ClientSnapshot,
    pressed: str,
    between: ClientSnapshot,
    after: ClientSnapshot,
    expected: str,
) -> None:
    window = open_window(before)
    window.page.headline.buttons.buttons[pressed].setFocus()
    window.show_snapshot(between)
    assert focused(window) in ("", expected)
    window.show_snapshot(after)
    assert focused(window) == expected


def test_focus_that_the_reader_moved_stays(open_window: Open) -> None:
    window = open_window(samples.WORKING)
    window.page.headline.buttons.buttons["stop"].setFocus()
    window.show_snapshot(samples.STOPPING)
    window.more.setFocus()
    window.show_snapshot(samples.STOPPED)
    assert focused(window) == "more"


def test_no_button_takes_a_focus_that_none_had(open_window: Open) -> None:
    window = open_window(samples.WORKING)
    window.show_snapshot(samples.STOPPING)
    window.show_snapshot(samples.STOPPED)
    assert focused(window) == ""


def test_the_page_scrolls_by_key(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.WORKING, size=(480, 560))
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    qtbot.keyClick(window, Qt.Key.Key_PageDown)
    assert window.page.verticalScrollBar().value() == window.page.verticalScrollBar().maximum() > 0
    qtbot.keyClick(window, Qt.Key.Key_PageUp)
    assert window.page.verticalScrollBar().value() < window.page.verticalScrollBar().maximum()


def test_all_can_be_reached_by_the_tab_key(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.BLOCKED)
    names, widget = [], window.nextInFocusChain()
    while widget is not window:
        if widget.isVisible() and widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            names.append(widget.accessibleName())
        widget = widget.nextInFocusChain()
    assert names == ["Start", "More", *["Dismiss this problem"] * 3, "Copy the log", "Log"]


def test_problem_is_dismissed(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.SENDING)
    asked = asked_by(window)
    (card,) = window.page.problems.cards.values()
    qtbot.mouseClick(card.dismiss, Qt.MouseButton.LeftButton)
    assert asked == [DismissProblem("project-unreachable", "project")]
    window.show_snapshot(replace(samples.SENDING, problems=()))
    assert not window.page.problems.cards
    assert not window.page.problems.isVisible()


def test_menu_offers_timed_pauses_and_quit(open_window: Open) -> None:
    window = open_window(samples.WORKING)
    asked = asked_by(window)
    entries = {action.text(): action for action in window.build_menu().actions() if action.text()}
    assert all(action.isEnabled() for action in entries.values())
    entries["Pause for 1 &hour"].trigger()
    entries["Save the work and &quit"].trigger()
    assert isinstance(asked[0], Pause)
    assert asked[0].until is not None
    assert asked[1:] == [Quit()]


def test_menu_opens_by_key(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.WORKING)
    qtbot.keyClick(window, Qt.Key.Key_F10)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    menu.close()


def test_log_grows_at_its_end_and_is_copied_whole(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(replace(samples.WORKING, log=samples.log_lines(200)))
    view = window.page.log.view
    more = (*samples.log_lines(200)[1:], LogLine(samples.NOW, "INFO", "client", "one more"))
    window.show_snapshot(replace(samples.WORKING, log=more))
    lines = view.toPlainText().splitlines()
    assert len(lines) == 200
    assert lines[-1].endswith("client  one more")
    assert view.verticalScrollBar().value() == view.verticalScrollBar().maximum()
    qtbot.mouseClick(window.page.log.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == view.toPlainText()


def test_log_stays_where_the_reader_is(open_window: Open) -> None:
    lines = samples.log_lines(101)
    window = open_window(replace(samples.WORKING, log=lines[:100]))
    window.page.log.view.verticalScrollBar().setValue(0)
    window.show_snapshot(replace(samples.WORKING, log=lines))
    assert window.page.log.view.verticalScrollBar().value() == 0


def test_what_others_say_is_never_markup(open_window: Open) -> None:
    evil = "<b>bold</b><img src='file:///etc/passwd'>"
    window = open_window(replace(samples.WORKING, headline=evil, log=(LogLine(samples.NOW, "INFO", "job", evil),)))
    assert all(label.textFormat() is Qt.TextFormat.PlainText for label in window.findChildren(QLabel))
    assert evil in window.page.log.view.toPlainText()


def test_hidden_window_is_not_drawn_but_up_to_date_when_shown(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.STOPPED)
    window.hide()
    window.show_snapshot(samples.WORKING)
    assert window.page.headline.headline.text() == samples.STOPPED.headline
    window.show()
    assert window.page.headline.headline.text() == samples.WORKING.headline


def test_closing_with_a_tray_hides(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(samples.WORKING)
    window.show_tray_presence(has_tray=True)
    with qtbot.waitSignal(window.closed_to_tray):
        window.close()
    assert not window.isVisible()
    assert not window.page.notice.isVisible()


def test_closing_without_a_tray_minimizes_and_the_window_says_so(open_window: Open) -> None:
    window = open_window(samples.WORKING)
    window.show_tray_presence(has_tray=False)
    assert "minimizes" in window.page.notice.text.text()
    window.close()
    assert window.isVisible()
    assert window.isMinimized()
    window.bring_to_front()
    assert not window.isMinimized()


def test_place_is_kept(qtbot: QtBot, tmp_path: Path) -> None:
    settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
    first = MainWindow(SystemClock(), Trace(), settings)
    qtbot.addWidget(first)
    first.may_close = True
    first.resize(640, 700)
    first.close()
    second = MainWindow(SystemClock(), Trace(), QSettings(settings.fileName(), QSettings.Format.IniFormat))
    qtbot.addWidget(second)
    second.may_close = True
    assert (second.width(), second.height()) == (640, 700)


def test_a_window_larger_than_the_screen_is_cut(qtbot: QtBot, tmp_path: Path) -> None:
    settings = QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)
    available = QGuiApplication.primaryScreen().availableGeometry()
    first = MainWindow(SystemClock(), Trace(), settings)
    qtbot.addWidget(first)
    first.may_close = True
    assert available.width() >= first.width()
    assert available.height() > first.height()
    first.setGeometry(300, -200, 3000, 2000)
    first.close()
    second = MainWindow(SystemClock(), Trace(), settings)
    qtbot.addWidget(second)
    second.may_close = True
    assert room_in(available).contains(second.geometry())


def test_window_is_built_in_steps(qtbot: QtBot) -> None:
    window = MainWindow(SystemClock(), Trace())
    qtbot.addWidget(window)
    window.show_snapshot(samples.WORKING)
    window.show_tray_presence(has_tray=False)
    assert not window.is_built
    with qtbot.waitSignal(window.drawn):
        window.show()
    assert window.page.headline.headline.text() == samples.WORKING.headline
    window.may_close = True


# -- care: names, room for text, directions ---------------------------------------------------------------------


def is_plumbing(widget: QWidget) -> bool:
    return widget.objectName().startswith("qt_") or type(widget) is QWidget


@pytest.mark.parametrize("name", ["working", "blocked", "preparing"])
def test_every_widget_has_a_name(open_window: Open, name: str) -> None:
    window = open_window(samples.ALL[name])
    nameless = [
        widget
        for widget in visible(window)
        if not is_plumbing(widget)
        and not widget.accessibleName()
        and not (isinstance(widget, QLabel) and widget.text())
        and not widget.findChildren(QWidget)
    ]
    assert nameless == []
    assert all(button.accessibleName() for button in visible(window, QAbstractButton))


def long_snapshot(snapshot: ClientSnapshot) -> ClientSnapshot:
    """The snapshot with every sentence 40 % longer."""
    more = samples.lengthened

    def job(view: JobView | None) -> JobView | None:
        return view and replace(view, title=more(view.title), cause=more(view.cause))

    def vm(view: VmView) -> VmView:
        return replace(view, note=more(view.note), boot_step=more(view.boot_step), job=job(view.job))

    def problem(view: Problem) -> Problem:
        return replace(view, text=more(view.text), doing=more(view.doing))

    reason = snapshot.reason and Reason(snapshot.reason.code, more(snapshot.reason.text), snapshot.reason.until)
    return replace(
        snapshot,
        headline=more(snapshot.headline),
        project_text=more(snapshot.project_text),
        reason=reason,
        vms=tuple(vm(view) for view in snapshot.vms),
        problems=tuple(problem(view) for view in snapshot.problems),
    )


def cut_texts(window: QWidget) -> list[str]:
    """Labels and buttons that are smaller than their text."""
    cut = []
    for label in visible(window, QLabel):
        needed = label.heightForWidth(label.width()) if label.wordWrap() else label.sizeHint().height()
        word = max((label.fontMetrics().horizontalAdvance(word) for word in label.text().split()), default=0)
        needed_width = word if label.wordWrap() else label.sizeHint().width()
        if label.height() < needed or label.width() < needed_width:
            cut.append(label.text())
    cut += [button.text() for button in visible(window, QAbstractButton) if button.width() < button.sizeHint().width()]
    return cut


def outside(window: MainWindow) -> list[str]:
    """Labels and buttons that do not lie within the page's width: what would need scrolling sideways."""
    width = window.page.viewport().width()
    found = []
    for widget in [*visible(window.page, QLabel), *visible(window.page, QAbstractButton)]:
        box = QRect(widget.mapTo(window.page.viewport(), widget.rect().topLeft()), widget.size())
        if box.left() < 0 or box.right() >= width:
            found.append(widget.accessibleName() or widget.text())
    return found


@pytest.mark.parametrize("direction", [Qt.LayoutDirection.LeftToRight, Qt.LayoutDirection.RightToLeft])
@pytest.mark.parametrize("size", [(480, 560), (1000, 800), (1600, 1000)])
def test_no_text_is_cut_with_longer_text(
    qapp: QApplication, open_window: Open, direction: Qt.LayoutDirection, size: tuple[int, int]
) -> None:
    qapp.setLayoutDirection(direction)
    window = open_window(samples.STOPPED, size=size)
    for name, snapshot in samples.ALL.items():
        window.show_snapshot(long_snapshot(snapshot))
        settle()
        assert (name, cut_texts(window), outside(window)) == (name, [], [])


@pytest.mark.parametrize("name", ["working", "blocked", "preparing"])
def test_no_text_is_cut_with_text_of_double_size(qapp: QApplication, open_window: Open, name: str) -> None:
    large = QFont(qapp.font())
    large.setPointSizeF(large.pointSizeF() * 2)
    qapp.setFont(large)
    window = open_window(samples.ALL[name], size=(640, 800))
    assert cut_texts(window) == []
    assert outside(window) == []


@pytest.mark.parametrize("size", [(480, 900), (1000, 900)])
def test_the_job_keeps_its_height_when_it_is_held(open_window: Open, size: tuple[int, int]) -> None:
    window = open_window(samples.WORKING, size=size)
    page = window.page
    before = page.job.sizeHint().height(), page.job.progress.y(), page.job.figures.height()
    window.show_snapshot(replace(samples.PAUSED, reason=None))
    settle()
    assert (page.job.sizeHint().height(), page.job.progress.y(), page.job.figures.height()) == before


def test_narrow_is_one_column_and_wide_two(open_window: Open) -> None:
    window = open_window(samples.WORKING, size=(480, 560))
    page = window.page
    assert page.machine.geometry().top() > page.job.geometry().bottom()
    assert page.verticalScrollBar().maximum() > 0
    assert page.horizontalScrollBar().maximum() == 0
    window.resize(1200, 900)
    settle()
    assert page.machine.geometry().left() > page.job.geometry().right()
    assert page.job.geometry().top() == page.machine.geometry().top()


def test_no_timer_runs_in_a_quiet_window(open_window: Open) -> None:
    window = open_window(samples.WORKING)
    assert [timer for timer in window.findChildren(QTimer) if timer.isActive()] == []


def test_colours_come_from_the_palette_alone(open_window: Open) -> None:
    window = open_window(samples.BLOCKED)
    assert [widget for widget in window.findChildren(QWidget) if widget.styleSheet()] == []


def test_a_project_file_can_be_chosen_where_the_window_says_that_there_is_none(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(replace(samples.STOPPED, problems=(replace(samples.NO_QEMU, code="no-project"),)))
    asked = asked_by(window)
    assert CHOOSE_PROJECT in [entry.text() for entry in window.build_menu().actions()]
    (card,) = window.page.problems.cards.values()
    assert card.help.isVisible()
    qtbot.mouseClick(card.help, Qt.MouseButton.LeftButton)
    (dialog,) = window.findChildren(QFileDialog)
    dialog.fileSelected.emit("/home/me/project.toml")
    assert asked == [Attach("/home/me/project.toml")]
    dialog.close()


def test_a_project_file_is_asked_for_only_while_there_is_no_project(open_window: Open) -> None:
    window = open_window(samples.ALL["blocked"])
    assert not any(card.help.isVisible() for card in window.page.problems.cards.values())
    assert CHOOSE_PROJECT not in [entry.text() for entry in window.build_menu().actions()]


def test_no_letter_of_the_menu_is_given_twice(open_window: Open) -> None:
    snapshot = replace(samples.ALL["working"], problems=(replace(samples.NO_QEMU, code="no-project"),))
    texts = [entry.text() for entry in open_window(snapshot).build_menu().actions() if entry.text()]
    letters = [text.partition("&")[2][:1].lower() for text in texts]
    assert all(letters) and len(set(letters)) == len(letters)
