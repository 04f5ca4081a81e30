"""What the monitor was told, added up: since the last look, and since its start. Names are made harmless here."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from client.copilot.events import MAX_NUMBER, Spread, Tally, one

#: different things that are told apart; what is beyond is counted as refused
MAX_SERIES: Final = 500
#: of those, names that agents choose: they must not take the room of the others
CHOSEN: Final = "agent.seen."
MAX_CHOSEN: Final = 50
_MAX_PARTS: Final = 8
_MAX_PART: Final = 40
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Kind(StrEnum):
    """What the numbers of a series are."""

    #: how often it happened
    COUNT = "count"
    #: how long it took, in seconds
    DURATION = "duration"
    #: what it was
    VALUE = "value"


class Series(NamedTuple):
    """A sequence of numbers. component, event: words of letters, digits, `_` and `-`, joined by dots."""

    component: str
    event: str
    kind: Kind


class Slots:
    """Numbers by series, until somebody takes them."""

    def __init__(self) -> None:
        self._held: dict[Series, Spread] = {}

    def put(self, slots: Mapping[Series, Spread]) -> None:
        """Add these."""
        for series, spread in slots.items():
            before = self._held.get(series)
            self._held[series] = before.joined(spread) if before else spread

    def take(self) -> dict[Series, Spread]:
        """What was added since the last time."""
        held, self._held = self._held, {}
        return held


class Ledger:
    """Adds up what is told. Attributes: refused: how many numbers were not taken, because there were too many names."""

    def __init__(self) -> None:
        self.refused = 0
        self.totals: dict[Series, Spread] = {}
        self.last: dict[Series, float] = {}
        self._fresh = Slots()
        self._chosen = 0

    def add(self, component: str, tally: Tally) -> None:
        """Take what a component told."""
        who = clean_name(component)
        for event, number in tally.counts.items():
            self._add(Series(who, clean_name(event), Kind.COUNT), Spread(number, number, 1, 1))
        for event, spread in tally.durations.items():
            self._add(Series(who, clean_name(event), Kind.DURATION), spread)
        for event, value in tally.values.items():
            series = Series(who, clean_name(event), Kind.VALUE)
            self._add(series, one(value))
            if series in self.totals:
                self.last[series] = value

    def take(self) -> Mapping[Series, Spread]:
        """What was added since the last time."""
        return self._fresh.take()

    def _add(self, series: Series, spread: Spread) -> None:
        total = self.totals.get(series)
        is_chosen = series.event.startswith(CHOSEN)
        if total is None and (len(self.totals) >= MAX_SERIES or (is_chosen and self._chosen >= MAX_CHOSEN)):
            self.refused += 1
            return
        self._chosen += total is None and is_chosen
        # A total that is larger than a double counts exactly is told no better by growing on.
        if total is None or total.number + spread.number < MAX_NUMBER:
            self.totals[series] = total.joined(spread) if total else spread
        self._fresh.put({series: spread})


def clean_name(name: str) -> str:
    """A name in which nothing means anything to a file system, a shell, a browser or Graphite."""
    parts = [_NOT_IN_NAMES.sub("_", part).strip("_-")[:_MAX_PART] for part in name.split(".")[:_MAX_PARTS]]
    return ".".join(part for part in parts if part) or "unnamed"
