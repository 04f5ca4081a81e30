"""Whether this desktop shows tray icons now: asked once, then watched, for panels come late and go away.

Measured with Qt 6.11 and 6.12 on Linux: `isSystemTrayAvailable` is True as soon as a StatusNotifierWatcher is on the
bus, even when no host draws its items; and an icon made before the watcher came never appears under X11 until it is
made anew. So the host is asked for on the bus, and `changed` tells when the icon must be made anew.
"""

import sys
from typing import TYPE_CHECKING

from PySide6.QtCore import SLOT, QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QSystemTrayIcon

if TYPE_CHECKING:
    from PySide6.QtDBus import QDBusPendingCallWatcher

_WATCHER = "org.kde.StatusNotifierWatcher"
_PATH = "/StatusNotifierWatcher"
_ANSWER_LIMIT_MS = 5000
_RETRY_MS = 5000
_CHECK_MS = 15000


class TrayHost(QObject):
    """Knows whether an icon would be seen.

    Signals:
        changed: whether there is a host; sent only when that changed, or when the host is another one.
    """

    changed = Signal(bool)

    def __init__(self, parent: QObject | None = None, *, watch_bus: bool = sys.platform.startswith("linux")) -> None:
        super().__init__(parent)
        self.is_present = False
        self._bus_watch = _BusWatch(self) if watch_bus else None
        if self._bus_watch is not None:
            self._bus_watch.changed.connect(self._on_bus_change)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)

    def start(self) -> None:
        """Look now and keep looking."""
        if self._bus_watch is not None:
            self._bus_watch.start()
        self.look()

    def look(self) -> None:
        """Find out whether an icon would be seen; also called by the timer."""
        present = QSystemTrayIcon.isSystemTrayAvailable()
        if present and self._bus_watch is not None and self._bus_watch.has_watcher:
            present = self._bus_watch.has_host
        self._timer.start(_CHECK_MS if present else _RETRY_MS)
        if present != self.is_present:
            self.is_present = present
            self.changed.emit(present)

    def _on_bus_change(self) -> None:
        """The watcher came, went or was replaced: an icon registered with the old one is lost."""
        was_present = self.is_present
        self.look()
        if was_present and self.is_present:
            self.changed.emit(True)


class _BusWatch(QObject):
    """Follows the StatusNotifierWatcher on the session bus; nothing here waits for an answer.

    Signals:
        changed: the watcher or its host came, went or was replaced.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.has_watcher = False
        self.has_host = False

    def start(self) -> None:
        """Connect to the session bus, if there is one, and ask."""
        # Imported here: the module costs memory that other platforms need not pay.
        from PySide6.QtDBus import QDBusConnection, QDBusServiceWatcher

        self._bus = QDBusConnection.sessionBus()
        if not self._bus.isConnected():
            return
        mode = QDBusServiceWatcher.WatchModeFlag.WatchForOwnerChange
        self._names = QDBusServiceWatcher(_WATCHER, self._bus, mode, self)
        self._names.serviceOwnerChanged.connect(self._on_owner_change)
        for signal in ("StatusNotifierHostRegistered", "StatusNotifierHostUnregistered"):
            # WORKAROUND PySide6 6.11: the stub and the error text say bytes, only str is taken.
            slot = SLOT("ask()")
            self._bus.connect(_WATCHER, _PATH, _WATCHER, signal, self, slot)  # type: ignore[call-overload]
        self.ask()

    def _on_owner_change(self, _name: str, _old: str, new: str) -> None:
        if new:
            self.ask()
        else:
            self._take(has_watcher=False, has_host=False, replaced=True)

    @Slot()
    def ask(self) -> None:
        """Ask the watcher for its host; the answer comes later."""
        from PySide6.QtDBus import QDBusMessage, QDBusPendingCallWatcher

        question = QDBusMessage.createMethodCall(_WATCHER, _PATH, "org.freedesktop.DBus.Properties", "Get")
        question.setArguments([_WATCHER, "IsStatusNotifierHostRegistered"])
        question.setAutoStartService(False)
        pending = QDBusPendingCallWatcher(self._bus.asyncCall(question, _ANSWER_LIMIT_MS), self)
        pending.finished.connect(self._on_answer)

    def _on_answer(self, pending: "QDBusPendingCallWatcher") -> None:
        failed = pending.isError()
        value = None if failed else pending.reply().arguments()[0]
        pending.deleteLater()
        # PySide hands a variant out as itself or as what is in it, by version.
        has_host = bool(getattr(value, "variant", lambda: value)())
        self._take(has_watcher=not failed, has_host=has_host, replaced=not self.has_watcher)

    def _take(self, *, has_watcher: bool, has_host: bool, replaced: bool) -> None:
        news = replaced or (has_watcher, has_host) != (self.has_watcher, self.has_host)
        self.has_watcher, self.has_host = has_watcher, has_host
        if news:
            self.changed.emit()
