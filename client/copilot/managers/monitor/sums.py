"""What has happened and was not told yet, added up; bounded by the number of names."""

from collections import Counter
from typing import Final

from client.copilot.events import MAX_EVENTS, Spread, Tally

#: names of each kind
MAX_NAMES: Final = MAX_EVENTS // 3


class Sums:
    """Counts, durations and values by the event's name."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._durations: dict[str, Spread] = {}
        self._values: dict[str, float] = {}

    def count(self, event: str, number: int = 1) -> None:
        """It happened."""
        if event in self._counts or len(self._counts) < MAX_NAMES:
            self._counts[event] += number

    def lasted(self, event: str, spread: Spread) -> None:
        """It took so long."""
        before = self._durations.get(event)
        if before or len(self._durations) < MAX_NAMES:
            self._durations[event] = before.joined(spread) if before else spread

    def measured(self, event: str, value: float) -> None:
        """It is this much now."""
        if event in self._values or len(self._values) < MAX_NAMES:
            self._values[event] = value

    def take(self) -> Tally:
        """All of it, once."""
        tally = Tally(dict(self._counts), dict(self._durations), dict(self._values))
        self.clear()
        return tally

    def put_back(self, tally: Tally) -> None:
        """Add what was taken; of a value the newer one stays."""
        for event, number in tally.counts.items():
            self.count(event, number)
        for event, spread in tally.durations.items():
            self.lasted(event, spread)
        for event, value in tally.values.items():
            if event not in self._values:
                self.measured(event, value)

    def clear(self) -> None:
        """Forget it."""
        self._counts.clear()
        self._durations.clear()
        self._values.clear()
