"""Loggers, one per area, and where their lines go: a JSON-lines file, and whoever shows them."""

import contextlib
import json
import logging
import logging.handlers
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

#: every area that logs; `--logfilter` takes these names
AREAS: Final = ("core", "hypervisor", "appliance", "guest", "agent", "job", "project", "control", "site", "ui")
ROOT: Final = "volunteer"
#: the file is rotated at this size, and this many old ones are kept
FILE_BYTES: Final = 2 * 1024 * 1024
FILES_KEPT: Final = 3
_UNWRITTEN: Final = "{path}: this log cannot be written ({why}). All else goes on; make room, and it is logged again."


def logger(area: str) -> logging.Logger:
    """The logger of an area.

    Args:
        area: one of AREAS.
    """
    assert area in AREAS, area
    return logging.getLogger(f"{ROOT}.{area}")


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: at, level, area, text, and fields given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, no newline at the end."""
        said = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "area": record.name.removeprefix(f"{ROOT}."),
            "text": record.getMessage(),
        }
        said.update(getattr(record, "fields", {}))
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


class _File(logging.handlers.RotatingFileHandler):
    """A rotated file; when the disk does not take a line, that is said once, and work goes on without the line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        self._is_written = True
        self._was_told = False

    def emit(self, record: logging.LogRecord) -> None:
        self._is_written = True
        super().emit(record)
        self._was_told = self._was_told and not self._is_written

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._is_written = False
        if not self._was_told and sys.stderr is not None:
            self._was_told = True
            # Standard error may be a file on the same disk.
            with contextlib.suppress(OSError):
                print(_UNWRITTEN.format(path=self.baseFilename, why=error.strerror), file=sys.stderr, flush=True)

    def close(self) -> None:
        # What the disk did not take is tried once more here.
        with contextlib.suppress(OSError):
            super().close()


class _Tap(logging.Handler):
    def __init__(self, show: Callable[[datetime, str, str, str], None]) -> None:
        super().__init__(logging.INFO)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC)
        self._show(at, record.levelname.lower(), record.name.removeprefix(f"{ROOT}."), record.getMessage())


def to_file(path: Path, level: int = logging.INFO) -> logging.Handler:
    """Write all areas to a rotated file. Returns the handler, for `remove`."""
    handler = _File(path)
    handler.setFormatter(JsonFormatter())
    handler.setLevel(level)
    return _add(handler)


def to_listener(show: Callable[[datetime, str, str, str], None]) -> logging.Handler:
    """Call `show(at, level, area, text)` for each line of level info or above. Returns the handler, for `remove`."""
    return _add(_Tap(show))


def remove(handler: logging.Handler) -> None:
    """Undo `to_file` or `to_listener`."""
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()


def _add(handler: logging.Handler) -> logging.Handler:
    root = logging.getLogger(ROOT)
    root.setLevel(logging.DEBUG)
    root.propagate = False
    root.addHandler(handler)
    return handler
