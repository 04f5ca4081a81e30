"""Set before Qt is loaded: tests of views need no display."""

import os
from collections.abc import Iterator
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

from client.commands import Command
from ui.theme import Theme, apply_theme

#: What the offscreen platform says of things that it does not have; real platforms have them.
OFFSCREEN_LACKS = (
    "does not support raise",
    "does not support grabbing",
    "does not support propagateSizeHints",
    "systemTrayWindowChanged",
)


@pytest.fixture(autouse=True)
def plain_look(qapp: QApplication) -> Iterator[None]:
    """Each test starts light, left to right, in the system's font."""
    font = QFont(qapp.font())
    apply_theme(qapp, Theme.LIGHT)
    yield
    qapp.setFont(font)
    qapp.setLayoutDirection(Qt.LayoutDirection.LeftToRight)


def asked_by(widget: Any) -> list[Command]:
    """What a widget with a signal `asked` asks for from now on; the list grows."""
    asked: list[Command] = []
    widget.asked.connect(asked.append)
    return asked
