"""Reads JSON that a job wrote: it may be anything."""

import json
from pathlib import Path
from typing import Any, Final, NoReturn

from client.copilot.managers.errors import OutputRefused

MAX_BYTES: Final = 1024 * 1024


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of an output.

    Raises:
        OutputRefused: it is not there, too large, or no object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OutputRefused(f"the output has no {path.name}") from error
    if len(content) > MAX_BYTES:
        raise OutputRefused(f"{path.name} is too large")
    try:
        said = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise OutputRefused(f"{path.name} is not JSON") from error
    if not isinstance(said, dict):
        raise OutputRefused(f"{path.name} is not an object")
    return said


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)
