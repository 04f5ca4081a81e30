"""Hours of the week, as written (`mon-fri 18:00-08:00, sat-sun`) and as asked. Local wall clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN


@dataclass(frozen=True)
class Week:
    """Some of the minutes of a week.

    Attributes:
        spans: (first, end) in minutes since Monday 00:00, sorted, apart from each other, within 0..WEEK_MIN.
    """

    spans: tuple[tuple[int, int], ...]

    def holds(self, when: datetime) -> bool:
        """Whether a moment belongs to it. when: aware; its own zone counts."""
        minute = _minute(when)
        return any(first <= minute < end for first, end in self.spans)

    def next_change(self, when: datetime) -> datetime | None:
        """When `holds` changes next after a moment; None: never.

        In a night in which the clock is put forward or back it is the wall clock that counts.
        """
        edges = sorted({edge % WEEK_MIN for span in self.spans for edge in span} - self._seam())
        if not edges:
            return None
        minute = _minute(when)
        ahead = next((edge for edge in edges if edge > minute), edges[0] + WEEK_MIN)
        at = when.replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=ahead - minute)
        # Wall clock time first, then what the zone makes of it on that day.
        return at.astimezone() if when.tzinfo is None else at.replace(tzinfo=when.tzinfo)

    def _seam(self) -> set[int]:
        """The end of the week is no edge where both its sides belong to it."""
        starts = {first for first, _ in self.spans}
        ends = {end for _, end in self.spans}
        return {0} if 0 in starts and WEEK_MIN in ends else set()


ALWAYS: Final = Week(((0, WEEK_MIN),))
NEVER: Final = Week(())


def _minute(when: datetime) -> int:
    return when.weekday() * DAY_MIN + when.hour * 60 + when.minute
