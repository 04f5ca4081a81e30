"""A slim scroll bar for the Fusion style; other styles bring their own."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractScrollArea, QScrollBar, QStyle, QStyleOptionSlider, QWidget

from ui.theme import Role, mix
from ui.widgets.metrics import UNIT

#: its width in the Fusion style
BAR_ROOM = UNIT + 4


def give_scroll_bar(area: QAbstractScrollArea) -> None:
    """Give it one that always has its room, and is drawn only when there is something to scroll.

    WORKAROUND Qt 6: a bar that comes and goes changes the width, with it the height of wrapped texts, and with that
    whether a bar is needed. Qt answers each change by a posted event, and was seen to do so for ever (a window that
    froze, QAbstractScrollArea's layout at the bottom of its stack).
    """
    area.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical))
    area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)


class ScrollBar(QScrollBar):
    """Draws only the handle, thin and rounded; the mouse finds it where the style has it."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget | None = None) -> None:
        super().__init__(orientation, parent)
        self.setAccessibleName("Scroll")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent, False)

    def _is_own(self) -> bool:
        return self.style().name() == "fusion"

    def sizeHint(self) -> QSize:
        usual = super().sizeHint()
        return QSize(BAR_ROOM, usual.height()) if self._is_own() else usual

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.maximum() <= self.minimum():
            return
        if not self._is_own():
            super().paintEvent(event)
            return
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        control, handle = QStyle.ComplexControl.CC_ScrollBar, QStyle.SubControl.SC_ScrollBarSlider
        box = QRectF(self.style().subControlRect(control, option, handle, self))
        palette = self.palette()
        share = 0.5 if self.isSliderDown() or self.underMouse() else 0.25
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(palette.color(Role.WindowText), palette.color(Role.Window), share))
        middle = self.rect().center().x() + 0.5
        painter.drawRoundedRect(QRectF(middle - 3, box.y(), 6, box.height()), 3, 3)
