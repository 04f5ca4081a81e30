"""The rule is written for all, what moved is kept for the month."""

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.meter import DOWN, UP, Meter, clock_ns
from client.paths import Paths
from client.preferences.types import Network
from client.spending import Month, Spending, counted, month_began
from client.traffic import Rates, TrafficWarden
from tests.helpers.clock import FakeClock

days = st.dates(date(2020, 1, 1), date(2040, 1, 1))
month_days = st.integers(1, 28)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    made.make()
    return made


def move(paths: Paths, down: int = 0, up: int = 0) -> None:
    meter = Meter(str(paths.meter))
    meter.look(clock_ns())
    for way, count in ((DOWN, down), (UP, up)):
        assert meter.enter(way, count, clock_ns()) is not None
    meter.close()


def rule(paths: Paths) -> tuple[tuple[int, int], bool]:
    meter = Meter(str(paths.meter))
    assert meter.look(clock_ns())
    meter.close()
    return meter.limits, meter.closed


def test_what_is_allowed_stands_in_the_meter(paths: Paths) -> None:
    warden = TrafficWarden(paths, FakeClock())
    warden.obey(Network(), allowed=True)
    assert rule(paths) == ((0, 0), False)
    warden.obey(Network(down_bytes_s=5, up_bytes_s=6), allowed=False)
    assert rule(paths) == ((5, 6), True)
    move(paths, 10, 20)
    # A file that was damaged holds again at the next turn.
    paths.meter.write_bytes(b"?")
    warden.obey(Network(down_bytes_s=5, up_bytes_s=6), allowed=True)
    assert rule(paths) == ((5, 6), False)


def test_it_says_when_guests_are_to_be_told_that_it_is_open_again(paths: Paths) -> None:
    clock = FakeClock()
    warden = TrafficWarden(paths, clock)

    def obeyed(allowed: bool, after_s: float) -> bool:
        clock.advance(after_s)
        return warden.obey(Network(), allowed=allowed)

    steps = [(True, 1.0), (False, 1.0), (True, 5.0), (False, 1.0), (False, 16.0), (True, 6.0), (True, 1.0)]
    assert [obeyed(*step) for step in steps] == [False, False, False, False, False, True, False]
    warden.obey(Network(), allowed=False)
    # Nobody knows how long it was closed under a program that is gone.
    assert TrafficWarden(paths, clock).obey(Network(), allowed=True)


def test_what_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "vms").write_text("no folder")
    warden = TrafficWarden(Paths(tmp_path), FakeClock())
    for _ in range(3):
        warden.obey(Network(), allowed=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_moved_outlives_the_program_and_counts_once(paths: Paths) -> None:
    clock = FakeClock()
    for moved in (100, 200, 300):
        warden = TrafficWarden(paths, clock)
        warden.obey(Network(), allowed=True)
        before = warden.spent_bytes()
        move(paths, moved, 1)
        assert warden.spent_bytes() == before + moved + 1
        if moved != 200:
            warden.close()
    # The second one was killed; what the meter counted is there.
    assert TrafficWarden(paths, clock).month().down_bytes == 600
    assert TrafficWarden(paths, clock).spent_bytes() == 603


def test_it_is_written_rarely(paths: Paths) -> None:
    clock = FakeClock()
    warden = TrafficWarden(paths, clock)
    warden.obey(Network(), allowed=True)
    warden.month()

    def written() -> int:
        warden.month()
        plain = json.loads(paths.spending.read_text())
        return int(plain["down_bytes"])

    move(paths, 10)
    assert written() == 0
    clock.advance(60)
    assert written() == 0
    move(paths, 2 << 20)
    assert written() == (2 << 20) + 10
    move(paths, 2 << 20)
    assert written() == (2 << 20) + 10
    clock.advance(30)
    assert written() == (4 << 20) + 10
    move(paths, 1)
    clock.advance(300)
    assert written() == (4 << 20) + 11


def test_rates_are_of_the_last_seconds(paths: Paths) -> None:
    clock = FakeClock()
    warden = TrafficWarden(paths, clock)
    warden.obey(Network(), allowed=True)
    assert warden.rates() == Rates()
    for _ in range(30):
        move(paths, 1000, 10)
        clock.advance(1)
        warden.month()
    assert warden.rates() == Rates(1000, 10)
    for _ in range(11):
        clock.advance(1)
        warden.month()
    assert warden.rates() == Rates(0, 0)


@given(days, month_days)
def test_a_month_began_at_most_a_month_ago(today: date, day: int) -> None:
    began = month_began(today, day)
    assert began.day == day
    assert 0 <= (today - began).days <= 30
    assert month_began(began, day) == began


@given(days, month_days, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1000), st.integers(0, 1000))))
def test_all_that_moved_is_in_one_month_and_no_more(first: date, day: int, steps: list[tuple[int, int, int]]) -> None:
    month, seen, today = Month(month_began(first, day), day), (0, 0), first
    months: dict[date, int] = {}
    for later, down, up in steps:
        today = date.fromordinal(today.toordinal() + later)
        seen = (seen[0] + down, seen[1] + up)
        month = counted(month, seen, today, day)
        months[month.began] = month.bytes
    assert sum(months.values()) == sum(seen)


def test_neither_another_day_nor_a_clock_set_back_forgives_anything() -> None:
    month = Month(date(2026, 5, 1), 1, 500, 0, 500, 0)
    assert counted(month, (600, 0), date(2026, 5, 20), 15).bytes == 600
    assert counted(month, (600, 0), date(2026, 4, 20), 1).bytes == 600
    assert counted(month, (600, 0), date(2026, 6, 1), 1).bytes == 100


def test_a_meter_that_tells_less_than_was_seen_takes_nothing_back() -> None:
    month = counted(Month(date(2026, 5, 1), 1, 500, 9, 500, 9), (200, 9), date(2026, 5, 2), 1)
    assert month.bytes == 509
    assert counted(month, (210, 9), date(2026, 5, 2), 1).bytes == 519


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"began": "x"}', '{"began": 5, "day": 99}'])
def test_a_damaged_file_begins_from_what_is_seen_now(tmp_path: Path, said: str) -> None:
    (tmp_path / "file").write_text(said)
    clock = FakeClock()
    assert Spending(tmp_path / "file", clock).count((70, 7), 3).bytes == 0
    assert Spending(tmp_path / "file", clock).count((80, 7), 3).bytes == 10


def test_it_begins_anew_by_the_clock_of_the_place(tmp_path: Path) -> None:
    clock = FakeClock()
    spending = Spending(tmp_path / "file", clock)
    spending.count((0, 0), 21)
    assert spending.count((50, 0), 21).bytes == 50
    clock.advance(2 * 86400)
    assert spending.count((60, 0), 21).bytes == 10
