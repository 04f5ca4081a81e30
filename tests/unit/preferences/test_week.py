"""Hours of the week: read, written, drawn, asked."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from client.errors import BadInput
from client.preferences.week import ALWAYS, NEVER, WEEK_MIN, Week, from_grid, to_grid, week_of
from client.preferences.week_text import parse_week, write_week

SPANS = st.tuples(st.integers(0, WEEK_MIN - 1), st.integers(1, WEEK_MIN)).map(lambda pair: (pair[0], sum(pair)))
WEEKS = st.lists(SPANS, max_size=8).map(week_of)
#: what the clocks do here: forward on 2026-03-29 at 2:00, back on 2026-10-25 at 3:00
ROME = ZoneInfo("Europe/Rome")
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("always", "always"),
        (" NEVER ", "never"),
        ("sat-sun", "sat-sun"),
        ("mon-sun", "always"),
        ("18:00-08:00", "18:00-08:00"),
        ("8-10:30", "08:00-10:30"),
        ("mon\N{EN DASH}wed 22 - 6", "mon-wed 22:00-06:00"),
        ("fri-mon", "mon, fri-sun"),
        ("Sunday 20:00-06:00", "sun 20:00-06:00"),
        ("mon wed 8:00-10:00 14:00-16:00", "mon 08:00-10:00 14:00-16:00, wed 08:00-10:00 14:00-16:00"),
        ("mon 8-12, mon 10-14", "mon 08:00-14:00"),
        ("tue 20:00-24:00", "tue 20:00-24:00"),
        ("mon-fri 18:00-08:00, sat-sun", "mon-thu 18:00-08:00, fri 18:00-24:00, sat-sun"),
    ],
)
def test_texts(text: str, written: str) -> None:
    assert write_week(parse_week(text)) == written
    assert parse_week(written) == parse_week(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no hours in it"),
        ("mon,", "nothing between two commas"),
        ("moon", "'moon' is no day"),
        ("mo", "'mo' is no day"),
        ("mon-", "'' is no day"),
        ("mon 8", "'8' is not hours"),
        ("mon 8-", "'8-' is not hours"),
        ("25:00-26:00", "25:00 is no time"),
        ("8:61-9:00", "8:61 is no time"),
        ("24:30-8:00", "24:30 is no time"),
        ("8:00-8:00", "no length"),
        ("24:00-8:00", "no length"),
        ("8:00-9:00 mon", "'mon' is not hours"),
        ("x" * 3000, "too long"),
    ],
)
def test_texts_that_mean_nothing(text: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_week(text)
    assert what in caught.value.what


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    week = parse_week("fri 22:00-06:00")
    assert week.holds(datetime(2026, 11, 21, 5, 59, tzinfo=UTC)) and not week.holds(
        datetime(2026, 11, 21, 6, tzinfo=UTC)
    )
    assert week.spans == ((4 * 1440 + 22 * 60, 5 * 1440 + 6 * 60),)
    assert parse_week("sun 22:00-06:00").spans == ((0, 360), (6 * 1440 + 22 * 60, WEEK_MIN))


@given(WEEKS)
@example(ALWAYS)
@example(NEVER)
def test_every_week_survives_being_written(week: Week) -> None:
    assert parse_week(write_week(week)) == week


@given(st.text(max_size=60) | st.text("montuefrisasuay 0123456789:-,", max_size=60))
def test_any_text_means_a_week_or_is_refused(text: str) -> None:
    try:
        week = parse_week(text)
    except BadInput as error:
        assert error.what and error.remedy
    else:
        assert week == week_of(week.spans)
        assert all(0 <= first < end <= WEEK_MIN for first, end in week.spans)


@given(WEEKS, WEEKS, st.integers(0, WEEK_MIN - 1))
def test_weeks_meet_minute_by_minute(one: Week, other: Week, minute: int) -> None:
    assert one.both(other).has(minute) == (one.has(minute) and other.has(minute))
    assert one.either(other).has(minute) == (one.has(minute) or other.has(minute))


@given(st.lists(st.lists(st.booleans(), min_size=48, max_size=48), min_size=7, max_size=7))
def test_a_drawing_survives(grid: list[list[bool]]) -> None:
    assert to_grid(from_grid(grid)) == tuple(map(tuple, grid))


@given(WEEKS)
def test_a_drawing_never_allows_more_than_the_week(week: Week) -> None:
    drawn = from_grid(to_grid(week))
    assert drawn.both(week) == drawn
    assert to_grid(drawn) == to_grid(week)


@given(WEEKS, MOMENTS, st.sampled_from((ROME, UTC, timezone(timedelta(hours=-3)))))
@example(parse_week("sun 02:30-12:00"), datetime(2026, 3, 29, 0, 30, tzinfo=UTC), ROME)
@example(parse_week("sun 02:30-12:00"), datetime(2026, 10, 25, 1, 10, tzinfo=UTC), ROME)
def test_the_next_change_is_one_and_the_next(week: Week, moment: datetime, zone: ZoneInfo | timezone) -> None:
    when = moment.astimezone(zone)
    change = week.next_change(when)
    if change is None:
        assert week in {ALWAYS, NEVER}
        return
    assert moment < change.astimezone(UTC) <= moment + timedelta(days=8)
    assume(when.utcoffset() == change.utcoffset() or _is_forward(when, change))
    assert week.holds(change.astimezone(UTC).astimezone(zone)) != week.holds(when)
    assert week.holds((change.astimezone(UTC) - timedelta(minutes=1)).astimezone(zone)) == week.holds(when)


def _is_forward(when: datetime, change: datetime) -> bool:
    """Whether the clock is put forward in between: then only what lies within the hour left out comes later."""
    return (when.utcoffset() or timedelta()) < (change.utcoffset() or timedelta())
