"""The system's wall clock, against the table of zones."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from client.local_zone import LOCAL
from client.preferences.week_text import parse_week

ROME = ZoneInfo("Europe/Rome")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows one zone for all programs")


@pytest.fixture(autouse=True)
def rome(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Rome")
        time.tzset()
        yield
    time.tzset()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@example(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
@example(datetime(2026, 3, 29, 0, 59, tzinfo=UTC))
@example(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
def test_it_is_the_zone_that_the_system_has(moment: datetime) -> None:
    here, there = moment.astimezone(LOCAL), moment.astimezone(ROME)
    assert (here.replace(tzinfo=None), here.fold) == (there.replace(tzinfo=None), there.fold)
    assert (here.utcoffset(), here.tzname()) == (there.utcoffset(), there.tzname())
    assert here.astimezone(UTC) == moment


def test_a_week_goes_on_over_the_night_in_which_the_clock_is_put_forward() -> None:
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC).astimezone(LOCAL)
    change = parse_week("mon-sun 8:00-9:00").next_change(saturday)
    assert change is not None and change.astimezone(UTC) == datetime(2026, 3, 29, 6, tzinfo=UTC)
    gap = parse_week("sun 2:30-9:00").next_change(saturday)
    assert gap is not None and gap.astimezone(UTC) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert gap.utcoffset() == timedelta(hours=2)


def test_no_moment_has_no_distance() -> None:
    assert (LOCAL.utcoffset(None), LOCAL.tzname(None), LOCAL.dst(None)) == (None, None, None)
