"""The log in its card, with a button that copies it."""

from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from client.snapshot import LogLine
from ui.icons import Emblem
from ui.widgets.button import Button
from ui.widgets.card import Card
from ui.widgets.log_view import LogView


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
        head = QHBoxLayout()
        self.body.removeWidget(self.title)
        head.addWidget(self.title, 1)
        head.addWidget(self.copy)
        self.body.addLayout(head)
        self.body.addWidget(self.view, 1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def show_log(self, lines: tuple[LogLine, ...]) -> None:
        """Draw these lines, newest last."""
        self.view.show_lines(lines)
        self.copy.setEnabled(bool(lines))
