"""The grid: one unit of 8 px, card padding, corner radius; and fonts made from the system's own."""

from typing import Final

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

UNIT: Final = 8
CARD_PADDING: Final = 20
CARD_RADIUS: Final = 12
CONTROL_RADIUS: Final = 8


def scaled_font(factor: float, *, strong: bool = False, tabular: bool = False) -> QFont:
    """The program's font, larger or smaller.

    Args:
        factor: of the system's size.
        strong: semi-bold.
        tabular: all digits of one width, so that numbers do not dance while they change.
    """
    font = QFont(QApplication.font())
    if font.pointSizeF() > 0:
        font.setPointSizeF(font.pointSizeF() * factor)
    else:
        font.setPixelSize(max(1, round(font.pixelSize() * factor)))
    if strong:
        font.setWeight(QFont.Weight.DemiBold)
    if tabular:
        font.setFeature(QFont.Tag("tnum"), 1)
    return font
