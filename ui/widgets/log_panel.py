"""The log in its card, with a button that copies it."""

from PySide6.QtCore import QRect
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QStyle, QWidget

from client.snapshot import LogLine
from ui.icons import Emblem
from ui.widgets.button import Button
from ui.widgets.card import Card
from ui.widgets.log_view import LogView
from ui.widgets.metrics import UNIT


class LogPanel(Card):
    """Draws the last log lines."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Log", parent)
        self.view = LogView()
        self.copy = Button("&Copy", Emblem.COPY)
        self.copy.quiet = True
        self.copy.setObjectName("copy-log")
        self.copy.setAccessibleName("Copy the log")
        self.copy.setToolTip("Copy the whole log to the clipboard")
        self.copy.clicked.connect(self.view.copy_all)
        # The button is higher than a title and no layout can let it stand over the padding: it is placed by hand.
        self.copy.setParent(self)
        self.body.addWidget(self.view, 1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        size = self.copy.sizeHint()
        middle = self.title.geometry().center().y()
        place = QRect(self.width() - size.width() - UNIT, middle - size.height() // 2, size.width(), size.height())
        self.copy.setGeometry(QStyle.visualRect(self.layoutDirection(), self.rect(), place))

    def show_log(self, lines: tuple[LogLine, ...]) -> None:
        """Draw these lines, newest last."""
        self.view.show_lines(lines)
        self.copy.setEnabled(bool(lines))
