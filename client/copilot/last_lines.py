"""What a job printed last, for people who look for why it did not reach its end.

The job is not trusted: in its folder there may be anything under the names of its output files.
"""

import os
import stat
from pathlib import Path
from typing import Final

from client.copilot.fields import printable

MAX_CHARS: Final = 1000
_MAX_LINES: Final = 10
_MAX_LINE_CHARS: Final = 200
_LAST_BYTES: Final = 4096


def last_printed(folder: Path) -> str:
    """The last lines of a work directory's `stdout`; of its `stderr` if there are none."""
    lines = last_lines(folder / "stdout") or last_lines(folder / "stderr")
    return "\n".join(lines)[-MAX_CHARS:]


def last_lines(path: Path) -> list[str]:
    """The last lines of a file that are not blank, without control characters; of anything but a file, none."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        about = os.fstat(number)
        # A second name may be that of a file that is not the job's.
        if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
            return []
        lines = (
            os.pread(number, _LAST_BYTES, max(0, about.st_size - _LAST_BYTES)).decode("utf-8", "replace").splitlines()
        )
    except OSError:
        return []
    finally:
        os.close(number)
    said = [printable(line).strip()[:_MAX_LINE_CHARS] for line in lines]
    return [line for line in said if line][-_MAX_LINES:]
