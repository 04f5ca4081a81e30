"""Times in the words of the policy's sentences."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
#: a wait that is shorter is not worth a time of the day
_SOON_S: Final = 15.0


def at_words(then: datetime, now: datetime) -> str:
    """When something is, on the wall clock of `now`: `at 18:00`, `Monday at 08:00`, `1 March at 00:00`."""
    local = then.astimezone(now.tzinfo)
    clock = f"at {local:%H:%M}"
    if local.date() == now.date():
        return clock
    if 0 < (local.date() - now.date()).days < 7:
        return f"{_DAYS[local.weekday()]} {clock}"
    return f"{local.day} {_MONTHS[local.month - 1]} {clock}"


def wait_words(then: datetime, now: datetime) -> str:
    """When a short wait ends."""
    if (then - now).total_seconds() <= _SOON_S:
        return "in a moment"
    return f"{at_words(then, now)} if nothing changes"


def span_words(seconds: float) -> str:
    """How long something is: `3 minutes`, `45 seconds`, `an hour`, `90 minutes`."""
    whole = round(seconds)
    if whole == 3600:
        return "an hour"
    if whole % 3600 == 0 and whole:
        return f"{whole // 3600} hours"
    if whole % 60 == 0 and whole:
        return "a minute" if whole == 60 else f"{whole // 60} minutes"
    return "a second" if whole == 1 else f"{whole} seconds"


def list_words(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
