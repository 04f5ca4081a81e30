"""The one place that knows both Qt's main thread and the core's asyncio thread.

The core runs in a thread named `core` with a plain asyncio loop. Snapshots come over as "there is a newer one": only
the newest is kept, and at most one wake-up waits in the main thread, so a frozen window costs the core nothing.
Commands go over by `call_soon_threadsafe`. No other file of `ui/` may use `threading`.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from PySide6.QtCore import QObject, Qt, Signal

from client.commands import Command
from client.snapshot import ClientSnapshot, Problem, Severity

log = logging.getLogger("ui")

#: Least time between two wake-ups of the main thread: a lone change shows at once, a burst as five pictures a second.
WAKE_INTERVAL_S: Final = 0.2
CORE_FAILED: Final = "core-failed"


class CorePort(Protocol):
    """The core's side of the border. All of it is for the core's own thread."""

    def publish(self, snapshot: ClientSnapshot) -> None:
        """Show this snapshot; only the newest is kept."""

    def show_window(self) -> bool:
        """Bring the window to the front, as when the program is started a second time. True: there is a window."""

    async def next_command(self) -> Command:
        """The next thing asked by the volunteer, in order, none lost."""


CoreMain = Callable[[CorePort], Awaitable[None]]


class _Port:
    """`CorePort` for one run of the core; made in the core's thread."""

    def __init__(self, bridge: "CoreThread", loop: asyncio.AbstractEventLoop) -> None:
        self._bridge = bridge
        self.loop = loop
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self._last_wake = -WAKE_INTERVAL_S
        self._wake_planned = False

    def publish(self, snapshot: ClientSnapshot) -> None:
        self._bridge.keep(snapshot)
        if self._wake_planned:
            return
        wait_s = self._last_wake + WAKE_INTERVAL_S - self.loop.time()
        if wait_s <= 0:
            self.wake()
        else:
            self._wake_planned = True
            self.loop.call_later(wait_s, self.wake)

    def wake(self) -> None:
        self._wake_planned = False
        self._last_wake = self.loop.time()
        self._bridge.wake()

    def show_window(self) -> bool:
        self._bridge.window_asked.emit()
        return True

    async def next_command(self) -> Command:
        return await self.commands.get()


class CoreThread(QObject):
    """Runs the core in its own thread; lives in the main thread.

    Signals:
        snapshot_changed: the newest `ClientSnapshot`, in the main thread.
        window_asked: somebody wants to see the window.
        ended: the core is over; a `Problem` if by an error, else None. Sent once, in the main thread.
    """

    snapshot_changed = Signal(object)
    window_asked = Signal()
    ended = Signal(object)
    _woken = Signal()
    _finished = Signal()

    def __init__(self, main: CoreMain, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._main = main
        self._thread = threading.Thread(target=self._run, name="core", daemon=True)
        self._lock = threading.Lock()
        self._port: _Port | None = None
        self._task: asyncio.Future[None] | None = None
        self._early: list[Command] = []
        self._newest: ClientSnapshot | None = None
        self._wake_waits = False
        self._over = False
        self._cancelled_early = False
        self._problem: Problem | None = None
        self._woken.connect(self._on_woken, Qt.ConnectionType.QueuedConnection)
        self._finished.connect(self._on_finished, Qt.ConnectionType.QueuedConnection)

    # -- for the main thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    def send(self, command: Command) -> None:
        """Hand a command to the core; before it listens the command is kept, after its end it is dropped."""
        with self._lock:
            if self._port is None:
                self._early.append(command)
            elif not self._over:
                self._port.loop.call_soon_threadsafe(self._port.commands.put_nowait, command)

    def cancel(self) -> None:
        """Cancel the core's coroutine: for a core that does not end when it is asked to."""
        with self._lock:
            if self._port is None or self._task is None:
                self._cancelled_early = True
            elif not self._over:
                self._port.loop.call_soon_threadsafe(self._task.cancel)

    def join(self, limit_s: float) -> bool:
        """Wait for the thread's end, at most `limit_s` seconds. Returns whether it is over."""
        if self._thread.ident is not None:
            self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _on_woken(self) -> None:
        with self._lock:
            snapshot, self._newest, self._wake_waits = self._newest, None, False
        if snapshot is not None:
            self.snapshot_changed.emit(snapshot)

    def _on_finished(self) -> None:
        self.ended.emit(self._problem)

    # -- for the core's thread ----------------------------------------------------------------------------------

    def keep(self, snapshot: ClientSnapshot) -> None:
        """Remember the newest snapshot."""
        with self._lock:
            self._newest = snapshot

    def wake(self) -> None:
        """Tell the main thread that there is news, unless it has been told and has not looked yet."""
        with self._lock:
            told, self._wake_waits = self._wake_waits, True
        if not told:
            self._woken.emit()

    def _run(self) -> None:
        asyncio.run(self._serve())
        self._finished.emit()

    async def _serve(self) -> None:
        port = _Port(self, asyncio.get_running_loop())
        with self._lock:
            for command in self._early:
                port.commands.put_nowait(command)
            self._early.clear()
            self._task = asyncio.ensure_future(self._main(port))
            self._port = port
            if self._cancelled_early:
                self._task.cancel()
        await asyncio.wait({self._task})
        with self._lock:
            # The loop closes soon; who sends after this finds nobody.
            self._over = True
        port.wake()
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None:
            log.error("the core ended by an error", exc_info=error)
            self._problem = core_problem(error)


def core_problem(error: BaseException) -> Problem:
    """What the window says when the core ended by an error that nobody handled."""
    said = str(error)
    return Problem(
        code=CORE_FAILED,
        about="program",
        text=f"The program's core stopped: {type(error).__name__}{f': {said}' if said else ''}.",
        doing="The virtual machine keeps its work for a while. Quit and start the program again to go on from there.",
        severity=Severity.ERROR,
        since=datetime.now(UTC),
    )
