"""The cloud with its emblem, large: the same picture as in the tray."""

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.icons import MOOD_EMBLEMS, mood_color, paint_cloud
from ui.view_models import Mood
from ui.widgets.metrics import UNIT


class StateBadge(QWidget):
    """Draws a `Mood`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mood = Mood.STOPPED
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("State")

    def show_mood(self, mood: Mood) -> None:
        """Draw this mood."""
        self.setAccessibleDescription(str(mood))
        if mood is not self._mood:
            self._mood = mood
            self.update()

    def sizeHint(self) -> QSize:
        side = min(12 * UNIT, max(8 * UNIT, self.fontMetrics().height() * 4))
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        paint_cloud(painter, QRectF(self.rect()), mood_color(self._mood), MOOD_EMBLEMS[self._mood])
