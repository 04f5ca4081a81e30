"""A rounded surface with an optional title, painted from the palette."""

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.theme import line_color
from ui.widgets.label import Text
from ui.widgets.metrics import CARD_PADDING, CARD_RADIUS, UNIT


class Card(QWidget):
    """A group of things that belong together; `body` is its column."""

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(title)
        self.setForegroundRole(QPalette.ColorRole.Text)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(CARD_PADDING, CARD_PADDING - 2, CARD_PADDING, CARD_PADDING)
        self.body.setSpacing(UNIT)
        self.title = Text(title, factor=0.92, strong=True, quiet=True)
        if title:
            self.body.addWidget(self.title)
        else:
            self.title.setParent(self)
            self.title.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(line_color(self.palette()), 1))
        painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), CARD_RADIUS, CARD_RADIUS)
