"""Light and dark: follow the system where it can be followed, else Fusion with a palette of our own.

Widgets never carry colours of their own. They ask the palette, and this file for the few that a palette lacks
(`tone`, `line_color`), each worked out from the palette so that every theme, also a high-contrast one, stays readable.
"""

from enum import StrEnum

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget

Role = QPalette.ColorRole
Group = QPalette.ColorGroup


class Theme(StrEnum):
    """What is asked for."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class Tone(StrEnum):
    """Colours with a meaning; never the only carrier of it."""

    ACCENT = "accent"
    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    QUIET = "quiet"


_SCHEMES = {
    Theme.SYSTEM: Qt.ColorScheme.Unknown,
    Theme.LIGHT: Qt.ColorScheme.Light,
    Theme.DARK: Qt.ColorScheme.Dark,
}
_LIGHT = {
    Role.Window: "#f3f5f8",
    Role.WindowText: "#1b2330",
    Role.Base: "#ffffff",
    Role.AlternateBase: "#f7f8fa",
    Role.Text: "#1b2330",
    Role.Button: "#ffffff",
    Role.ButtonText: "#1b2330",
    Role.BrightText: "#ffffff",
    Role.ToolTipBase: "#1b2330",
    Role.ToolTipText: "#f3f5f8",
    Role.PlaceholderText: "#596577",
    Role.Highlight: "#1d63d1",
    Role.HighlightedText: "#ffffff",
    Role.Accent: "#1d63d1",
    Role.Link: "#1d63d1",
    Role.Light: "#ffffff",
    Role.Midlight: "#e9edf2",
    Role.Mid: "#c9d0da",
    Role.Dark: "#a3adba",
    Role.Shadow: "#5c6675",
}
_DARK = {
    Role.Window: "#14181e",
    Role.WindowText: "#e7ebf0",
    Role.Base: "#1d232b",
    Role.AlternateBase: "#232a33",
    Role.Text: "#e7ebf0",
    Role.Button: "#262e38",
    Role.ButtonText: "#e7ebf0",
    Role.BrightText: "#ffffff",
    Role.ToolTipBase: "#2b333e",
    Role.ToolTipText: "#e7ebf0",
    Role.PlaceholderText: "#9ba8b8",
    Role.Highlight: "#6aa5ff",
    Role.HighlightedText: "#0b1420",
    Role.Accent: "#6aa5ff",
    Role.Link: "#6aa5ff",
    Role.Light: "#3a4553",
    Role.Midlight: "#313a46",
    Role.Mid: "#2a323d",
    Role.Dark: "#0f1216",
    Role.Shadow: "#000000",
}
_TONES_LIGHT = {Tone.GOOD: "#18794e", Tone.CAUTION: "#8f5d00", Tone.BAD: "#c22b38"}
_TONES_DARK = {Tone.GOOD: "#4fc78b", Tone.CAUTION: "#e5b454", Tone.BAD: "#ff8085"}


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Make the program light, dark, or like the system; may be called again when the system changes.

    Some platforms do not follow `setColorScheme` (measured: X11 without a desktop, KDE without its settings, the portal
    theme). There the Fusion style with our own palette is set.
    """
    hints = QGuiApplication.styleHints()
    wanted = _SCHEMES[theme]
    hints.setColorScheme(wanted)
    scheme = hints.colorScheme()
    follows = scheme is wanted if wanted is not Qt.ColorScheme.Unknown else scheme is not Qt.ColorScheme.Unknown
    if follows and not _is_bare_platform(app):
        app.setPalette(_readable(QPalette()))
        return
    if app.style().name() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(build_palette(dark=Qt.ColorScheme.Dark in (wanted, scheme)))


def _is_bare_platform(app: QApplication) -> bool:
    """Offscreen and minimal platforms claim a scheme but bring no palette for it."""
    return app.platformName() in ("offscreen", "minimal")


def build_palette(*, dark: bool) -> QPalette:
    """Our own palette."""
    palette = QPalette()
    for role, name in (_DARK if dark else _LIGHT).items():
        palette.setColor(role, QColor(name))
    faded = mix(palette.color(Role.Text), palette.color(Role.Base), 0.45)
    for role in (Role.WindowText, Role.Text, Role.ButtonText):
        palette.setColor(Group.Disabled, role, faded)
    palette.setColor(Group.Disabled, Role.Highlight, palette.color(Role.Mid))
    palette.setColor(Group.Disabled, Role.Accent, palette.color(Role.Mid))
    return palette


def _readable(palette: QPalette) -> QPalette:
    """Only what we add to the system's palette: its secondary text is often too faint to read."""
    system = QApplication.palette()
    palette.setColor(Role.PlaceholderText, mix(system.color(Role.Text), system.color(Role.Base), 0.72))
    return palette


def mix(over: QColor, under: QColor, share: float) -> QColor:
    """`over` laid on `under` with opacity `share`, 0..1."""
    rest = 1.0 - share
    return QColor.fromRgbF(
        over.redF() * share + under.redF() * rest,
        over.greenF() * share + under.greenF() * rest,
        over.blueF() * share + under.blueF() * rest,
    )


def is_dark(palette: QPalette) -> bool:
    """Whether text on the palette's cards is lighter than they are."""
    return palette.color(Role.Text).lightnessF() > palette.color(Role.Base).lightnessF()


def tone(palette: QPalette, wanted: Tone) -> QColor:
    """The colour for a meaning, readable on the palette's cards."""
    if wanted is Tone.ACCENT:
        return palette.color(Role.Accent)
    if wanted is Tone.QUIET:
        return palette.color(Role.PlaceholderText)
    return QColor((_TONES_DARK if is_dark(palette) else _TONES_LIGHT)[wanted])


def line_color(palette: QPalette) -> QColor:
    """Borders of cards and unfilled parts of lines."""
    return mix(palette.color(Role.Text), palette.color(Role.Base), 0.14)


def outline_clearly(widget: QWidget) -> None:
    """Give a field an outline that can be seen on a dark window, too.

    Source: Qt's Fusion style, which takes 71 % of the window's colour for it and lets nobody else have a say.
    """
    palette = widget.palette()
    palette.setColor(Role.Window, mix(palette.color(Role.Text), palette.color(Role.Base), 0.45).lighter(140))
    widget.setPalette(palette)


def contrast(first: QColor, second: QColor) -> float:
    """Contrast ratio 1..21 as in WCAG 2, for tests and for choosing text on a filled shape."""
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(color: QColor) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF())
