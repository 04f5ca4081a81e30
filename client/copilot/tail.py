"""What a job prints, told while it runs: its last lines, at most so many of them a second.

The job is not trusted: its file may grow by gigabytes, be cut short, become a link, or hold what terminals obey. All
of it stays in the job's folder and goes to the project; this is only for people to look at.
"""

import asyncio
import contextlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from client.copilot.fields import printable

#: Between two looks at the file.
PAUSE_S: Final = 1.0
#: Most that one look reads; what is before that is left out.
MAX_READ_BYTES: Final = 8192
MAX_LINES: Final = 20
MAX_LINE_CHARS: Final = 200
#: A progress bar begins its line again and again.
_END: Final = re.compile(rb"[\r\n]+")

#: Gets lines without their ends, and how many bytes were left out before them.
LineListener = Callable[[list[str], int], None]


class OutputTail:
    """Follows one file: `start`, at last `close`. What it holds at the start is not told."""

    def __init__(self, path: Path, on_lines: LineListener) -> None:
        self._path = path
        self._on_lines = on_lines
        self._number = -1
        self._at = 0
        self._rest = b""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look; the file may be missing yet."""
        self._open()
        if self._number >= 0:
            self._at = os.fstat(self._number).st_size
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Tells what is left, also a line without end, and stops; idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        try:
            # Not awaited itself: its cancellation could not be told from our own.
            await asyncio.wait([task])
            self._look(last=True)
        finally:
            if self._number >= 0:
                os.close(self._number)
                self._number = -1

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            self._look(last=False)

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            number = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            if stat.S_ISREG(os.fstat(number).st_mode):
                self._number = number
            else:
                os.close(number)

    def _look(self, *, last: bool) -> None:
        if self._number < 0:
            self._open()
        data, left_out = self._read()
        if data or (last and self._rest):
            self._tell(data, left_out, last=last)

    def _read(self) -> tuple[bytes, int]:
        """New bytes, and how many were left out before them."""
        try:
            size = os.fstat(self._number).st_size
            if size < self._at:
                self._at, self._rest = 0, b""
            begin = max(self._at, size - MAX_READ_BYTES)
            data = os.pread(self._number, MAX_READ_BYTES, begin)
        except OSError:
            return b"", 0
        left_out = begin - self._at
        self._at = begin + len(data)
        return data, left_out

    def _tell(self, data: bytes, left_out: int, *, last: bool) -> None:
        if left_out:
            # What follows begins in the middle of a line.
            left_out += len(self._rest)
            self._rest, (head, *found) = b"", _END.split(data, maxsplit=1)
            left_out += len(head) if found else 0
            data = found[0] if found else data
        pieces = _END.split(self._rest + data)
        self._rest = b"" if last else pieces.pop()[:MAX_READ_BYTES]
        lines = [piece for piece in pieces if piece.strip()]
        left_out += sum(map(len, lines[:-MAX_LINES]))
        said = [printable(line.decode("utf-8", "replace"))[:MAX_LINE_CHARS] for line in lines[-MAX_LINES:]]
        if said:
            self._on_lines(said, left_out)
