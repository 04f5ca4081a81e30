"""A window lies on its screen, whatever was kept of it."""

from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QRect, QSize

from ui.placement import TITLE_BAR, cut, moved_into, room_in

SCREEN = QRect(0, 24, 700, 476)
FAR = st.integers(-10_000, 10_000)
LONG = st.integers(1, 10_000)


def test_a_window_that_fits_stays() -> None:
    box = QRect(50, 100, 500, 300)
    assert moved_into(box, SCREEN) == box
    assert cut(box.size(), SCREEN) == box.size()


def test_a_window_that_is_too_large_is_cut() -> None:
    assert cut(QSize(1000, 800), SCREEN) == QSize(700, 476 - TITLE_BAR)
    assert moved_into(QRect(0, 0, 1000, 800), SCREEN) == room_in(SCREEN)


@given(FAR, FAR, LONG, LONG)
def test_every_window_and_its_title_bar_lie_on_the_screen(x: int, y: int, width: int, height: int) -> None:
    box = moved_into(QRect(x, y, width, height), SCREEN)
    assert SCREEN.contains(box.adjusted(0, -TITLE_BAR, 0, 0))
