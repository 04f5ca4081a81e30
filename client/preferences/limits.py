"""What the preferences allow, as `Limits`; and the stricter of two."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from client.preferences.spec import TABLE, Kind, PreferenceSpec, Stricter, Value
from client.preferences.store import Preferences
from client.preferences.types import Disk, Limits, Memory, Network, Processor, When
from client.preferences.week import NEVER, Week
from client.preferences.week_text import parse_week

_PARTS: Final[Mapping[str, type]] = {
    "when": When,
    "processor": Processor,
    "memory": Memory,
    "disk": Disk,
    "network": Network,
}
_SUFFIX: Final = ".exe"


def limits_of(preferences: Preferences, project: str = "") -> Limits:
    """What is allowed.

    Args:
        project: its name; what is set for it alone holds beside what is set for all, so the stricter of both does.
    """
    limits = _limits(preferences.values())
    for own in preferences.for_project(project):
        limits = stricter(limits, _limits({**preferences.values(), **own}))
    return limits


def stricter(one: Limits, other: Limits) -> Limits:
    """What both allow."""
    joined = _joined(one, other)
    when = replace(joined.when, quiet=one.when.quiet.either(other.when.quiet))
    network = joined.network
    if one.network.only and other.network.only and not network.only:
        # No network is named by both; none named at all would mean all of them.
        network = replace(network, week=NEVER)
    if network.month_bytes:
        counted = one if one.network.month_bytes == network.month_bytes else other
        network = replace(network, month_day=counted.network.month_day)
    processor = replace(joined.processor, quiet_percent=_quiet_percent(one, other))
    return replace(joined, when=when, network=network, processor=processor)


def _limits(values: Mapping[str, Value]) -> Limits:
    parts: dict[str, dict[str, Any]] = {}
    for spec in _FIELDS:
        part, _, name = spec.field.rpartition(".")
        parts.setdefault(part, {})[name] = _field(spec, values[spec.key])
    top = parts.pop("")
    return Limits(**top, **{part: _PARTS[part](**fields) for part, fields in parts.items()})


def _field(spec: PreferenceSpec, value: Value) -> object:
    if spec.kind is Kind.WEEK:
        return parse_week(str(value))
    if spec.kind is Kind.NUMBER:
        return int(value) * spec.scale if isinstance(value, int) else value
    if spec.field == "when.programs" and isinstance(value, tuple):
        return tuple(dict.fromkeys(program_name(name) for name in value))
    return value


def program_name(name: str) -> str:
    """The name of a program as sensors give it: lower case, without `.exe`."""
    return name.strip().lower().removesuffix(_SUFFIX)


def _joined(one: Limits, other: Limits) -> Limits:
    """Field by field, each as its preference says."""
    parts: dict[str, dict[str, Any]] = {}
    for spec in _FIELDS:
        part, _, name = spec.field.rpartition(".")
        mine, theirs = (getattr(getattr(limits, part) if part else limits, name) for limits in (one, other))
        parts.setdefault(part, {})[name] = _RULES[spec.stricter](mine, theirs) if spec.stricter else mine
    top = parts.pop("")
    return Limits(**top, **{part: _PARTS[part](**fields) for part, fields in parts.items()})


def _quiet_percent(one: Limits, other: Limits) -> int:
    """Of those who have quiet hours at all: what is said for hours that there are not limits nothing."""
    said = [limits.processor.quiet_percent for limits in (one, other) if limits.when.quiet != NEVER]
    return min(said or [one.processor.quiet_percent, other.processor.quiet_percent])


def _either(one: Any, other: Any) -> Any:
    return one.either(other) if isinstance(one, Week) else tuple(dict.fromkeys((*one, *other)))


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in one if name in other) if one and other else one or other


_RULES: Final[Mapping[Stricter, Callable[[Any, Any], Any]]] = {
    Stricter.LESS: min,
    Stricter.LESS_BUT_0: lambda one, other: min(one, other) or max(one, other),
    Stricter.MORE: max,
    Stricter.NO: lambda one, other: one and other,
    Stricter.BOTH: lambda one, other: one.both(other),
    Stricter.EITHER: _either,
    Stricter.COMMON: _common,
}
_FIELDS: Final = tuple(spec for spec in TABLE if spec.field)
