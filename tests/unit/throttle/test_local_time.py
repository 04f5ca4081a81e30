"""The local zone, on both nights in which the clock is set."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from client.local_zone import LOCAL
from client.preferences.types import Limits, When
from client.preferences.week import week_of
from client.throttle.decision import Rung
from client.throttle.local_time import moment_of
from client.throttle.moment import Moment
from client.throttle.past import Past
from client.throttle.policy import decide
from client.throttle.words import at_words, list_words, span_words, wait_words
from tests.helpers.clock import FakeClock
from tests.unit.throttle.policy_cases import GOOD, HERE

SUNDAY = 6 * 24 * 60


@pytest.fixture(autouse=True)
def zurich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone that needs no database."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("start", [datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)])
def test_there_and_back(start: datetime) -> None:
    for quarter in range(48):
        at = start + timedelta(minutes=15 * quarter)
        local = at.astimezone(LOCAL)
        assert local.astimezone(UTC) == at
        assert (local.hour, local.minute) == (at.astimezone().hour, at.minute)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        # One night has 23 hours, the other 25.
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)),
        (datetime(2026, 10, 24, 23, 30, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)),
    ],
)
def test_a_schedule_goes_by_the_wall_clock(now: datetime, end: datetime) -> None:
    limits = Limits(When(week=week_of([(SUNDAY + 4 * 60, SUNDAY + 5 * 60)])))
    begin = Moment(now.astimezone(LOCAL), 0.0)
    decision, past = decide(limits, GOOD, HERE, begin, Past.of_start(begin))
    assert decision.reason is not None
    assert decision.reason.until == end
    assert decision.reason.text.endswith("goes on at 04:00.")
    wait_s = (end - now).total_seconds()
    assert decide(limits, GOOD, HERE, begin.after(wait_s - 1), past)[0].rung > Rung.RUN
    assert decide(limits, GOOD, HERE, begin.after(wait_s), past)[0].rung is Rung.RUN


def test_now() -> None:
    clock = FakeClock()
    now = moment_of(clock)
    assert (now.at, now.s) == (clock.now(), clock.monotonic())
    assert now.at.tzinfo is LOCAL
    assert LOCAL.tzname(datetime(2026, 7, 1)) == "CEST"
    assert LOCAL.utcoffset(None) is LOCAL.tzname(None) is LOCAL.dst(now.at) is None


def test_times_in_words() -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=LOCAL)
    assert at_words(now + timedelta(hours=6), now) == "at 18:00"
    assert at_words(datetime(2026, 3, 4, 23, 30, tzinfo=UTC), now) == "Thursday at 00:30"
    assert at_words(now + timedelta(days=7), now) == "11 March at 12:00"
    assert wait_words(now + timedelta(seconds=15), now) == "in a moment"
    assert wait_words(now + timedelta(seconds=90), now) == "at 12:01 if nothing changes"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "a second"),
        (45, "45 seconds"),
        (60, "a minute"),
        (180, "3 minutes"),
        (3600, "an hour"),
        (7200, "2 hours"),
        (5400, "90 minutes"),
    ],
)
def test_spans_in_words(seconds: float, words: str) -> None:
    assert span_words(seconds) == words


def test_lists_in_words() -> None:
    assert [list_words(["a"]), list_words(["a", "b"]), list_words(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
