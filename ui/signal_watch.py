"""SIGINT and SIGTERM as a call in Qt's event loop."""

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from PySide6.QtCore import QSocketNotifier, QTimer


class SignalWatch:
    """Calls `slot` in the main thread for each SIGINT and SIGTERM, within a `with` block.

    Python runs signal handlers only when its own code runs, and Qt's loop may sleep for long. The interpreter writes
    a byte to a socket for each signal, and the event loop wakes up for that: no timer is needed.
    """

    def __init__(self, slot: Callable[[], None]) -> None:
        self._slot = slot

    def __enter__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(self._drain)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._notifier.setEnabled(False)
        self._reader.close()
        self._writer.close()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._reader.recv(256)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        QTimer.singleShot(0, self._slot)
