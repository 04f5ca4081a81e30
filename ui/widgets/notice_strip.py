"""A quiet line with a sign: something about this desktop that one should know."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ui.icons import Emblem
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.sign import Sign


class NoticeStrip(QWidget):
    """A sentence in secondary colour; hidden when empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(UNIT, 0, UNIT, 0)
        row.setSpacing(UNIT)
        self.text = Text(quiet=True)
        self.text.setObjectName("no-tray")
        row.addWidget(Sign(Emblem.INFO), 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.text, 1)
        self.hide()

    def show_notice(self, text: str) -> None:
        """Say this; empty hides the strip."""
        self.text.show_text(text)
        self.setVisible(bool(text))
