"""Values of preferences: what fits, what a word of the command line means, how a value is written."""

import csv
import difflib
import io
from collections.abc import Iterable
from typing import Any, Final, cast

from client.errors import BadInput
from client.preferences.spec import BY_KEY, Kind, PreferenceSpec, Value
from client.preferences.week_text import parse_week, write_week

FLAGS: Final = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
#: of a list of names, and of one of them
MOST_NAMES: Final = 200
MOST_LETTERS: Final = 200
#: more digits than any bound has, and few enough for every reader of numbers
_MOST_DIGITS: Final = 18


def spec_of(key: str) -> PreferenceSpec:
    """The preference of a key.

    Raises:
        BadInput: there is none; the nearest is named.
    """
    spec = BY_KEY.get(key)
    if spec is None:
        near = difflib.get_close_matches(key, BY_KEY, 1)
        remedy = f"did you mean {near[0]}?" if near else "main.py preferences lists all"
        raise BadInput("preferences", f"there is no preference {key!r}", remedy)
    return spec


def parse(key: str, text: str) -> Value:
    """The value that a text means for a preference.

    Raises:
        BadInput: no such key, or the text does not fit.
    """
    spec = spec_of(key)
    value = _meant(spec, text.strip())
    wrong = check(spec, value)
    if wrong:
        raise BadInput(f"preference {key}", f"{text!r} does not fit", wrong)
    return canonical(spec, value)


def parse_sets(sets: Iterable[str]) -> dict[str, Value]:
    """Preferences by key, from `KEY=VALUE` words.

    Raises:
        BadInput: one does not fit.
    """
    values = {}
    for word in sets:
        key, equals, text = word.partition("=")
        if not equals:
            raise BadInput("--set", f"{word!r} is not KEY=VALUE", "write for example --set guest.cpus=2")
        values[key] = parse(key, text)
    return values


def check(spec: PreferenceSpec, value: object) -> str:
    """What is wrong with a value, as a remedy; empty when it fits. Names may be a list or a tuple."""
    match spec.kind:
        case Kind.FLAG:
            return "" if isinstance(value, bool) else "say yes or no; in a file, true or false"
        case Kind.NUMBER:
            fits = isinstance(value, int) and not isinstance(value, bool) and spec.minimum <= value <= spec.maximum
            return "" if fits else f"give a whole number from {spec.minimum} to {spec.maximum}"
        case Kind.NAMES:
            return _wrong_names(value)
    if not isinstance(value, str):
        return "give a text"
    if spec.kind is Kind.WEEK:
        return _wrong_week(value)
    if spec.kind is Kind.WORD:
        return "" if value in spec.choices else f"choose one of {', '.join(spec.choices)}"
    return _wrong_name(value)


def canonical(spec: PreferenceSpec, value: Any) -> Value:
    """A value that fits, in the one way in which it is written."""
    if spec.kind is Kind.WEEK:
        return write_week(parse_week(value))
    if spec.kind is Kind.NAMES:
        return tuple(dict.fromkeys(name.strip() for name in value))
    # `check` has looked at it.
    return cast(Value, value)


def shown(value: Value) -> str:
    """A value as it is written on the command line; `parse` reads it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value)
        return line.getvalue()
    return str(value)


def told(spec: PreferenceSpec, value: Value) -> str:
    """A value for people: with its unit, and with what it means where it is special."""
    if value == 0 and spec.zero and spec.kind is Kind.NUMBER:
        return f"0 ({spec.zero})"
    if spec.kind is Kind.FLAG:
        return "yes" if value else "no"
    if value in {(), ""}:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(value)
    number = f"{value:,}" if spec.kind is Kind.NUMBER else shown(value)
    return f"{number} {spec.unit}".strip()


def _meant(spec: PreferenceSpec, text: str) -> Value:
    if spec.kind is Kind.FLAG:
        return FLAGS.get(text.lower(), text)
    if spec.kind is Kind.NUMBER:
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else text
    if spec.kind is Kind.NAMES:
        try:
            return tuple(name.strip() for row in csv.reader([text], skipinitialspace=True, strict=True) for name in row)
        except csv.Error:
            return text
    return text


def _wrong_names(value: object) -> str:
    if not isinstance(value, list | tuple):
        return 'give names with commas between them, in the file ["as", "a list"]'
    if len(value) > MOST_NAMES:
        return f"give at most {MOST_NAMES} names"
    return next((wrong for wrong in map(_wrong_name, value) if wrong), "")


def _wrong_name(value: object) -> str:
    fits = isinstance(value, str) and value.strip() and len(value) <= MOST_LETTERS and value.isprintable()
    return "" if fits else f"give names of 1 to {MOST_LETTERS} letters"


def _wrong_week(text: str) -> str:
    try:
        parse_week(text)
    except BadInput as error:
        return f"{error.what}; {error.remedy}"
    return ""
