"""A small sign beside a sentence: an emblem alone, or on a disc of a tone's colour. Grows with the text."""

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.icons import Emblem, paint_emblem
from ui.theme import Role, Tone, tone


class Sign(QWidget):
    """Decoration only: what it says is also in the accessible name of the row that it belongs to."""

    def __init__(self, emblem: Emblem, wanted: Tone = Tone.QUIET, *, disc: bool = False) -> None:
        super().__init__()
        self._emblem, self._tone, self._disc = emblem, wanted, disc
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Sign")

    def show_sign(self, emblem: Emblem, wanted: Tone) -> None:
        """Draw this."""
        if (emblem, wanted) != (self._emblem, self._tone):
            self._emblem, self._tone = emblem, wanted
            self.update()

    def sizeHint(self) -> QSize:
        side = round(self.fontMetrics().height() * (1.6 if self._disc else 1.0))
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box, color = QRectF(self.rect()), tone(self.palette(), self._tone)
        if not self._disc:
            paint_emblem(painter, box, color, self._emblem)
            return
        painter.setPen(color)
        painter.setBrush(color)
        painter.drawEllipse(box.adjusted(0.5, 0.5, -0.5, -0.5))
        inset = box.width() * 0.22
        base = self.palette().color(Role.Base)
        paint_emblem(painter, box.adjusted(inset, inset, -inset, -inset), base, self._emblem)
