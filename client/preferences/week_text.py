"""Hours of the week as people write them: `mon-fri 18:00-08:00, sat-sun`.

week  = "always" | "never" | item {"," item}
item  = days [hours ...] | hours ...
days  = day ["-" day] ...          mon tue wed thu fri sat sun, or whole names; no days: all
hours = time "-" time              8:00, 8, 24:00; an end that is not after its beginning is on the next day
"""

import re
from typing import Final

from client.errors import BadInput
from client.preferences.week import ALWAYS, DAY_MIN, DAYS, NEVER, WEEK_MIN, Week, week_of

#: no text of a person is longer
MOST_LETTERS: Final = 2000
_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS: Final = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?", re.ASCII)
_REMEDY: Final = "write for example mon-fri 18:00-08:00, sat-sun; or always, or never"

#: (first, end) in minutes of the day on which it begins; end up to the same minute of the next day
_Range = tuple[int, int]


def parse_week(text: str) -> Week:
    """The hours that a text means.

    Raises:
        BadInput: it means none; says which part is not understood.
    """
    said = re.sub(r"\s*[-\u2013]\s*", "-", text.strip().lower())
    if said in {"always", "never"}:
        return ALWAYS if said == "always" else NEVER
    if not said or len(text) > MOST_LETTERS:
        raise _bad("there are no hours in it" if not said else "it is too long")
    return week_of(span for item in said.split(",") for span in _item(item.strip()))


def write_week(week: Week) -> str:
    """The one text for it; `parse_week` reads it back."""
    if week == NEVER:
        return "never"
    if week == ALWAYS:
        return "always"
    days = _by_day(week)
    if all(day == days[0] for day in days):
        return _ranges(days[0])
    items, first = [], 0
    while first < len(DAYS):
        last = first
        while last + 1 < len(DAYS) and days[last + 1] == days[first]:
            last += 1
        if days[first]:
            named = DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"
            items.append(f"{named} {_ranges(days[first])}".strip())
        first = last + 1
    return ", ".join(items)


def _item(item: str) -> list[tuple[int, int]]:
    words = item.split()
    if not words:
        raise _bad("there is nothing between two commas, or behind the last")
    count = next((place for place, word in enumerate(words) if word[0].isdigit()), len(words))
    days = [day for word in words[:count] for day in _days(word)] or list(range(7))
    ranges = [_range(word) for word in words[count:]] or [(0, DAY_MIN)]
    return [(day * DAY_MIN + first, day * DAY_MIN + end) for day in days for first, end in ranges]


def _days(word: str) -> list[int]:
    first, dash, last = word.partition("-")
    begin = _day(first)
    end = _day(last) if dash else begin
    return [day % 7 for day in range(begin, (end if end >= begin else end + 7) + 1)]


def _day(word: str) -> int:
    for place, name in enumerate(_NAMES):
        if len(word) >= 3 and name.startswith(word):
            return place
    raise _bad(f"{word[:30]!r} is no day")


def _range(word: str) -> _Range:
    found = _HOURS.fullmatch(word)
    if found is None:
        raise _bad(f"{word[:30]!r} is not hours, from a time to a time")
    first, end = _time(found[1], found[2]), _time(found[3], found[4])
    if first in {end, DAY_MIN}:
        raise _bad(f"{word} has no length (a day without hours is all of it)")
    return first, end if end > first else end + DAY_MIN


def _time(hour: str, minute: str | None) -> int:
    at = int(hour) * 60 + int(minute or 0)
    if int(minute or 0) > 59 or at > DAY_MIN:
        raise _bad(f"{hour}:{minute or '00'} is no time of a day")
    return at


def _bad(what: str) -> BadInput:
    return BadInput("hours of the week", what, _REMEDY)


def _by_day(week: Week) -> list[list[_Range]]:
    """The ranges that begin on each day. One that ends in the next morning stays whole, a whole day is (0, DAY_MIN)."""
    days: list[list[_Range]] = [[] for _ in DAYS]
    spans = list(week.spans)
    if spans[0][0] == 0 and spans[-1][1] == WEEK_MIN:
        # Sunday night goes on as Monday morning.
        spans[-1] = (spans[-1][0], WEEK_MIN + spans.pop(0)[1])
    for first, end in spans:
        while first < end:
            begin = first % DAY_MIN
            length = end - first
            if begin + length > DAY_MIN and (begin == 0 or length >= DAY_MIN):
                length = DAY_MIN - begin
            days[first // DAY_MIN % 7].append((begin, begin + length))
            first += length
    return [sorted(day) for day in days]


def _ranges(ranges: list[_Range]) -> str:
    if ranges == [(0, DAY_MIN)]:
        return ""
    return " ".join(f"{_clock(first)}-{_clock(end)}" for first, end in ranges)


def _clock(minute: int) -> str:
    at = minute if minute <= DAY_MIN else minute - DAY_MIN
    return f"{at // 60:02}:{at % 60:02}"
