"""The tray icon: state at a glance, and the same commands as in the window."""

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from client.clock import Clock
from client.commands import Command, Quit
from client.snapshot import ClientSnapshot
from ui.icons import mood_icon
from ui.tray_host import TrayHost
from ui.view_models import PROGRAM_NAME, Mood, actions, headline, pause_choices, tooltip

WORK_GOES_ON = "The work goes on. Click the cloud to see the window again, or quit from its menu."


class Tray(QObject):
    """An icon by mood, a tooltip with the reason, a menu made anew each time it opens.

    Signals:
        asked: a `Command`.
        open_asked: the window is wanted.
        presence_changed: whether an icon can be seen.
    """

    asked = Signal(object)
    open_asked = Signal()
    presence_changed = Signal(bool)

    def __init__(self, clock: Clock, host: TrayHost, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clock = clock
        self._host = host
        self._snapshot: ClientSnapshot | None = None
        self._icons: dict[Mood, QIcon] = {}
        self._shown: tuple[Mood, str] | None = None
        self._menu = QMenu()
        self._menu.aboutToShow.connect(self.fill_menu)
        self.icon: QSystemTrayIcon | None = None
        host.changed.connect(self._on_host_change)

    @property
    def is_present(self) -> bool:
        """Whether an icon can be seen."""
        return self.icon is not None

    def _on_host_change(self, present: bool) -> None:
        """Make the icon anew: one made for an earlier host never appears in a later one."""
        if self.icon is not None:
            self.icon.hide()
            self.icon.deleteLater()
            self.icon = None
        if present:
            self.icon = QSystemTrayIcon(self)
            self.icon.setContextMenu(self._menu)
            self.icon.activated.connect(self._on_activated)
            self.icon.messageClicked.connect(self.open_asked)
            self._shown = None
            self._draw()
            # Some hosts read the menu's layout before it is opened for the first time.
            self.fill_menu()
            self.icon.show()
        self.presence_changed.emit(present)

    def _on_activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick):
            self.open_asked.emit()

    def show_snapshot(self, snapshot: ClientSnapshot) -> None:
        """Take the newest snapshot."""
        before, self._snapshot = self._snapshot, snapshot
        self._draw()
        if before is None or (before.allowed, before.activity) != (snapshot.allowed, snapshot.activity):
            # A menu that stays open, or that the host has copied, must not offer what cannot be done.
            self.fill_menu()

    def _draw(self) -> None:
        if self.icon is None:
            return
        said = Mood.PREPARING, PROGRAM_NAME
        if self._snapshot is not None:
            said = headline(self._snapshot).mood, tooltip(self._snapshot)
        if self._shown is None or said[0] is not self._shown[0]:
            self.icon.setIcon(self._icon(said[0]))
        if self._shown is None or said[1] != self._shown[1]:
            self.icon.setToolTip(said[1])
        self._shown = said

    def _icon(self, mood: Mood) -> QIcon:
        if mood not in self._icons:
            self._icons[mood] = mood_icon(mood)
        return self._icons[mood]

    def notify(self, title: str, text: str, *, urgent: bool = False) -> None:
        """Show a message beside the icon; without an icon there is none."""
        if self.icon is not None:
            kind = QSystemTrayIcon.MessageIcon.Warning if urgent else QSystemTrayIcon.MessageIcon.Information
            self.icon.showMessage(title, text, kind)

    def fill_menu(self) -> None:
        """Fill the menu from the newest snapshot."""
        self._menu.clear()
        self._entry(f"&Open {PROGRAM_NAME}").triggered.connect(self.open_asked)
        self._menu.addSeparator()
        if self._snapshot is not None:
            self._fill_actions(self._snapshot)
        self._menu.addSeparator()
        self._command("Save the work and &quit", True, Quit())

    def _fill_actions(self, snapshot: ClientSnapshot) -> None:
        start, hold, finish, stop = actions(snapshot)
        for action in (start, hold):
            if action.enabled:
                self._command(action.label, True, action.command)
        for label, command in pause_choices(self._clock.now())[:2]:
            self._command(label, snapshot.allowed.pause, command)
        for action in (finish, stop):
            self._command(action.label, action.enabled, action.command)

    def _entry(self, label: str) -> QAction:
        action = QAction(label, self._menu)
        self._menu.addAction(action)
        return action

    def _command(self, label: str, enabled: bool, command: Command) -> None:
        entry = self._entry(label)
        entry.setEnabled(enabled)
        entry.triggered.connect(lambda: self.asked.emit(command))

    def take_away(self) -> None:
        """Remove the icon; for the end of the program."""
        if self.icon is not None:
            self.icon.hide()
        self._menu.clear()
