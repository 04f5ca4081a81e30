"""The window of `interactive`: for each line on its input it draws so many seconds, and says how late frames were."""

import json
import select
import sys
import time

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from tests.bench.interactive import FRAME_S, TITLE


class Window(QWidget):
    """Draws a page of moving text 60 times a second; a key's echo is drawn at once."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle(TITLE)
        self.resize(800, 600)
        self._number = 0
        self._echoes: list[float] = []
        self._frames: list[float] = []
        self._due = self._ends = 0.0
        self._next = QTimer(self, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._next.timeout.connect(self._draw)
        # Not a thread: between two measurements nothing else is to be done but to show itself.
        self._listening = QTimer(self, interval=20)
        self._listening.timeout.connect(self._listen)
        self._listening.start()

    def paintEvent(self, _: QPaintEvent) -> None:
        """Some milliseconds of work."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(250, 250, 250))
        for row in range(30):
            painter.drawText(10, (self._number * 2 + row * 20) % 600, f"{row} the quick brown fox {self._number}")
        painter.fillRect((self._number * 5) % 800, 100, 120, 300, QColor(40, 90, 160))
        painter.drawText(20, 20, "a" * len(self._echoes))
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Echo it."""
        if not event.isAutoRepeat():
            self.repaint()
            self._echoes.append(time.monotonic())

    def _listen(self) -> None:
        if not select.select([sys.stdin], [], [], 0)[0]:
            return
        line = sys.stdin.readline()
        if not line:
            self.close()
            return
        self._listening.stop()
        self._echoes, self._frames = [], []
        self._due = time.monotonic() + FRAME_S
        self._ends = self._due + float(line)
        self._plan()

    def _plan(self) -> None:
        self._next.start(max(0, round(1000 * (self._due - time.monotonic()))))

    def _draw(self) -> None:
        self._number += 1
        self.repaint()
        now = time.monotonic()
        self._frames.append(now - self._due)
        while self._due <= now:
            self._due += FRAME_S
        if now < self._ends:
            self._plan()
            return
        print(json.dumps({"frames": self._frames, "echoes": self._echoes}), flush=True)
        self._listening.start()


if __name__ == "__main__":
    app = QApplication([])
    window = Window()
    window.show()
    app.exec()
