"""The face with a screen: builds window and tray, ties them to the core, and ends in order."""

import logging
import math
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QSettings, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from client.clock import Clock, SystemClock
from client.commands import Command, Quit
from client.snapshot import ClientSnapshot, Problem, Severity, VmState
from ui.bridge import CoreMain, CoreThread
from ui.icons import program_icon
from ui.report import Report
from ui.signal_watch import SignalWatch
from ui.theme import Theme, apply_theme
from ui.trace import Trace
from ui.tray import WORK_GOES_ON, Tray
from ui.tray_host import TrayHost
from ui.ui_time import UiTime
from ui.view_models import PROGRAM_NAME, failed_snapshot, first_snapshot, is_pressing, saving_snapshot

if TYPE_CHECKING:
    from ui.main_window import MainWindow

log = logging.getLogger("ui")

#: Saving a guest's memory to a slow disk takes its time; after this the core is cancelled.
SAVE_LIMIT_S: Final = 90.0
#: How long a cancelled core may take to put its things away.
CANCEL_LIMIT_S: Final = 15.0
#: The thread's last breath, after its coroutine has ended.
JOIN_LIMIT_S: Final = 1.0
#: Numbers that only grow are drawn once a second; what changes in kind is drawn at once.
CALM_INTERVAL_S: Final = 1.0
#: A tray that is late (log-in) or restarts gets this long before the window shows itself instead.
UNREACHABLE_LIMIT_MS: Final = 8000
#: Loaded one after the other when the window is first wanted while the program runs: no stretch of the thread is long.
PARTS_OF_THE_WINDOW: Final = ("ui.widgets.figure_tile", "ui.widgets.job_panel", "ui.pages.home", "ui.main_window")
#: Between two of them the event loop does what else there is to do.
BREATH_MS: Final = 1
DESKTOP_FILE_NAME: Final = "volunteer-cloud"


