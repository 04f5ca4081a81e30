"""Numbers as people read them."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui import words

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**18), 10**18)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_340_000, "12.3 MB"), (999_960_000, "1.0 GB"), (1.4e9, "1.4 GB")],
)
def test_sizes(size: float, said: str) -> None:
    assert plain(words.bytes_text(size)) == said


@pytest.mark.parametrize(("mib", "said"), [(0, "0 MiB"), (412, "412 MiB"), (1536, "1.5 GiB"), (1023.9, "1.0 GiB")])
def test_memory(mib: float, said: str) -> None:
    assert plain(words.memory_text(mib)) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0, "0 events/s"),
        (1.24, "1.2 events/s"),
        (12.6, "13 events/s"),
        (1234.5, "1,234 events/s"),
        (0.2, "12 events/min"),
        (0.001, "3.6 events/h"),
    ],
)
def test_rates_choose_the_unit_that_keeps_them_above_one(rate: float, said: str) -> None:
    assert plain(words.rate_text(rate, "events")) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "a few seconds left"),
        (42, "40 s left"),
        (58, "1 min left"),
        (170, "3 min left"),
        (3600, "1 h left"),
        (7900, "2 h 10 min left"),
        (200_000, "2 d 8 h left"),
    ],
)
def test_time_left_is_as_coarse_as_it_deserves(seconds: float, said: str) -> None:
    assert plain(words.time_left_text(seconds)) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (3605, "1 h"), (93_784, "1 d 2 h")],
)
def test_durations(seconds: float, said: str) -> None:
    assert plain(words.duration_text(seconds)) == said


@pytest.mark.parametrize(
    ("ahead", "said"),
    [(timedelta(hours=1), "15:30"), (timedelta(hours=18), "tomorrow 08:30"), (timedelta(days=4), "24 Nov 14:30")],
)
def test_moments(ahead: timedelta, said: str) -> None:
    assert words.clock_text(NOW + ahead, NOW, UTC) == said


def test_moments_are_in_the_readers_zone() -> None:
    assert words.clock_text(NOW, NOW, timezone(timedelta(hours=10))) == "00:30"


@given(ANY_NUMBER)
def test_no_number_of_a_guest_can_break_them(value: float) -> None:
    for say in (words.bytes_text, words.memory_text, words.count_text, words.duration_text, words.time_left_text):
        assert say(value).strip()
    assert "nan" not in words.rate_text(value, "events")
    assert words.percent_text(value).endswith("%")


@given(st.floats(0, 1, exclude_max=True))
def test_percent_says_100_only_at_the_end(fraction: float) -> None:
    number = int(plain(words.percent_text(fraction)).split()[0])
    assert math.floor(fraction * 100) <= number <= 100
    assert words.percent_text(1.0).startswith("100")
    assert words.percent_text(0.999).startswith("99")
