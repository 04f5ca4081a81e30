"""Buttons: a real `QPushButton` for keyboard and screen readers, drawn from the palette in one look everywhere."""

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QEnterEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QPushButton, QStyle, QStyleOptionButton, QWidget

from ui.icons import Emblem, paint_emblem
from ui.theme import Role, line_color, mix
from ui.widgets.metrics import CONTROL_RADIUS, UNIT


class Button(QPushButton):
    """A button with an emblem. primary: filled with the accent colour; quiet: without an outline.

    An empty text makes it a square one.
    """

    def __init__(self, text: str = "", emblem: Emblem | None = None, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.emblem = emblem
        self.primary = False
        self.quiet = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def set_primary(self, primary: bool) -> None:
        """Make it the one to press, or an ordinary one."""
        if primary != self.primary:
            self.primary = primary
            self.update()

    def set_emblem(self, emblem: Emblem) -> None:
        """Change the sign beside the text."""
        if emblem is not self.emblem:
            self.emblem = emblem
            self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        height = metrics.height() + 2 * UNIT + 4
        if not self.text():
            return QSize(height, height)
        text = metrics.size(Qt.TextFlag.TextShowMnemonic, self.text()).width()
        sign = metrics.height() + UNIT if self.emblem else 0
        return QSize(text + sign + 4 * UNIT, height)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        filled = self.primary and self.isEnabled()
        painter.setPen(Qt.PenStyle.NoPen if filled or self.quiet else QPen(line_color(self.palette()), 1))
        painter.setBrush(self._face(filled))
        painter.drawRoundedRect(box, CONTROL_RADIUS, CONTROL_RADIUS)
        if self.hasFocus():
            self._paint_focus(painter, box, filled)
        self._paint_content(painter, self._ink(filled))

    def _paint_focus(self, painter: QPainter, box: QRectF, filled: bool) -> None:
        """A thick outline; within a filled button a line in the colour of its text."""
        inset = 3.0 if filled else 0.5
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self.palette().color(Role.HighlightedText if filled else Role.Accent), 2))
        radius = CONTROL_RADIUS - inset
        painter.drawRoundedRect(box.adjusted(inset, inset, -inset, -inset), radius, radius)

    def _face(self, filled: bool) -> QColor:
        palette = self.palette()
        ordinary = Role.Base if self.quiet else Role.Button
        face = palette.color(Role.Accent if filled else ordinary)
        ink = palette.color(Role.HighlightedText if filled else Role.ButtonText)
        if self.isEnabled() and (self.isDown() or self.underMouse()):
            return mix(ink, face, 0.18 if self.isDown() else 0.08)
        if self.quiet or not self.isEnabled():
            return QColor(Qt.GlobalColor.transparent)
        return face

    def _ink(self, filled: bool) -> QColor:
        return self.palette().color(QPalette.ColorRole.HighlightedText if filled else QPalette.ColorRole.ButtonText)

    def _paint_content(self, painter: QPainter, ink: QColor) -> None:
        metrics = self.fontMetrics()
        side = metrics.height()
        text = metrics.size(Qt.TextFlag.TextShowMnemonic, self.text()).width() if self.text() else 0
        sign = side if self.emblem else 0
        width = text + sign + (UNIT if text and sign else 0)
        content = QRect((self.width() - width) // 2, 0, width, self.height())
        if self.emblem:
            place = QRect(content.x(), (self.height() - side) // 2, side, side)
            place = QStyle.visualRect(self.layoutDirection(), content, place)
            paint_emblem(painter, QRectF(place).adjusted(1, 1, -1, -1), ink, self.emblem)
        if not self.text():
            return
        option = QStyleOptionButton()
        self.initStyleOption(option)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextSingleLine
        hint = self.style().styleHint(QStyle.StyleHint.SH_UnderlineShortcut, option, self)
        flags |= Qt.TextFlag.TextShowMnemonic if hint else Qt.TextFlag.TextHideMnemonic
        place = QRect(content.right() + 1 - text, 0, text, self.height())
        place = QStyle.visualRect(self.layoutDirection(), content, place)
        painter.setPen(ink)
        painter.drawText(place, flags, self.text())
