"""The stations of a job on a line that fills."""

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.icons import Emblem, paint_emblem
from ui.job_view import StepRow, StepState
from ui.theme import Role, Tone, line_color, mix, tone
from ui.widgets.metrics import UNIT, scaled_font

_NODE = 22
_LINE = 4


class StepLine(QWidget):
    """Draws `StepRow`s; all of it is also in the accessible description."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps: tuple[StepRow, ...] = ()
        self._strong = scaled_font(0.92, strong=True)
        self.setFont(scaled_font(0.92))
        self.setAccessibleName("Steps of the job")
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_steps(self, steps: tuple[StepRow, ...], spoken: str) -> None:
        """Draw these stations; `spoken` says the same in words."""
        if steps == self._steps:
            return
        labels_changed = [step.label for step in steps] != [step.label for step in self._steps]
        self._steps = steps
        self.setAccessibleDescription(spoken)
        if labels_changed:
            self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return _NODE + UNIT + self._label_height(width)

    def sizeHint(self) -> QSize:
        return QSize(44 * UNIT, self.heightForWidth(44 * UNIT))

    def minimumSizeHint(self) -> QSize:
        width = max(1, len(self._steps)) * self._longest_word()
        return QSize(width, self.heightForWidth(max(width, self.width())))

    def _longest_word(self) -> int:
        words = [word for step in self._steps for word in step.label.split()]
        bold = self._strong_metrics()
        return max((bold.horizontalAdvance(word) for word in words), default=0) + 4

    def _strong_metrics(self) -> QFontMetrics:
        return QFontMetrics(self._strong)

    def _label_height(self, width: int) -> int:
        column = QRect(0, 0, max(1, width // max(1, len(self._steps))) - 4, 1 << 16)
        metrics, flags = self._strong_metrics(), int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignHCenter)
        return max((metrics.boundingRect(column, flags, step.label).height() for step in self._steps), default=0)

    def _center(self, index: int) -> QPointF:
        column = self.width() / max(1, len(self._steps))
        x = column * (index + 0.5)
        if self.layoutDirection() is Qt.LayoutDirection.RightToLeft:
            x = self.width() - x
        return QPointF(x, _NODE / 2)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index in range(len(self._steps) - 1):
            self._paint_line(painter, index)
        for index, step in enumerate(self._steps):
            self._paint_node(painter, self._center(index), step.state)
            self._paint_label(painter, index, step)

    def _paint_line(self, painter: QPainter, index: int) -> None:
        start, end = self._center(index), self._center(index + 1)
        fraction = min(max(self._steps[index].fraction, 0.0), 1.0)
        middle = QPointF(start.x() + (end.x() - start.x()) * fraction, start.y())
        painter.setPen(QPen(line_color(self.palette()), _LINE))
        painter.drawLine(start, end)
        if fraction > 0:
            painter.setPen(QPen(self._color(self._steps[index].state), _LINE))
            painter.drawLine(start, middle)

    def _color(self, state: StepState) -> QColor:
        return tone(self.palette(), Tone.BAD if state is StepState.FAILED else Tone.ACCENT)

    def _paint_node(self, painter: QPainter, center: QPointF, state: StepState) -> None:
        base = self.palette().color(Role.Base)
        radius = _NODE / 2
        painter.setPen(Qt.PenStyle.NoPen)
        if state is StepState.WAITING:
            painter.setBrush(base)
            painter.drawEllipse(center, radius, radius)
            painter.setPen(QPen(mix(self.palette().color(Role.Text), base, 0.28), 2))
            painter.drawEllipse(center, radius - 5, radius - 5)
            return
        color = self._color(state)
        if state is StepState.ACTIVE:
            painter.setBrush(mix(color, base, 0.22))
            painter.drawEllipse(center, radius, radius)
            painter.setBrush(color)
            painter.drawEllipse(center, radius - 5, radius - 5)
            return
        painter.setBrush(color)
        painter.drawEllipse(center, radius - 1, radius - 1)
        sign = QRectF(center.x() - 7, center.y() - 7, 14, 14)
        ink = self.palette().color(Role.HighlightedText) if state is StepState.DONE else base
        paint_emblem(painter, sign, ink, Emblem.CHECK if state is StepState.DONE else Emblem.CROSS)

    def _paint_label(self, painter: QPainter, index: int, step: StepRow) -> None:
        column = self.width() / len(self._steps)
        place = QRectF(self._center(index).x() - column / 2 + 2, _NODE + UNIT, column - 4, self.height())
        active = step.state in (StepState.ACTIVE, StepState.FAILED)
        painter.setFont(self._strong if active else self.font())
        painter.setPen(self.palette().color(Role.PlaceholderText if step.state is StepState.WAITING else Role.Text))
        painter.drawText(place, int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignHCenter), step.label)
