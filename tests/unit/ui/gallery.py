"""Pictures of the window for the eye: `python -m tests.unit.ui.gallery [name ...]` fills build/screenshots/ui.

Not a test. One process for each scale, since Qt takes the scale at its start.
"""

import os
import subprocess
import sys
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[3] / "build" / "screenshots" / "ui"
SHOWN = ("stopped", "preparing", "booting", "working", "sending", "paused", "finishing", "blocked")


def draw(names: list[str], scale: int) -> None:
    """Draw each snapshot in light and dark, wide; and some narrow, right to left, and with large text."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QFont
    from PySide6.QtWidgets import QApplication

    from client.clock import SystemClock
    from tests.unit.ui import samples
    from ui.main_window import MainWindow
    from ui.theme import Theme, apply_theme

    app = QApplication([])
    usual = QFont(app.font())

    def shoot(name: str, file: str, size: tuple[int, int]) -> None:
        snapshot = samples.ALL[name]
        window = MainWindow(SystemClock(), samples.filled_trace(snapshot))
        window.build_all()
        window.show_tray_presence(has_tray=name != "stopped")
        window.resize(*size)
        window.show_snapshot(snapshot)
        window.show()
        for _ in range(3):
            app.processEvents()
        window.grab().save(str(OUTPUT / f"{file}-{scale}x.png"))
        window.may_close = True
        window.close()

    for theme in (Theme.LIGHT, Theme.DARK):
        apply_theme(app, theme)
        for name in names:
            shoot(name, f"{name}-{theme}", (1000, 760))
    apply_theme(app, Theme.LIGHT)
    shoot("working", "narrow", (480, 1180))
    app.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    shoot("sending", "rtl", (1000, 800))
    app.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
    large = QFont(usual)
    large.setPointSizeF(usual.pointSizeF() * 2)
    app.setFont(large)
    shoot("sending", "large-text", (1000, 1500))


def main() -> None:
    """Run `draw` at 1x and 2x."""
    if os.environ.get("GALLERY_SCALE"):
        draw(sys.argv[1:] or list(SHOWN), int(os.environ["GALLERY_SCALE"]))
        return
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for scale in ("1", "2"):
        surroundings = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": scale, "GALLERY_SCALE": scale}
        subprocess.run([sys.executable, "-m", "tests.unit.ui.gallery", *sys.argv[1:]], env=surroundings, check=True)
    print(f"pictures are in {OUTPUT}")


if __name__ == "__main__":
    main()
