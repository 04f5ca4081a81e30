"""SQLite files that are nobody else's: they hold who works for a project, what it computes, and what agents said."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

_MODE: Final = 0o600
#: SQLite gives files that it adds the mode of the database.
_PARTS: Final = ("", "-wal", "-shm", "-journal")


def keep_private(path: Path) -> None:
    """Have a database for its owner alone, also one that was made before; to be called before it is opened.

    What cannot be changed stays: opening it then says what is wrong with it, if anything is.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    # By name: to close a file that this process has open as a database would take its locks away.
    for part in _PARTS:
        with contextlib.suppress(OSError):
            file = Path(f"{path}{part}")
            if stat.S_IMODE(file.stat().st_mode) & ~_MODE:
                file.chmod(_MODE)
