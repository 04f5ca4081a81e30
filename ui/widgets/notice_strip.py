"""A quiet line with a sign: something about this desktop that one should know."""

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ui.icons import Emblem, paint_emblem
from ui.theme import Role
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT

_SIGN = 2 * UNIT


class _Sign(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(_SIGN, _SIGN + 4)
        self.setAccessibleName("Note")

    def paintEvent(self, event: QPaintEvent) -> None:
        color = self.palette().color(Role.PlaceholderText)
        paint_emblem(QPainter(self), QRectF(0, 2, _SIGN, _SIGN), color, Emblem.INFO)


class NoticeStrip(QWidget):
    """A sentence in secondary colour; hidden when empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(UNIT, 0, UNIT, 0)
        row.setSpacing(UNIT)
        self.text = Text(quiet=True)
        row.addWidget(_Sign())
        row.addWidget(self.text, 1)
        self.hide()

    def show_notice(self, text: str) -> None:
        """Say this; empty hides the strip."""
        self.text.show_text(text)
        self.setVisible(bool(text))
