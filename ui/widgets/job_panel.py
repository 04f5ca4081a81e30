"""The job: its stations, its bar, its figures. And what comes before it: downloads and the boot."""

from PySide6.QtWidgets import QWidget

from ui.job_view import JobCard, Progress
from ui.widgets.card import Card
from ui.widgets.figure_tile import FigureRow
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.progress_row import ProgressRow
from ui.widgets.step_line import StepLine


class JobPanel(Card):
    """Draws a `JobCard`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Job", parent)
        self.name = Text(factor=1.2, strong=True)
        self.caption = Text(quiet=True)
        self.caption.setObjectName("job-caption")
        self.steps = StepLine()
        self.progress = ProgressRow()
        self.figures = FigureRow()
        self.body.addWidget(self.name)
        self.body.addWidget(self.caption)
        self.body.addSpacing(UNIT)
        self.body.addWidget(self.steps)
        self.body.addSpacing(UNIT)
        self.body.addWidget(self.progress)
        self.body.addSpacing(UNIT // 2)
        self.body.addWidget(self.figures)
        self.body.addStretch()

    def show_job(self, job: JobCard) -> None:
        """Draw this job."""
        self.name.show_text(job.title)
        self.caption.show_text(job.caption)
        self.steps.show_steps(job.steps, job.spoken)
        self.progress.setVisible(job.progress is not None)
        if job.progress is not None:
            self.progress.show_progress(job.progress)
        self.figures.show_figures(job.figures)


class PreparationPanel(Card):
    """Draws the bars of what is being prepared; takes no room when nothing is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Getting ready", parent)
        self.rows: list[ProgressRow] = []

    def show_preparations(self, bars: tuple[Progress, ...]) -> None:
        """Draw these bars."""
        while len(self.rows) < len(bars):
            self.rows.append(ProgressRow())
            self.body.addWidget(self.rows[-1])
        for index, row in enumerate(self.rows):
            row.setVisible(index < len(bars))
            if index < len(bars):
                row.show_progress(bars[index])
        if self.isHidden() == bool(bars):
            self.setVisible(bool(bars))
