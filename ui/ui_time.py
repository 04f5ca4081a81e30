"""How long the UI thread is busy at a stretch, in its own CPU time.

A cheap upper bound of "no call over 50 ms": between two moments at which the event loop goes to sleep, all that the
thread computed is one stretch, which may hold several calls. One call of `thread_time` per turn of the loop; nothing
is installed unless it is asked for.
"""

import time
from collections.abc import Callable

from PySide6.QtCore import QAbstractEventDispatcher, QObject


class UiTime(QObject):
    """Measures the longest stretch since `start` of the thread it lives in.

    Args:
        thread_time: CPU seconds of the calling thread.
    """

    def __init__(self, parent: QObject | None = None, *, thread_time: Callable[[], float] = time.thread_time) -> None:
        super().__init__(parent)
        self._thread_time = thread_time
        self._since: float | None = None
        self.longest_s = 0.0
        self.stretches = 0

    @property
    def longest_call_ms(self) -> float:
        """The longest stretch so far, milliseconds of CPU time."""
        return round(self.longest_s * 1000, 3)

    def start(self) -> None:
        """Measure from now on."""
        dispatcher = QAbstractEventDispatcher.instance()
        dispatcher.aboutToBlock.connect(self.note)
        self._since = self._thread_time()

    def note(self) -> None:
        """The loop goes to sleep: a stretch has ended."""
        now = self._thread_time()
        if self._since is not None:
            self.longest_s = max(self.longest_s, now - self._since)
            self.stretches += 1
        self._since = now
