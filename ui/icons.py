"""Icons painted in code: sharp at every size, in every colour, and no SVG library in memory.

The cloud's outline is the same as in `resources/icons/volunteer-cloud.svg` (a 24 x 24 grid).
"""

from collections.abc import Callable
from enum import StrEnum

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from ui.view_models import Mood

GRID = 24.0
_SIZES = (16, 22, 24, 32, 48, 64, 128)
#: Readable on light and on dark panels alike; the emblem in the middle carries the meaning, too.
_MOOD_COLORS = {
    Mood.WORKING: "#1f7a4d",
    Mood.PREPARING: "#1d63d1",
    Mood.PAUSED: "#9a6500",
    Mood.STOPPED: "#66707d",
    Mood.NEEDS_YOU: "#c22b38",
}
BRAND_COLOR = "#1d63d1"


class Emblem(StrEnum):
    """Small signs for buttons and for the middle of the cloud."""

    PLAY = "play"
    PAUSE = "pause"
    STOP = "stop"
    FLAG = "flag"
    ALERT = "alert"
    DOTS = "dots"
    CHECK = "check"
    CROSS = "cross"
    MENU = "menu"
    COPY = "copy"
    INFO = "info"


MOOD_EMBLEMS = {
    Mood.WORKING: Emblem.PLAY,
    Mood.PREPARING: Emblem.DOTS,
    Mood.PAUSED: Emblem.PAUSE,
    Mood.STOPPED: Emblem.STOP,
    Mood.NEEDS_YOU: Emblem.ALERT,
}


def cloud_path() -> QPainterPath:
    """The cloud on the 24 x 24 grid."""
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)
    path.addRoundedRect(QRectF(0.5, 10.0, 23.0, 11.0), 5.5, 5.5)
    path.addEllipse(QPointF(9.5, 10.0), 6.5, 6.5)
    path.addEllipse(QPointF(16.5, 11.5), 4.8, 4.8)
    return path.simplified()


def mood_color(mood: Mood) -> QColor:
    """The cloud's colour for a mood; white on it has a contrast of at least 4.5."""
    return QColor(_MOOD_COLORS[mood])


def paint_cloud(painter: QPainter, box: QRectF, color: QColor, emblem: Emblem | None) -> None:
    """Paint a filled cloud into a square box, with a white emblem in its middle."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / GRID, box.height() / GRID)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawPath(cloud_path())
    painter.restore()
    if emblem is not None:
        side = box.width() * 0.5
        middle = QPointF(box.center().x(), box.top() + box.height() * 13.6 / GRID)
        paint_emblem(painter, QRectF(middle.x() - side / 2, middle.y() - side / 2, side, side), QColor("white"), emblem)


def paint_emblem(painter: QPainter, box: QRectF, color: QColor, emblem: Emblem) -> None:
    """Paint an emblem into a square box."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / GRID, box.height() / GRID)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    _EMBLEMS[emblem](painter, color)
    painter.restore()


def _stroke(painter: QPainter, color: QColor, width: float = 3.0) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    cap, corner = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
    painter.setPen(QPen(color, width, Qt.PenStyle.SolidLine, cap, corner))


def _play(painter: QPainter, color: QColor) -> None:
    painter.setPen(QPen(color, 2.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.drawPolygon(QPolygonF([QPointF(7, 4.5), QPointF(20, 12), QPointF(7, 19.5)]))


def _pause(painter: QPainter, color: QColor) -> None:
    painter.drawRoundedRect(QRectF(5, 4, 5, 16), 1.2, 1.2)
    painter.drawRoundedRect(QRectF(14, 4, 5, 16), 1.2, 1.2)


def _stop(painter: QPainter, color: QColor) -> None:
    painter.drawRoundedRect(QRectF(4.5, 4.5, 15, 15), 2, 2)


def _flag(painter: QPainter, color: QColor) -> None:
    _stroke(painter, color, 2.4)
    painter.drawLine(QPointF(6, 3), QPointF(6, 21))
    painter.setBrush(color)
    painter.drawPolygon(QPolygonF([QPointF(6, 4), QPointF(19, 4), QPointF(15.5, 8.5), QPointF(19, 13), QPointF(6, 13)]))


def _alert(painter: QPainter, color: QColor) -> None:
    painter.drawRoundedRect(QRectF(10.2, 2.5, 3.6, 12), 1.8, 1.8)
    painter.drawEllipse(QPointF(12, 19.2), 2.3, 2.3)


def _dots(painter: QPainter, color: QColor) -> None:
    for x in (4.0, 12.0, 20.0):
        painter.drawEllipse(QPointF(x, 12), 2.8, 2.8)


def _check(painter: QPainter, color: QColor) -> None:
    _stroke(painter, color, 3.4)
    painter.drawPolyline(QPolygonF([QPointF(5, 12.5), QPointF(10, 17.5), QPointF(19, 7)]))


def _cross(painter: QPainter, color: QColor) -> None:
    _stroke(painter, color)
    painter.drawLine(QPointF(6, 6), QPointF(18, 18))
    painter.drawLine(QPointF(18, 6), QPointF(6, 18))


def _menu(painter: QPainter, color: QColor) -> None:
    _stroke(painter, color, 2.4)
    for y in (6.0, 12.0, 18.0):
        painter.drawLine(QPointF(4, y), QPointF(20, y))


def _copy(painter: QPainter, color: QColor) -> None:
    _stroke(painter, color, 2.2)
    painter.drawRoundedRect(QRectF(8.5, 8.5, 11.5, 11.5), 2, 2)
    painter.drawPolyline(QPolygonF([QPointF(4, 15), QPointF(4, 4), QPointF(15, 4)]))


def _info(painter: QPainter, color: QColor) -> None:
    painter.drawEllipse(QPointF(12, 4.8), 2.3, 2.3)
    painter.drawRoundedRect(QRectF(10.2, 9.5, 3.6, 12), 1.8, 1.8)


_EMBLEMS: dict[Emblem, Callable[[QPainter, QColor], None]] = {
    Emblem.PLAY: _play,
    Emblem.PAUSE: _pause,
    Emblem.STOP: _stop,
    Emblem.FLAG: _flag,
    Emblem.ALERT: _alert,
    Emblem.DOTS: _dots,
    Emblem.CHECK: _check,
    Emblem.CROSS: _cross,
    Emblem.MENU: _menu,
    Emblem.COPY: _copy,
    Emblem.INFO: _info,
}


def _cloud_icon(color: QColor, emblem: Emblem | None) -> QIcon:
    icon = QIcon()
    for size in _SIZES:
        pixmap = QPixmap(QSize(size, size))
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        paint_cloud(painter, QRectF(0, 0, size, size), color, emblem)
        painter.end()
        icon.addPixmap(pixmap)
    return icon


def mood_icon(mood: Mood) -> QIcon:
    """The tray's icon for a mood."""
    return _cloud_icon(mood_color(mood), MOOD_EMBLEMS[mood])


def program_icon() -> QIcon:
    """The window's icon: the plain cloud."""
    return _cloud_icon(QColor(BRAND_COLOR), None)
