"""What managers tell a monitor: the original's five commands, and one of ours that holds many events in one stanza.

A monitor answers nothing and confirms nothing (`noack`). What it is told is hostile: names, numbers and sizes are
limited here.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

from client.copilot import fields as wire
from client.copilot.fields import Codec
from client.copilot.messages import Info, parse_among

MAX_NAME: Final = 200
#: a JSON text in a stanza, in bytes
MAX_DETAILS_BYTES: Final = 16 * 1024
#: names in one `reportEvents`
MAX_EVENTS: Final = 300
#: a sum, a value: what a double keeps exactly
MAX_NUMBER: Final = 2.0**53
#: of what is counted in one report: so that no sum of many outgrows the 64 bits that SQLite has
MAX_COUNT: Final = 10.0**9
MAX_DURATION_S: Final = 366 * 86400.0


@dataclass(frozen=True)
class Spread:
    """Numbers added up: how many, their sum, the least and the greatest."""

    number: int
    total: float
    low: float
    high: float

    def joined(self, other: "Spread") -> "Spread":
        """Both together."""
        return Spread(
            self.number + other.number, self.total + other.total, min(self.low, other.low), max(self.high, other.high)
        )


def one(value: float) -> Spread:
    """A single number."""
    return Spread(1, value, value, value)


@dataclass(frozen=True)
class Tally:
    """What happened in a short time, by the event's name: how often, how long (seconds), and the last value."""

    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    durations: Mapping[str, Spread] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def _parse_real(low: float, high: float) -> Codec:
    def parse(value: str) -> float:
        try:
            return check_real(float(value), low, high)
        except ValueError as wrong:
            raise ValueError("is not a number within limits") from wrong

    return Codec(parse, repr)


def check_real(value: object, low: float, high: float) -> float:
    """A number within limits.

    Raises:
        ValueError: it is none, or is beyond them.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("is not a number")
    # Compared as it is: a whole number of 400 digits cannot be made a double.
    if not low <= value <= high:
        raise ValueError("is beyond the limits")
    return float(value)


def _parse_name(value: str) -> str:
    if not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"is empty or longer than {MAX_NAME}")
    return wire.printable(value)


def parse_json(value: str) -> dict[str, Any]:
    """A JSON object of limited size.

    Raises:
        ValueError: it is none.
    """
    if len(value.encode("utf-8", "replace")) > MAX_DETAILS_BYTES:
        raise ValueError(f"is longer than {MAX_DETAILS_BYTES} bytes")
    try:
        said = json.loads(value, parse_constant=_no_constant, parse_float=_parse_float)
    except RecursionError as deep:
        raise ValueError("is nested too deeply") from deep
    if not isinstance(said, dict):
        raise ValueError("is not a JSON object")
    return said


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _parse_float(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError("has a number beyond all limits")
    return found


def _parse_tally(value: str) -> Tally:
    said = parse_json(value)
    counts, durations, values = (_table(said, name) for name in ("counts", "durations", "values"))
    if len(counts) + len(durations) + len(values) > MAX_EVENTS:
        raise ValueError(f"has more than {MAX_EVENTS} names")
    return Tally(
        {_parse_name(name): int(check_real(number, 1, MAX_COUNT)) for name, number in counts.items()},
        {_parse_name(name): _parse_spread(numbers) for name, numbers in durations.items()},
        {_parse_name(name): check_real(number, -MAX_NUMBER, MAX_NUMBER) for name, number in values.items()},
    )


def _table(said: dict[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} is not an object")
    return found


def _parse_spread(numbers: object) -> Spread:
    if not isinstance(numbers, list) or len(numbers) != 4:
        raise ValueError("a duration is not four numbers")
    number = int(check_real(numbers[0], 1, MAX_COUNT))
    low, high = (check_real(value, 0, MAX_DURATION_S) for value in numbers[2:])
    total = check_real(numbers[1], 0, MAX_NUMBER)
    # A sum that its parts cannot have would spoil the mean, whatever its size.
    if low > high or not low * number * 0.999 <= total <= high * number * 1.001:
        raise ValueError("a duration contradicts itself")
    return Spread(number, total, low, high)


def _build_tally(tally: Tally) -> str:
    said = {
        "counts": dict(tally.counts),
        "durations": {name: [it.number, it.total, it.low, it.high] for name, it in tally.durations.items()},
        "values": dict(tally.values),
    }
    return json.dumps({name: table for name, table in said.items() if table}, separators=(",", ":"))


NAME: Final = Codec(_parse_name)
DURATION: Final = _parse_real(0, MAX_DURATION_S)
NUMBER: Final = _parse_real(-MAX_NUMBER, MAX_NUMBER)
JSON: Final = Codec(parse_json, lambda said: json.dumps(said, separators=(",", ":")))
TALLY: Final = Codec(_parse_tally, _build_tally)


@dataclass(frozen=True)
class ReportEvent:
    """Component to monitor: it happened once."""

    command: ClassVar[str] = "reportEvent"
    component: str = field(metadata=wire.required("component", NAME))
    event: str = field(metadata=wire.required("event", NAME))


@dataclass(frozen=True)
class ReportEventDuration:
    """Component to monitor: it took this long. duration_s: seconds."""

    command: ClassVar[str] = "reportEventDuration"
    component: str = field(metadata=wire.required("component", NAME))
    event: str = field(metadata=wire.required("event", NAME))
    duration_s: float = field(metadata=wire.required("duration", DURATION))


@dataclass(frozen=True)
class ReportEventValue:
    """Component to monitor: it has this value now."""

    command: ClassVar[str] = "reportEventValue"
    component: str = field(metadata=wire.required("component", NAME))
    event: str = field(metadata=wire.required("event", NAME))
    value: float = field(metadata=wire.required("value", NUMBER))


@dataclass(frozen=True)
class StoreEventDetails:
    """Component to monitor: keep this JSON object; its `session`, if it has one, names it."""

    command: ClassVar[str] = "storeEventDetails"
    details: dict[str, Any] = field(metadata=wire.required("details", JSON))


@dataclass(frozen=True)
class UpdateEventDetails:
    """Component to monitor: these values of the object named `session` are others now."""

    command: ClassVar[str] = "updateEventDetails"
    session: str = field(metadata=wire.required("session", NAME))
    updates: dict[str, Any] = field(metadata=wire.required("updates", JSON))


@dataclass(frozen=True)
class ReportEvents:
    """Extension. Component to monitor: all that happened since the last one."""

    command: ClassVar[str] = "reportEvents"
    component: str = field(metadata=wire.required("component", NAME))
    tally: Tally = field(metadata=wire.required("events", TALLY))


Report: TypeAlias = (
    ReportEvent | ReportEventDuration | ReportEventValue | StoreEventDetails | UpdateEventDetails | ReportEvents
)
_KINDS: Final[Mapping[str, type[Any]]] = {kind.command: kind for kind in Report.__args__}


def parse_report(info: Info) -> Report | None:
    """What a component tells a monitor; None when it is something else.

    Raises:
        BadStanza: a known command with a missing or unusable value.
    """
    found: Report | None = parse_among(_KINDS, info)
    return found
