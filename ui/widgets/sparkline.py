"""A small chart of the last minutes, drawn by ourselves."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.theme import Role, line_color, mix
from ui.trace import POINTS
from ui.widgets.metrics import UNIT


class Sparkline(QWidget):
    """A line with a filled foot; newest at the end of the reading direction. The number stands beside it as text."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: tuple[float, ...] = ()
        self._ceiling = 1.0
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_values(self, values: tuple[float, ...], ceiling: float, spoken: str) -> None:
        """Draw values, oldest first. ceiling: the least height of the chart, in the values' unit."""
        self.setAccessibleDescription(spoken)
        if values != self._values or ceiling != self._ceiling:
            self._values, self._ceiling = values, ceiling
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(16 * UNIT, 5 * UNIT)

    def minimumSizeHint(self) -> QSize:
        return QSize(8 * UNIT, 5 * UNIT)

    def _points(self, box: QRectF) -> list[QPointF]:
        top = max(self._ceiling, *self._values) * 1.05
        step = box.width() / (POINTS - 1)
        first = box.right() - step * (len(self._values) - 1)
        return [
            QPointF(first + step * index, box.bottom() - box.height() * value / top)
            for index, value in enumerate(self._values)
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.layoutDirection() is Qt.LayoutDirection.RightToLeft:
            painter.translate(self.width(), 0)
            painter.scale(-1, 1)
        box = QRectF(self.rect()).adjusted(1, 3, -3, -1)
        painter.setPen(QPen(line_color(self.palette()), 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        if not self._values:
            return
        points = self._points(box)
        accent = self.palette().color(Role.Accent)
        if len(points) > 1:
            foot = QPolygonF([QPointF(points[0].x(), box.bottom()), *points, QPointF(points[-1].x(), box.bottom())])
            area = QPainterPath()
            area.addPolygon(foot)
            painter.fillPath(area, mix(accent, self.palette().color(Role.Base), 0.16))
            painter.setPen(QPen(accent, 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
            painter.drawPolyline(QPolygonF(points))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(accent)
        painter.drawEllipse(points[-1], 2.5, 2.5)
