"""Where a window goes so that all of it, its title bar too, lies on the screen. Pure geometry."""

from typing import Final

from PySide6.QtCore import QRect, QSize

#: Room for a title bar, whose height is known only when the window is shown; in device-independent pixels.
TITLE_BAR: Final = 40


def room_in(available: QRect) -> QRect:
    """The part of a screen's free area that a window's content may fill."""
    return available.adjusted(0, TITLE_BAR, 0, 0)


def cut(size: QSize, available: QRect) -> QSize:
    """The size, made as small as the screen asks for."""
    return size.boundedTo(room_in(available).size())


def moved_into(box: QRect, available: QRect) -> QRect:
    """The content's box, cut and then moved by as little as possible to lie on the screen."""
    room = room_in(available)
    size = cut(box.size(), available)
    left = min(max(box.left(), room.left()), room.left() + room.width() - size.width())
    top = min(max(box.top(), room.top()), room.top() + room.height() - size.height())
    return QRect(left, top, size.width(), size.height())
