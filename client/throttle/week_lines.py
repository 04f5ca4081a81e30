"""Changes of samples as JSON lines: see `client.throttle.simulate`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, get_args, get_type_hints

from client.errors import BadInput
from client.host.sample import Sample
from client.throttle.simulate import START, Change

_KINDS: Final = {field.name: get_type_hints(Sample)[field.name] for field in fields(Sample)}
_REMEDY: Final = "see docs/policy.md for what a line holds"


def parse_week(lines: Iterable[str], where: str = "the week") -> tuple[datetime, list[Change]]:
    """Read them; empty lines count for nothing.

    Args:
        where: what errors call it.

    Returns:
        When second 0 is, aware: the first line's time if it has one. And the changes, in the order of time.

    Raises:
        BadInput: a line is none.
    """
    start: datetime | None = None
    found: list[Change] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            if not isinstance(said, dict):
                raise ValueError("it is no object in braces")
            at = said.pop("at")
            if start is None:
                start = _time(at) if isinstance(at, str) else START
            s = (_time(at) - start).total_seconds() if isinstance(at, str) else float(at)
            found.append(_change(s, said))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            what = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
            raise BadInput(f"{where}, line {number}", what, _REMEDY) from error
    return start or START, sorted(found, key=lambda change: change.s)


def write_week(changes: Iterable[Change]) -> Iterable[str]:
    """They as lines, without their ends."""
    for change in changes:
        line: dict[str, Any] = {"at": round(change.s, 3)}
        line |= {name: _plain(value) for name, value in change.sample.items()}
        if change.clock_s is not None:
            line["clock_s"] = change.clock_s
        if change.spent_bytes is not None:
            line["spent_bytes"] = change.spent_bytes
        yield json.dumps(line)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} says nothing of its zone, as 2026-03-02T09:00:00+01:00 does")
    return at


def _change(s: float, said: Mapping[str, Any]) -> Change:
    if not 0 <= s < math.inf:
        raise ValueError(f"the time {s} lies before the start")
    rest = dict(said)
    clock_s, spent = rest.pop("clock_s", None), rest.pop("spent_bytes", None)
    for number in (clock_s, spent):
        if number is not None and not _is_number(number):
            raise ValueError(f"{number!r} is no number")
    return Change(s, {name: _value(name, value) for name, value in rest.items()}, clock_s, spent)


def _value(name: str, value: Any) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f"there is no {name!r}")
    kinds = get_args(kind)
    if value is None and type(None) in kinds:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value) and name in {"programs", "networks"}:
        return frozenset(value) if name == "programs" else tuple(value)
    if bool in kinds or kind is bool:
        fits = isinstance(value, bool)
    elif kind is str:
        fits = isinstance(value, str)
    else:
        fits = _is_number(value) and name not in {"programs", "networks"}
    if not fits:
        raise ValueError(f"{value!r} does not fit {name}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value
