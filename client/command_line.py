"""A parser of command lines that says what is wrong in one sentence, as all of this program does."""

import argparse
import contextlib
import difflib
import math
import re
from typing import Final, NoReturn

from client.errors import BadInput

_CHOICE: Final = re.compile(r"argument (?P<where>\S+): invalid choice: (?P<said>.*?) \(choose from (?P<known>.*)\)")
_NUMBER: Final = re.compile(r"argument (?P<where>\S+): invalid (?P<kind>int|float) value: (?P<said>.*)")
_MISSING: Final = re.compile(r"the following arguments are required: (?P<names>.*)")
_UNKNOWN: Final = re.compile(r"unrecognized arguments: (?P<said>.*)")
_NO_VALUE: Final = re.compile(r"argument (?P<where>\S+): expected one argument")
_OTHER: Final = re.compile(r"argument (?P<where>\S+): (?P<said>.*)")


class Parser(argparse.ArgumentParser):
    """As argparse's, but what does not fit is raised as `BadInput`.

    Source: the sentences of argparse in Python 3.11 to 3.13; what they are not any more is passed on as it is.
    """

    def error(self, message: str) -> NoReturn:
        """Raise it."""
        what, remedy = explain(message)
        raise BadInput(self.prog, what, remedy or f"{self.prog} --help tells what it takes")


def span_s(text: str) -> float:
    """A time to wait, in seconds, for the `type` of an option.

    Raises:
        argparse.ArgumentTypeError: it is no number, below 0, or has no end.
    """
    with contextlib.suppress(ValueError):
        if math.isfinite(seconds := float(text)) and seconds >= 0:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")


def explain(message: str) -> tuple[str, str]:
    """What argparse says, in other words: what is wrong, and what to do if that is known."""
    if found := _CHOICE.fullmatch(message):
        said, known = found["said"].strip("'"), re.findall(r"[^\s,']+", found["known"])
        near = difflib.get_close_matches(said, known, 1)
        return f"there is no {said!r}", f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
    if found := _NUMBER.fullmatch(message):
        kind = "whole number" if found["kind"] == "int" else "number"
        return f"{found['said']} is no {kind}", f"give one for {found['where']}"
    if found := _MISSING.fullmatch(message):
        *first, last = found["names"].split(", ")
        return f"{', '.join(first)} and {last} are missing" if first else f"{last} is missing", ""
    if found := _UNKNOWN.fullmatch(message):
        return f"{found['said']!r} is not understood", ""
    if found := _NO_VALUE.fullmatch(message):
        where = found["where"].rpartition("/")[2]
        return f"{where} has no value", f"write it behind; one that begins with - as {where}=VALUE"
    if found := _OTHER.fullmatch(message):
        return f"{found['where']}: {found['said']}", ""
    return message, ""
