"""TOML that others wrote, read with limits: the reader of the standard library has none."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

#: no file that this program takes from elsewhere comes near it
MOST_BYTES: Final = 1 << 20
#: a name of forty parts: the reader takes minutes for one of ten thousands
DEEP_NAME: Final = re.compile(r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){40}""")


class BadToml(ValueError):
    """A text that is no TOML, or more than can be meant seriously; in words for people."""


def read_toml(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """What is in a file.

    Raises:
        OSError: it cannot be read.
        BadToml
    """
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise BadToml(f"it is longer than {most_bytes} bytes")
    try:
        # Editors on Windows put a mark before the first character.
        return parse_toml(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadToml("it is not text in UTF-8") from error


def parse_toml(text: str) -> dict[str, Any]:
    """What is in a text.

    Raises:
        BadToml
    """
    if DEEP_NAME.search(text):
        raise BadToml("it has a name of more than 40 parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadToml(str(error)) from error
    except (RecursionError, ValueError) as error:
        # Python refuses numbers of thousands of digits with a ValueError.
        raise BadToml("it is nested too deeply, or has a number that is too long") from error
