"""Both palettes and all signs can be read."""

import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from ui.icons import cloud_path, mood_color, mood_icon, program_icon
from ui.theme import Role, Theme, Tone, apply_theme, build_palette, contrast, is_dark, tone
from ui.view_models import Mood

READABLE = 4.5


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("ground", [Role.Base, Role.Window])
def test_text_in_every_tone_is_readable(dark: bool, ground: QPalette.ColorRole) -> None:
    palette = build_palette(dark=dark)
    for wanted in Tone:
        assert contrast(tone(palette, wanted), palette.color(ground)) >= READABLE, wanted
    assert contrast(palette.color(Role.Text), palette.color(ground)) >= 7


@pytest.mark.parametrize("dark", [False, True])
def test_text_on_the_accent_is_readable(dark: bool) -> None:
    palette = build_palette(dark=dark)
    assert contrast(palette.color(Role.HighlightedText), palette.color(Role.Accent)) >= READABLE


def test_contrast_is_that_of_the_norm() -> None:
    assert contrast(QColor("black"), QColor("white")) == pytest.approx(21)
    assert contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("theme", "dark"), [(Theme.LIGHT, False), (Theme.DARK, True)])
def test_the_wish_is_done_where_the_platform_does_not_follow(qapp: QApplication, theme: Theme, dark: bool) -> None:
    apply_theme(qapp, theme)
    assert is_dark(qapp.palette()) is dark


@pytest.mark.parametrize("mood", list(Mood))
def test_the_emblem_stands_out_from_its_cloud(mood: Mood) -> None:
    assert contrast(mood_color(mood), QColor("white")) >= READABLE


def test_each_mood_has_its_own_shape(qapp: QApplication) -> None:
    """With all colours taken away the icons still differ."""
    images = [mood_icon(mood).pixmap(22, 22).toImage() for mood in Mood]
    shapes = {tuple(image.pixelColor(x, y).lightness() > 200 for x in range(22) for y in range(22)) for image in images}
    assert len(shapes) == len(Mood)


def test_the_program_icon_is_the_cloud(qapp: QApplication) -> None:
    image = program_icon().pixmap(48, 48).toImage()
    assert image.pixelColor(24, 30).alpha() == 255
    assert image.pixelColor(1, 1).alpha() == 0
    assert cloud_path().boundingRect().width() == pytest.approx(23, abs=0.5)
