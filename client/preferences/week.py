"""Hours of the week, as asked and as drawn; as written they are in `client.preferences.week_text`. Local wall clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN
#: a drawn week has a cell for each half hour
CELL_MIN: Final = 30
CELLS: Final = DAY_MIN // CELL_MIN

#: for each day from Monday on, whether each half hour belongs to the week
Grid = tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class Week:
    """Some of the minutes of a week.

    Attributes:
        spans: (first, end) in minutes since Monday 00:00, sorted, apart from each other, within 0..WEEK_MIN.
    """

    spans: tuple[tuple[int, int], ...]

    def holds(self, when: datetime) -> bool:
        """Whether a moment belongs to it. when: aware; its own zone counts."""
        return self.has(_minute(when))

    def has(self, minute: int) -> bool:
        """Whether a minute belongs to it, since Monday 00:00."""
        return any(first <= minute < end for first, end in self.spans)

    def next_change(self, when: datetime) -> datetime | None:
        """When `holds` changes next after a moment; None: never.

        In a night in which the clock is put forward or back it is the wall clock that counts: a change that falls into
        an hour that is left out comes at its end. Of an hour that comes twice the first counts.

        Args:
            when: in a zone that knows of such nights (`zoneinfo`); a fixed distance from UTC is kept as it is.
        """
        edges = sorted({edge % WEEK_MIN for span in self.spans for edge in span} - self._seam())
        if not edges:
            return None
        minute = _minute(when)
        ahead = next((edge for edge in edges if edge > minute), edges[0] + WEEK_MIN)
        at = when.replace(second=0, microsecond=0, fold=0) + timedelta(minutes=ahead - minute)
        if at.astimezone(UTC) <= when.astimezone(UTC):
            at = at.replace(fold=1)
        return at if at.astimezone(UTC).astimezone(at.tzinfo) == at.replace(fold=0) else _after_gap(at)

    def both(self, other: "Week") -> "Week":
        """The minutes of both."""
        pairs = ((max(a, c), min(b, d)) for a, b in self.spans for c, d in other.spans)
        return week_of(pair for pair in pairs if pair[0] < pair[1])

    def either(self, other: "Week") -> "Week":
        """The minutes of at least one."""
        return week_of((*self.spans, *other.spans))

    def _seam(self) -> set[int]:
        """The end of the week is no edge where both its sides belong to it."""
        starts = {first for first, _ in self.spans}
        ends = {end for _, end in self.spans}
        return {0} if 0 in starts and WEEK_MIN in ends else set()


ALWAYS: Final = Week(((0, WEEK_MIN),))
NEVER: Final = Week(())


def week_of(spans: Iterable[tuple[int, int]]) -> Week:
    """The week of any spans: (first, end) with 0 <= first < end <= first + WEEK_MIN; beyond its end it begins anew."""
    cut: list[tuple[int, int]] = []
    for first, end in spans:
        begins, length = first % WEEK_MIN, end - first
        cut.append((begins, min(begins + length, WEEK_MIN)))
        if begins + length > WEEK_MIN:
            cut.append((0, begins + length - WEEK_MIN))
    joined: list[tuple[int, int]] = []
    for first, end in sorted(cut):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return Week(tuple(joined))


def to_grid(week: Week) -> Grid:
    """The week as drawn: half hours that belong to it from their first minute to their last."""
    cells = [
        any(first <= cell * CELL_MIN and (cell + 1) * CELL_MIN <= end for first, end in week.spans)
        for cell in range(7 * CELLS)
    ]
    return tuple(tuple(cells[day * CELLS : (day + 1) * CELLS]) for day in range(7))


def from_grid(grid: Sequence[Sequence[bool]]) -> Week:
    """The week of a drawing: 7 days of 48 half hours."""
    cells = [is_in for day in grid for is_in in day]
    return week_of((cell * CELL_MIN, (cell + 1) * CELL_MIN) for cell, is_in in enumerate(cells) if is_in)


def _minute(when: datetime) -> int:
    return when.weekday() * DAY_MIN + when.hour * 60 + when.minute


def _after_gap(at: datetime) -> datetime:
    """The first moment after an hour that the clock leaves out, of a wall clock time within it."""
    # Read with the distance from UTC before the gap it lies behind it, read with that of after it lies before it.
    before, behind = at.replace(fold=1).astimezone(UTC), at.replace(fold=0).astimezone(UTC)
    offset = before.astimezone(at.tzinfo).utcoffset()
    minutes = int((behind - before) / timedelta(minutes=1))
    moments = ((before + timedelta(minutes=step)).astimezone(at.tzinfo) for step in range(minutes))
    return next((moment for moment in moments if moment.utcoffset() != offset), behind.astimezone(at.tzinfo))