class Application(QObject):
    """Window, tray and core, tied together.

    The end, in this order:
    1. Somebody asks: menu, Ctrl+Q, tray, SIGINT, SIGTERM, the end of the desktop session. Nothing is asked back.
    2. `Quit` goes to the core; window and tray say "Saving the work …" and offer nothing more.
    3. The core ends, after at most `SAVE_LIMIT_S` in which no state of a virtual machine grew; then it is cancelled and
       gets `CANCEL_LIMIT_S`. A second signal cancels at once, a third leaves without it.
    4. The window's place is written down, the icon taken away, the thread joined, the event loop left.
    If the core ends without having been asked by us (`ctl quit`), 4. follows. If it ends by an error, the window stays
    and says so; Quit then ends at once.
    """

    def __init__(
        self,
        main: CoreMain,
        *,
        clock: Clock | None = None,
        settings: QSettings | None = None,
        tray_host: TrayHost | None = None,
        quit_program: Callable[[int], None] = QApplication.exit,
    ) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self._settings = settings
        self._quit_program = quit_program
        self._snapshot = self._saves = first_snapshot(self._clock.now())
        self._trace = Trace()
        self._waiting: ClientSnapshot | None = None
        self._shown_at = -CALM_INTERVAL_S
        self._quits = False
        self._over = False
        self._failed = False
        self._cancelled = False
        self._told_of_tray = False
        self._told_problems: set[tuple[str, str]] = set()
        self.window: MainWindow | None = None
        self.report: Report | None = None
        self.core = CoreThread(main, self)
        self.core.snapshot_changed.connect(self.on_snapshot)
        self.core.window_asked.connect(self.show_window)
        self.core.ended.connect(self._on_core_ended)
        self._host = tray_host or TrayHost(self)
        self.tray = Tray(self._clock, self._host, self)
        self.tray.asked.connect(self.send)
        self.tray.open_asked.connect(self.show_window)
        self.tray.presence_changed.connect(self._on_tray_presence)
        self._limit = self._single_shot(self._on_limit)
        self._calm = self._single_shot(self._show_waiting)
        self._unreachable = self._single_shot(self._show_minimized)

    def _single_shot(self, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    def start(self, *, minimized: bool = False) -> None:
        """Start the core, look for a tray, show the window unless minimized (then it is not even built)."""
        self.core.start()
        self._host.start()
        if not minimized:
            self.show_window()
        self._mind_reachability()

    # -- what is shown ------------------------------------------------------------------------------------------

    def on_snapshot(self, snapshot: ClientSnapshot) -> None:
        """Hand the newest snapshot to window, tray and charts."""
        self._trace.add(snapshot)
        self._waiting = saving_snapshot(snapshot) if self._quits else snapshot
        if self._quits and not self._cancelled and _saves_on(self._saves, snapshot):
            # A large virtual machine takes its time: only a save that stands still is not waited for.
            self._limit.start(round(SAVE_LIMIT_S * 1000))
        self._saves = snapshot
        wait_s = self._shown_at + CALM_INTERVAL_S - self._clock.monotonic()
        if wait_s <= 0 or is_pressing(self._snapshot, self._waiting):
            self._show(self._waiting)
        elif not self._calm.isActive():
            self._calm.start(math.ceil(wait_s * 1000))

    def _show_waiting(self) -> None:
        if self._waiting is not None:
            self._show(self._waiting)

    def _show(self, snapshot: ClientSnapshot) -> None:
        self._calm.stop()
        self._waiting = None
        self._shown_at = self._clock.monotonic()
        self._snapshot = snapshot
        self.tray.show_snapshot(snapshot)
        if self.window is not None:
            self.window.show_snapshot(snapshot)
        self._tell_problems(snapshot)
        if self.report is not None:
            self.report.plan()

    def _tell_problems(self, snapshot: ClientSnapshot) -> None:
        """A grave problem is told once beside the icon, when nobody sees the window."""
        grave = {(known.code, known.about): known for known in snapshot.problems if known.severity is Severity.ERROR}
        if self.window is None or not self.window.isVisible():
            for key in grave.keys() - self._told_problems:
                self.tray.notify(grave[key].text, grave[key].doing, urgent=True)
        self._told_problems = set(grave)

    def show_window(self) -> None:
        """Show the window, building it the first time."""
        if self._over:
            return
        if self.window is None:
            if _load_next_part():
                QTimer.singleShot(BREATH_MS, self.show_window)
                return
            self.window = self._build_window()
        self.window.bring_to_front()
        self._mind_reachability()

    def _build_window(self) -> "MainWindow":
        window = _window_class()(self._clock, self._trace, self._settings)
        window.asked.connect(self.send)
        window.closed_to_tray.connect(self._on_closed_to_tray)
        window.show_tray_presence(has_tray=self.tray.is_present)
        window.show_snapshot(self._snapshot)
        if self.report is not None:
            self.report.follow(window)
            window.drawn.connect(self.report.plan)
        return window

    def _show_minimized(self) -> None:
        """Never invisible: no icon and no window for too long, so the window goes to the task bar."""
        if self._over or self.tray.is_present or (self.window is not None and self.window.isVisible()):
            return
        if self.window is None:
            self.window = self._build_window()
        self.window.showMinimized()
        if self.report is not None:
            self.report.plan()

    def _mind_reachability(self) -> None:
        reachable = self.tray.is_present or (self.window is not None and self.window.isVisible())
        if reachable:
            self._unreachable.stop()
        elif not self._unreachable.isActive():
            self._unreachable.start(UNREACHABLE_LIMIT_MS)

    def _on_tray_presence(self, present: bool) -> None:
        if self.window is not None:
            self.window.show_tray_presence(has_tray=present)
        self._mind_reachability()

    def _on_closed_to_tray(self) -> None:
        if not self._told_of_tray:
            self._told_of_tray = True
            self.tray.notify(PROGRAM_NAME, WORK_GOES_ON)
        if self.report is not None:
            self.report.plan()

    # -- what is asked ------------------------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Hand a command to the core; `Quit` begins the end."""
        if isinstance(command, Quit):
            self.begin_quit(command)
        elif not self._quits:
            self.core.send(command)

    def begin_quit(self, command: Quit | None = None) -> None:
        """Begin the end; a second time does nothing."""
        if self._quits:
            return
        self._quits = True
        if self._failed or not self.core.is_running:
            self._finish()
            return
        self.core.send(command or Quit())
        self._limit.start(round(SAVE_LIMIT_S * 1000))
        self._show(saving_snapshot(self._waiting or self._snapshot))

    def hurry(self) -> None:
        """A signal came: begin the end; at the second one, do not wait for the work to be saved."""
        if self._quits:
            self._on_limit()
        else:
            self.begin_quit()

    def _on_limit(self) -> None:
        """The core did not end in time, or nobody wants to wait for it: first cancel it, then leave without it."""
        if self._cancelled:
            self._give_up()
            return
        self._cancelled = True
        log.warning("the core is cancelled before it has saved the work")
        self.core.cancel()
        self._limit.start(round(CANCEL_LIMIT_S * 1000))

    def _give_up(self) -> None:
        log.error("the core does not end; the program leaves without it")
        self._failed = True
        self._finish()

    def _on_core_ended(self, problem: Problem | None) -> None:
        self._limit.stop()
        self._failed = problem is not None
        if problem is not None and not self._quits:
            self._show(failed_snapshot(self._waiting or self._snapshot, problem))
            self.show_window()
            return
        self._finish()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        self._unreachable.stop()
        self._calm.stop()
        self.tray.take_away()
        if self.window is not None:
            self.window.keep_place()
            self.window.may_close = True
            self.window.close()
        self.core.join(JOIN_LIMIT_S)
        if self.report is not None:
            self.report.write()
        self._quit_program(1 if self._failed else 0)

    def on_session_end(self) -> None:
        """The desktop session ends and does not wait long: save, and block until that is done or the limit is over."""
        self.begin_quit()
        if not self.core.join(SAVE_LIMIT_S):
            self.core.cancel()
            self.core.join(CANCEL_LIMIT_S)


def _window_class() -> "type[MainWindow]":
    """The window and all that is in it, loaded when one is wanted: beside the tray alone it is 4 MB for nothing."""
    from ui.main_window import MainWindow

    return MainWindow


def _load_next_part() -> bool:
    """Load a part of the window that is not loaded yet; False: there is none."""
    part = next((name for name in PARTS_OF_THE_WINDOW if name not in sys.modules), None)
    if part is not None:
        import_module(part)
    return part is not None


def _saves_on(before: ClientSnapshot, now: ClientSnapshot) -> bool:
    """Whether more of a virtual machine's state has been written, by what is said of it."""
    said = {vm.vm_id: vm.note for vm in before.vms}
    return any(vm.state is VmState.SAVING and vm.note != said.get(vm.vm_id, "") for vm in now.vms)


def run(
    main: CoreMain,
    *,
    minimized: bool = False,
    theme: str = Theme.SYSTEM,
    settings_file: Path | None = None,
    report_file: Path | None = None,
    on_ready: Callable[[Application], None] | None = None,
) -> int:
    """Run the program with window and tray until it is told to quit.

    Args:
        main: the core's coroutine function; it runs in the thread `core` and gets its end of the border.
        minimized: start in the tray; the window is built when it is first wanted.
        theme: `system`, `light` or `dark`.
        settings_file: where the window's place is kept (INI); None keeps nothing.
        report_file: where `ui.report` writes for tests and `make bench`; None measures nothing.
        on_ready: called in the main thread when everything has been started.

    Returns:
        The exit code: 0, or 1 if the core ended by an error or did not end.
    """
    QGuiApplication.setDesktopFileName(DESKTOP_FILE_NAME)
    app = QApplication(sys.argv[:1])
    app.setApplicationName(PROGRAM_NAME)
    app.setApplicationDisplayName(PROGRAM_NAME)
    app.setWindowIcon(program_icon())
    app.setQuitOnLastWindowClosed(False)
    wanted = Theme(theme)
    apply_theme(app, wanted)
    app.styleHints().colorSchemeChanged.connect(lambda: apply_theme(app, wanted))
    settings = QSettings(str(settings_file), QSettings.Format.IniFormat) if settings_file else None
    if not minimized:
        _window_class()
    face = Application(main, settings=settings)
    if report_file is not None:
        meter = UiTime(face)
        face.report = Report(report_file, meter, face.tray, face)
        meter.start()
    app.commitDataRequest.connect(face.on_session_end)
    with SignalWatch(face.hurry):
        face.start(minimized=minimized)
        if on_ready is not None:
            on_ready(face)
        return app.exec()
