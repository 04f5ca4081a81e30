"""Standard output that may be slow or gone, and snapshots printed on it beside the event loop.

A pager that shows its first page, or a terminal held by Ctrl-S, takes nothing for hours; `head` goes away. Neither may
hold up the work, nor its end.
"""

import asyncio
import contextlib
import io
import os
import select
import sys
from collections import deque
from typing import Final, Protocol, TextIO

from client.log import logger
from client.snapshot import ClientSnapshot

#: a pipe that is ready for writing takes so much at once without waiting. Source: POSIX, PIPE_BUF, 4096 on Linux
PIECE_BYTES: Final = min(4096, getattr(select, "PIPE_BUF", 4096))
#: how often a writer that waits looks whether it was given up
LOOK_INTERVAL_S: Final = 0.1
#: what is still to be printed at the end gets so much time
LAST_WORDS_S: Final = 2.0


class Outlet(io.TextIOBase):
    """A text stream whose writes wait for the reader only until `give_up`, and whose reader may go away.

    Writes block, so they belong into a worker thread. Where pipes cannot be asked (Windows) `give_up` cannot end a
    write that has begun.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        """Args: file: standard output when left out."""
        self._file = file or sys.stdout
        self._over = False
        self._terminal = _open_terminal(self._file)

    @property
    def over(self) -> bool:
        """Whether nobody reads any more: what is written is dropped."""
        return self._over

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self._file.encoding or "utf-8"

    def give_up(self) -> None:
        """Drop what is being written, and all that comes."""
        self._over = True

    def write(self, text: str) -> int:
        """Write and flush; a reader that is gone is no error."""
        data = text.encode(self.encoding, "replace")
        if self._terminal is not None:
            self._write_terminal(self._terminal, data)
            return len(text)
        for start in range(0, len(data), PIECE_BYTES):
            try:
                if not self._await_room():
                    break
                self._put(data[start : start + PIECE_BYTES])
            except OSError:
                self._over = True
                self._point_nowhere()
                break
        return len(text)

    def fileno(self) -> int:
        """That of the stream below."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether a person may look at it."""
        return self._file.isatty()

    def _put(self, piece: bytes) -> None:
        binary = getattr(self._file, "buffer", None)
        if binary is None:
            self._file.write(piece.decode(self.encoding, "replace"))
        else:
            binary.write(piece)
        self._file.flush()

    def _write_terminal(self, number: int, data: bytes) -> None:
        while data and self._await_room():
            try:
                data = data[os.write(number, data) :]
            except BlockingIOError:
                # Ready for less than the next character needs: look again later.
                select.poll().poll(LOOK_INTERVAL_S * 1000)
            except OSError:
                self._over = True

    def _await_room(self) -> bool:
        while not self._over:
            if self._has_room():
                return True
        return False

    def _has_room(self) -> bool:
        if not hasattr(select, "poll"):
            return True
        try:
            number = self._file.fileno()
        except (OSError, ValueError):
            return True
        waiting = select.poll()
        waiting.register(number, select.POLLOUT)
        return bool(waiting.poll(LOOK_INTERVAL_S * 1000))

    def _point_nowhere(self) -> None:
        """Else the interpreter fails at its end when it flushes the stream. Source: Python manual, SIGPIPE."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._file.fileno())
            os.close(nowhere)


def _open_terminal(file: TextIO) -> int | None:
    """A terminal anew, for writes that never wait; None for what is none.

    A terminal with a little room lets a longer write wait, and to make the standard output itself non-blocking would
    make it so for the shell too, which shares it.
    """
    if not hasattr(os, "ttyname") or not file.isatty():
        return None
    try:
        return os.open(os.ttyname(file.fileno()), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None


class Show(Protocol):
    """Draws snapshots on a terminal.

    Attributes:
        backlog: how many snapshots may wait while one is drawn; of more the oldest are left out.
        outlet: where it draws.
    """

    backlog: int
    outlet: Outlet

    def show(self, snapshot: ClientSnapshot) -> None:
        """Draw the state; may block, called in a worker thread."""

    def close(self) -> None:
        """Leave the terminal tidy. Idempotent."""


class Printer:
    """Has snapshots drawn one after the other in a worker thread; the loop never waits for the reader."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._due: deque[ClientSnapshot] = deque(maxlen=show.backlog)
        self._task: asyncio.Task[None] | None = None

    def put(self, snapshot: ClientSnapshot) -> None:
        """Have a snapshot drawn soon. Needs a running loop.

        Raises:
            Exception: whatever the drawing of a former one failed with.
        """
        self._due.append(snapshot)
        if self._task is not None and self._task.done() and not self._task.cancelled():
            done, self._task = self._task, None
            done.result()
        if self._task is None:
            self._task = asyncio.create_task(self._draw())

    async def close(self) -> None:
        """Draw what is due and tidy up, or give both up after LAST_WORDS_S."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._finish()
                await asyncio.to_thread(self._show.close)
        except TimeoutError:
            logger("control").debug("Nobody takes what is still to be printed")
        finally:
            self._show.outlet.give_up()

    async def _finish(self) -> None:
        """Raises nothing of the drawing itself: the end goes on without it."""
        if self._task is not None:
            (failure,) = await asyncio.gather(self._task, return_exceptions=True)
            if isinstance(failure, Exception):
                logger("control").warning("Drawing the state failed: %r", failure)

    async def _draw(self) -> None:
        while self._due:
            await asyncio.to_thread(self._show.show, self._due.popleft())
