"""The home page: state, problems, job, machine, totals and log, in one column or in two."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from ui.trace import Trace
from ui.view_models import HomeView
from ui.widgets.card import Card
from ui.widgets.figure_tile import FigureRow
from ui.widgets.headline_card import HeadlineCard
from ui.widgets.job_panel import JobPanel, PreparationPanel
from ui.widgets.log_panel import LogPanel
from ui.widgets.machine_panel import MachinePanel
from ui.widgets.metrics import UNIT
from ui.widgets.notice_strip import NoticeStrip
from ui.widgets.problem_list import ProblemList
from ui.widgets.scroll_bar import BAR_ROOM, give_scroll_bar

#: Two columns from this width on, in heights of a text line, so that larger fonts keep one column for longer.
_WIDE_IN_LINES = 52
_WIDEST = 150 * UNIT
_GAP = UNIT + 4


class HomePage(QScrollArea):
    """Draws a `HomeView`. Its parts are built by `build_steps`, one at a time, to keep the UI thread free.

    Signals:
        asked: a `Command`.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName("Home")
        give_scroll_bar(self)
        self._columns = 0
        self._shown: HomeView | None = None

    def build_steps(self) -> tuple[Callable[[], None], ...]:
        """What builds the page, in order; the page can be shown after the first."""
        return (self._build_top, self._build_job, self._build_machine, self._build_bottom)

    def _build_top(self) -> None:
        content = QWidget()
        content.setMaximumWidth(_WIDEST)
        content.setAutoFillBackground(False)
        column = QVBoxLayout(content)
        # The bar's room is a part of the margin.
        column.setContentsMargins(2 * UNIT, 2 * UNIT, 2 * UNIT - BAR_ROOM, 2 * UNIT)
        column.setSpacing(_GAP)
        self.notice = NoticeStrip()
        self.headline = HeadlineCard()
        self.headline.buttons.asked.connect(self.asked)
        self.problems = ProblemList()
        self.problems.asked.connect(self.asked)
        self.problems.hide()
        self.left, self.right = QVBoxLayout(), QVBoxLayout()
        self.panels = QHBoxLayout()
        self.panels.addLayout(self.left, 3)
        self.panels.addLayout(self.right)
        column.addWidget(self.headline)
        column.addWidget(self.notice)
        column.addWidget(self.problems)
        column.addLayout(self.panels)
        self._column = column
        self.setWidget(content)

    def _build_job(self) -> None:
        self.preparation = PreparationPanel()
        self.preparation.hide()
        self.job = JobPanel()
        self.left.setSpacing(_GAP)
        self.left.addWidget(self.preparation)
        self.left.addWidget(self.job, 1)

    def _build_machine(self) -> None:
        self.machine = MachinePanel()

    def _build_bottom(self) -> None:
        self.totals = Card("Done on this computer")
        self.total_figures = FigureRow()
        self.totals.body.addWidget(self.total_figures)
        self.left.addWidget(self.totals)
        self.log = LogPanel()
        self._column.addWidget(self.log, 1)
        self._arrange()

    @property
    def is_built(self) -> bool:
        """Whether all parts are there."""
        return self._columns > 0

    def show_view(self, view: HomeView, trace: Trace) -> None:
        """Draw this view; parts that did not change are left alone."""
        before = self._shown
        self._shown = view
        if before is None or (before.headline, before.actions) != (view.headline, view.actions):
            self.headline.show_state(view.headline, view.actions)
        if before is None or before.problems != view.problems:
            self.problems.show_problems(view.problems)
        if before is None or before.preparations != view.preparations:
            self.preparation.show_preparations(view.preparations)
        if before is None or before.job != view.job:
            self.job.show_job(view.job)
        self.machine.show_machine(view.machine, trace)
        if before is None or before.totals != view.totals:
            self.total_figures.show_figures(view.totals)
        self.log.show_log(view.log)

    def show_notice(self, text: str) -> None:
        """Say something about this desktop; empty says nothing."""
        self.notice.show_notice(text)

    def scroll_page(self, pages: int) -> None:
        """Scroll by pages, down or up (negative): by key, too, the whole page can be read."""
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + pages * bar.pageStep())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.is_built:
            self._arrange()

    def _arrange(self) -> None:
        """Two columns when there is room: the job on the left, the machine beside it."""
        columns = 2 if self.viewport().width() >= self.fontMetrics().height() * _WIDE_IN_LINES else 1
        if columns == self._columns:
            return
        self._columns = columns
        self.left.removeWidget(self.machine)
        self.right.removeWidget(self.machine)
        if columns == 2:
            self.right.addWidget(self.machine)
        else:
            self.left.insertWidget(self.left.indexOf(self.job) + 1, self.machine)
        self.panels.setSpacing(_GAP if columns == 2 else 0)
        self.panels.setStretch(1, 2 if columns == 2 else 0)
