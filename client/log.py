"""Loggers, one per area, and where their lines go: a JSON-lines file, and whoever shows them."""

import json
import logging
import logging.handlers
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


class _Tap(logging.Handler):
    def __init__(self, show: Callable[[datetime, str, str, str], None]) -> None:
        super().__init__(logging.INFO)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC)
        self._show(at, record.levelname.lower(), record.name.removeprefix(f"{ROOT}."), record.getMessage())


def to_file(path: Path, level: int = logging.INFO) -> logging.Handler:
    """Write all areas to a rotated file. Returns the handler, for `remove`."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
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
