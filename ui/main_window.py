"""The window: the home page, its keys, and what closing means."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QSettings, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence, QShowEvent
from PySide6.QtWidgets import QFileDialog, QMainWindow, QMenu, QWidget

from client.clock import Clock
from client.commands import Attach, Quit
from client.snapshot import ClientSnapshot
from ui.icons import Emblem, program_icon
from ui.pages.home import HomePage
from ui.placement import cut, moved_into
from ui.trace import Trace
from ui.view_models import CHOOSE_PROJECT, NO_TRAY_TEXT, PROGRAM_NAME, home_view, lacks_project, pause_choices
from ui.widgets.button import Button

if TYPE_CHECKING:
    from ui.pages.disk_space import DiskSpacePage
    from ui.pages.own_vms import OwnVmsPage

_LEAST = (480, 560)
_USUAL = (1000, 800)
_GEOMETRY = "window/geometry"
_FILLS_SCREEN = Qt.WindowState.WindowMaximized | Qt.WindowState.WindowFullScreen


class MainWindow(QMainWindow):
    """Draws the newest snapshot while it is visible; asks for commands.

    Args:
        trace: the last minutes for the charts; filled by its owner, also while the window is hidden.
        settings: where the window's place is kept; None keeps nothing.

    Signals:
        asked: a `Command`.
        closed_to_tray: the window was closed and hides; the work goes on.
        drawn: the whole window has been built and has shown a snapshot.
    """

    asked = Signal(object)
    closed_to_tray = Signal()
    drawn = Signal()

    def __init__(self, clock: Clock, trace: Trace, settings: QSettings | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._trace = trace
        self._settings = settings
        self._snapshot: ClientSnapshot | None = None
        self._own: OwnVmsPage | None = None
        self._space: DiskSpacePage | None = None
        self._has_tray = True
        self.may_close = False
        self.setWindowTitle(PROGRAM_NAME)
        self.setWindowIcon(program_icon())
        self.page = HomePage()
        self.page.asked.connect(self.asked)
        self.setCentralWidget(self.page)
        self._steps: list[Callable[[], None]] = [*self.page.build_steps(), self._build_keys]
        self._place()
        self.build_next()

    def build_next(self) -> None:
        """Build one more part; the rest follows when the event loop has had its turn."""
        if not self._steps:
            return
        self._steps.pop(0)()
        if self._steps:
            QTimer.singleShot(0, self, self.build_next)
        else:
            self._draw()

    @property
    def is_built(self) -> bool:
        """Whether all parts are there and draw."""
        return not self._steps

    def build_all(self) -> None:
        """Build all parts at once; for tests and pictures."""
        while self._steps:
            self._steps.pop(0)()
        self._draw()

    def _place(self) -> None:
        self._fit(QSize(*_USUAL))
        kept = self._settings.value(_GEOMETRY) if self._settings is not None else None
        if isinstance(kept, QByteArray) and self.restoreGeometry(kept):
            # Kept on another screen, or at another scale, it may be too large for this one.
            self._fit(self.size())
            if not self.windowState() & _FILLS_SCREEN:
                self.setGeometry(moved_into(self.geometry(), self.screen().availableGeometry()))

    def _fit(self, size: QSize) -> None:
        """Take this size as far as the screen allows it; what does not fit is scrolled."""
        available = self.screen().availableGeometry()
        self.setMinimumSize(cut(QSize(*_LEAST), available))
        if not self.windowState() & _FILLS_SCREEN:
            self.resize(cut(size, available))

    def keep_place(self) -> None:
        """Write the window's place down for the next start."""
        if self._settings is not None:
            self._settings.setValue(_GEOMETRY, self.saveGeometry())
            self._settings.sync()

    def _build_keys(self) -> None:
        row = self.page.headline.buttons
        self.more = Button(emblem=Emblem.MENU)
        self.more.setObjectName("more")
        self.more.setAccessibleName("More")
        self.more.setToolTip("More (F10)")
        self.more.clicked.connect(self.show_menu)
        row.flow.addWidget(self.more)
        QWidget.setTabOrder(row.buttons["stop"], self.more)
        self.page.problems.tab_after = self.more
        # One kind of problem has a button here.
        self.page.problems.help_asked.connect(lambda code, about: self.choose_project())
        # No button looks chosen before the reader has chosen one.
        self.setFocus()
        self._key("Ctrl+Return", lambda: row.press("start"))
        self._key("Ctrl+P", lambda: row.press("pause"))
        self._key("F10", self.show_menu)
        self._key("PgDown", lambda: self.page.scroll_page(1))
        self._key("PgUp", lambda: self.page.scroll_page(-1))
        self._key("Ctrl+W", self.close)
        self._key("Ctrl+Q", lambda: self.asked.emit(Quit()))

    def _key(self, key: str, slot: Callable[[], object]) -> None:
        action = QAction(self)
        action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda: slot())
        self.addAction(action)

    def build_menu(self) -> QMenu:
        """The menu of rarer things, made from the newest snapshot."""
        menu = QMenu(self)
        menu.setAccessibleName("More")
        allowed = self._snapshot.allowed if self._snapshot else None
        for label, command in pause_choices(self._clock.now()):
            entry = menu.addAction(label)
            entry.setEnabled(allowed is not None and allowed.pause)
            entry.triggered.connect(lambda _=False, command=command: self.asked.emit(command))
        menu.addSeparator()
        if self._snapshot is not None and lacks_project(self._snapshot):
            menu.addAction(CHOOSE_PROJECT).triggered.connect(lambda _=False: self.choose_project())
        menu.addAction("My &virtual machines …").triggered.connect(lambda _=False: self.show_own_vms())
        menu.addAction("&Disk space …").triggered.connect(lambda _=False: self.show_disk_space())
        menu.addSeparator()
        menu.addAction("&Copy the log").triggered.connect(self.page.log.view.copy_all)
        menu.addSeparator()
        leave = menu.addAction("Save the work and &quit")
        leave.setShortcut(QKeySequence("Ctrl+Q"))
        leave.triggered.connect(lambda: self.asked.emit(Quit()))
        return menu

    def show_menu(self) -> None:
        """Open the menu under its button."""
        menu = self.build_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def choose_project(self) -> QFileDialog:
        """Ask for a project file, and attach to the one that is chosen."""
        dialog = QFileDialog(self, "The project file that you were sent")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters(["Project files (*.toml)", "All files (*)"])
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda file: self.asked.emit(Attach(file)))
        dialog.open()
        return dialog

    def show_own_vms(self) -> "OwnVmsPage":
        """Open the page of the volunteer's own VMs, building it the first time: most never want it."""
        if self._own is None:
            from ui.pages.own_vms import OwnVmsPage

            self._own = OwnVmsPage(self)
            self._own.asked.connect(self.asked)
        self._bring_up(self._own)
        return self._own

    def show_disk_space(self) -> "DiskSpacePage":
        """Open the page of what is kept on this computer, building it the first time, too."""
        if self._space is None:
            from ui.pages.disk_space import DiskSpacePage

            self._space = DiskSpacePage(self)
            self._space.asked.connect(self.asked)
        self._bring_up(self._space)
        return self._space

    def _bring_up(self, page: "OwnVmsPage | DiskSpacePage") -> None:
        """Show a page that has a window of its own, with what is known now."""
        if self._snapshot is not None:
            page.show_snapshot(self._snapshot)
        page.show()
        page.raise_()

    def show_snapshot(self, snapshot: ClientSnapshot) -> None:
        """Take the newest snapshot; it is drawn at once if the window can be seen, else when it is shown."""
        self._snapshot = snapshot
        for page in (self._own, self._space):
            if page is not None and page.isVisible():
                page.show_snapshot(snapshot)
        if self.isVisible() and not self.isMinimized():
            self._draw()

    def _draw(self) -> None:
        if self._snapshot is None or self._steps:
            return
        self.page.show_view(home_view(self._snapshot), self._trace)
        self.drawn.emit()

    def show_tray_presence(self, *, has_tray: bool) -> None:
        """Say in the window when there is no tray, since closing then means something else."""
        self._has_tray = has_tray
        self.page.show_notice("" if has_tray else NO_TRAY_TEXT)

    def bring_to_front(self) -> None:
        """Show the window above the others, out of the tray or the task bar."""
        if self.isMinimized():
            self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.WindowStateChange and not self.isMinimized():
            self._draw()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing never ends the work: with a tray the window hides, without one it is minimized."""
        self.keep_place()
        if self.may_close:
            event.accept()
            return
        event.ignore()
        if self._has_tray:
            self.hide()
            self.closed_to_tray.emit()
        else:
            self.showMinimized()
