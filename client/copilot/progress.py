"""Progress of a job: JSON objects on the pipe whose number is in $VC_PROGRESS_FD, or in the file $VC_PROGRESS_FILE.

    {"done": 120, "total": 500, "unit": "events"}

The pipe takes one a line; the file holds one and is written anew each time. The job is not trusted: what is too long,
is not that, or comes too fast is dropped; the newest one counts.
"""

import asyncio
import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from client.copilot.report import Progress

MAX_LINE_BYTES: Final = 1000
MAX_COUNT: Final = 1e15
#: Between two looks into the pipe.
PAUSE_S: Final = 0.25
_CHUNK_BYTES: Final = 64 * 1024


def parse_progress(line: bytes) -> Progress | None:
    """What a line says; None when it is not a progress line."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    done, total, unit = _count(said.get("done")), _count(said.get("total", 0)), said.get("unit", "")
    if done is None or total is None or not isinstance(unit, str):
        return None
    return Progress(done, total, unit[:64].encode("utf-8", "replace").decode())


def _count(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MAX_COUNT and math.isfinite(value) else None


class ProgressPipe:
    """The pipe and the file: hand `write_end` to the child, then `start`, at last `close`.

    Args:
        file: where the job may write its progress instead.
    """

    def __init__(self, on_progress: Callable[[Progress], None], file: Path | None = None) -> None:
        self._on_progress = on_progress
        self._file = file
        self._file_seen: tuple[int, int] | None = None
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.write_end, True)
        self._rest = b""
        self._told: Progress | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """To be called when the child has the write end."""
        os.close(self.write_end)
        self.write_end = -1
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Takes what is left in the pipe and closes it; idempotent."""
        task, self._task = self._task, None
        try:
            if task is not None:
                task.cancel()
                # Not awaited itself: its cancellation could not be told from our own.
                await asyncio.wait([task])
                self._look()
        finally:
            for end in (self._read_end, self.write_end):
                if end >= 0:
                    os.close(end)
            self._read_end = self.write_end = -1

    async def _read(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(PAUSE_S)

    def _look(self) -> None:
        self._look_into_pipe()
        if self._file is not None:
            self._look_into_file(self._file)

    def _look_into_file(self, path: Path) -> None:
        """Reads it when it has changed; half of what is just being written is no progress, and is read again."""
        try:
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            about = os.fstat(number)
            seen = (about.st_ino, about.st_mtime_ns)
            if not stat.S_ISREG(about.st_mode) or seen == self._file_seen:
                return
            found = parse_progress(os.read(number, MAX_LINE_BYTES + 1))
        except OSError:
            return
        finally:
            os.close(number)
        if found is not None:
            self._file_seen = seen
            self._tell(found)

    def _tell(self, found: Progress) -> None:
        if found != self._told:
            self._told = found
            self._on_progress(found)

    def _look_into_pipe(self) -> None:
        """One bounded read: a job that floods the pipe waits for us, not we for it."""
        try:
            data = os.read(self._read_end, _CHUNK_BYTES)
        except OSError:
            return
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[: MAX_LINE_BYTES + 1]
        newest = next((found for found in map(parse_progress, reversed(lines)) if found), None)
        if newest is not None:
            self._tell(newest)
