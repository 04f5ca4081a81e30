"""A labelled progress bar: what, how far, and the detail under it."""

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ui.job_view import Progress
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.progress_bar import ProgressBar
from ui.words import percent_text


class ProgressRow(QWidget):
    """Label, percent, bar and detail of one `Progress`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(UNIT - 2)
        self.label = Text(tabular=True)
        self.bar = ProgressBar()
        self.percent = Text(strong=True, tabular=True, wrap=False)
        self.detail = Text(factor=0.92, quiet=True, tabular=True)
        head = QHBoxLayout()
        head.setSpacing(UNIT)
        head.addWidget(self.label, 1)
        head.addWidget(self.percent)
        column.addLayout(head)
        column.addWidget(self.bar)
        column.addWidget(self.detail)

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        self.label.show_text(progress.label)
        self.bar.show_fraction(progress.fraction)
        self.percent.show_text("" if progress.fraction is None else percent_text(progress.fraction))
        self.bar.setAccessibleName(progress.label)
        self.bar.setAccessibleDescription(progress.detail)
        self.detail.show_text(progress.detail)
