"""The replay of a week: looks, spans, totals."""

from datetime import UTC, datetime

import pytest

from client.preferences.types import Limits, Memory, When
from client.preferences.week import week_of
from client.throttle.decision import Rung
from client.throttle.random_week import random_week
from client.throttle.simulate import START, WEEK_S, Change, World, replay, spans, totals

HOUR = 3600.0
QUIET = {"idle_s": 0.0, "on_battery": False}


def test_a_day_in_spans() -> None:
    limits = Limits(When(in_use=False), memory=Memory(save_after_s=600))
    changes = [
        Change(0, QUIET),
        Change(HOUR, {"on_battery": True}),
        Change(2 * HOUR, {"on_battery": False}),
        Change(3 * HOUR, {"idle_s": 0.0}),
    ]
    found = spans(replay(changes, World(limits, span_s=4 * HOUR)), 4 * HOUR)
    assert [(span.first_s, span.end_s, span.rung.name, span.reason) for span in found] == [
        (0, 180, "HOLD", "in-use"),
        (180, HOUR, "RUN", ""),
        (HOUR, HOUR + 600, "HOLD", "on-battery"),
        (HOUR + 600, 2 * HOUR + 10, "SAVE", "on-battery"),
        (2 * HOUR + 10, 3 * HOUR, "RUN", ""),
        (3 * HOUR, 3 * HOUR + 180, "HOLD", "in-use"),
        (3 * HOUR + 180, 4 * HOUR, "RUN", ""),
    ]
    assert found[0].text.startswith("You are using the computer")
    assert totals(found) == {"": pytest.approx(4 * HOUR - 360 - HOUR - 10), "on-battery": HOUR + 10, "in-use": 360}


def test_hours_of_the_week_need_no_news() -> None:
    evening = week_of([(18 * 60, 24 * 60)])
    found = spans(replay([Change(0, {"idle_s": 500.0})], World(Limits(When(week=evening)))))
    assert [(span.first_s / HOUR, span.rung is Rung.RUN) for span in found if span.rung is not Rung.SAVE] == [
        (0, False),
        (18, True),
        (24, False),
    ]


def test_the_wall_clock_may_jump() -> None:
    evening = week_of([(18 * 60, 24 * 60)])
    changes = [Change(0, {}), Change(HOUR, {}, clock_s=18 * HOUR), Change(2 * HOUR, {}, clock_s=0.0)]
    found = spans(replay(changes, World(Limits(When(week=evening)), span_s=3 * HOUR)), 3 * HOUR)
    assert [span.length_s for span in found if span.rung is Rung.RUN] == [HOUR]
    assert found[0].first == START


def test_idle_time_grows_and_a_saved_guest_takes_no_memory() -> None:
    steps = list(replay([Change(0, {"idle_s": 5.0, "on_battery": True})], World(span_s=HOUR)))
    assert [step.sample.idle_s for step in steps] == [5.0, 180.0, 605.0]
    assert [step.guests_mib for step in steps] == [0, 0, 0]
    steps = list(replay([Change(0, QUIET), Change(60, {"on_battery": True})], World(span_s=HOUR)))
    assert [step.guests_mib for step in steps] == [0, 1024, 1024, 1024]


def test_unknown_idle_time_stays_unknown() -> None:
    steps = list(replay([Change(0, {"idle_s": None}), Change(50, {"others_percent": 1.0})], World(span_s=HOUR)))
    assert {step.sample.idle_s for step in steps} == {None}


def test_random_weeks_are_as_their_seeds() -> None:
    assert random_week(7) == random_week(7)
    assert random_week(7) != random_week(8)
    week = random_week(7)
    assert [change.s for change in week] == sorted(change.s for change in week)
    assert 0 <= week[0].s <= week[-1].s < WEEK_S
    assert datetime(2026, 1, 5, tzinfo=UTC).weekday() == 0
