"""A slim progress bar: a real `QProgressBar` for screen readers, drawn from the palette."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from ui.theme import Role, line_color, mix
from ui.widgets.metrics import UNIT

_STEPS = 1000


class ProgressBar(QProgressBar):
    """Shows a fraction 0..1. With an unknown end it shows a quiet pattern that does not move: no timer runs for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextVisible(False)
        self.setRange(0, _STEPS)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_fraction(self, fraction: float | None) -> None:
        """Fill it; None when the end is unknown."""
        maximum = 0 if fraction is None else _STEPS
        if maximum != self.maximum():
            self.setRange(0, maximum)
        if fraction is not None and round(fraction * _STEPS) != self.value():
            self.setValue(round(fraction * _STEPS))

    def sizeHint(self) -> QSize:
        return QSize(12 * UNIT, UNIT)

    def minimumSizeHint(self) -> QSize:
        return QSize(4 * UNIT, UNIT)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        box = QRectF(self.rect())
        radius = box.height() / 2
        painter.setBrush(line_color(self.palette()))
        painter.drawRoundedRect(box, radius, radius)
        accent = self.palette().color(Role.Accent)
        if not self.maximum():
            painter.setBrush(mix(accent, self.palette().color(Role.Base), 0.45))
            painter.drawRoundedRect(box, radius, radius)
            return
        share = self.value() / self.maximum()
        if share <= 0:
            return
        filled = QRectF(box)
        filled.setWidth(max(box.height(), box.width() * share))
        if self.layoutDirection() is Qt.LayoutDirection.RightToLeft:
            filled.moveRight(box.right())
        painter.setBrush(accent)
        painter.drawRoundedRect(filled, radius, radius)
