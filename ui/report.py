"""What a test of the whole program may know of its window: where the widgets are, and how busy the thread was.

Written to a file only when one is asked for, so that a test can drive the window with mouse and keyboard alone.
"""

import json
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QPoint, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QWidget

from ui.tray import Tray
from ui.ui_time import UiTime

_DELAY_MS = 250


class Report(QObject):
    """Keeps a JSON file up to date: `longest_call_ms`, `stretches`, `tray`, `minimized`, `window`, `widgets`.

    `widgets` maps object names to `{"box": [x, y, width, height], "enabled": bool, "text": str}`, boxes in device
    pixels of the screen; `window` is None while it is hidden or minimized. `tray` is None without an icon, else
    `{"box": [...], "tooltip": str}`; the box is empty where the desktop does not tell (StatusNotifierItem, Wayland).
    """

    def __init__(self, path: Path, ui_time: UiTime, tray: Tray, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = path
        self._ui_time = ui_time
        self._tray = tray
        tray.presence_changed.connect(self.plan)
        self._window: QWidget | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self.write)

    def follow(self, window: QWidget) -> None:
        """Report on this window from now on."""
        self._window = window
        self.plan()

    def plan(self) -> None:
        """Write soon; several calls make one writing."""
        if not self._timer.isActive():
            self._timer.start()

    def build(self) -> dict[str, Any]:
        """The report as plain data."""
        shown = self._window is not None and self._window.isVisible() and not self._window.isMinimized()
        return {
            "longest_call_ms": self._ui_time.longest_call_ms,
            "stretches": self._ui_time.stretches,
            "tray": _tray(self._tray),
            "minimized": self._window is not None and self._window.isVisible() and self._window.isMinimized(),
            "window": _box(self._window) if shown and self._window else None,
            "widgets": _widgets(self._window) if shown and self._window else {},
        }

    def write(self) -> None:
        """Write the file, whole or not at all."""
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(json.dumps(self.build(), indent=1) + "\n", encoding="utf-8")
        part.replace(self._path)


def _box(widget: QWidget) -> list[int]:
    corner, scale = widget.mapToGlobal(QPoint(0, 0)), widget.devicePixelRatioF()
    return [round(value * scale) for value in (corner.x(), corner.y(), widget.width(), widget.height())]


def _tray(tray: Tray) -> dict[str, Any] | None:
    if tray.icon is None:
        return None
    box, scale = tray.icon.geometry(), QGuiApplication.primaryScreen().devicePixelRatio()
    sides = [round(value * scale) for value in (box.x(), box.y(), box.width(), box.height())]
    return {"box": sides if box.isValid() else [], "tooltip": tray.icon.toolTip()}


def _widgets(window: QWidget) -> dict[str, Any]:
    named = [widget for widget in window.findChildren(QWidget) if _is_ours(widget)]
    return {
        widget.objectName(): {"box": _box(widget), "enabled": widget.isEnabled(), "text": _text(widget)}
        for widget in named
    }


def _is_ours(widget: QWidget) -> bool:
    return bool(widget.objectName()) and not widget.objectName().startswith("qt_") and widget.isVisible()


def _text(widget: QWidget) -> str:
    return widget.text() if isinstance(widget, QLabel) else widget.accessibleName()
