"""Recorded weeks as JSON lines."""

from datetime import datetime, timedelta, timezone

import pytest

from client.errors import BadInput
from client.throttle.random_week import random_week
from client.throttle.simulate import START, Change
from client.throttle.week_lines import parse_week, write_week


def test_seconds_and_times() -> None:
    start, changes = parse_week(
        [
            '{"at": "2026-03-02T09:00:00+01:00", "idle_s": 0, "programs": ["steam"], "networks": ["home"]}',
            "",
            '{"at": "2026-03-02T08:30:10+00:00", "on_battery": true, "temperature_c": null, "spent_bytes": 5}',
            '{"at": 60.5, "clock_s": 3600}',
        ]
    )
    assert start == datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=1)))
    assert changes == [
        Change(0, {"idle_s": 0, "programs": frozenset({"steam"}), "networks": ("home",)}),
        Change(60.5, {}, clock_s=3600),
        Change(1810, {"on_battery": True, "temperature_c": None}, spent_bytes=5),
    ]
    assert parse_week(['{"at": 5}'])[0] == START


def test_written_and_read_again() -> None:
    week = random_week(3)
    again = parse_week(write_week(week))[1]
    assert [change.sample for change in again] == [change.sample for change in week]
    assert [change.s for change in again] == pytest.approx([change.s for change in week], abs=0.001)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "Expecting"),
        ("[1]", "no object"),
        ("{}", "'at' is missing"),
        ('{"at": -1}', "before the start"),
        ('{"at": NaN}', "before the start"),
        ('{"at": "monday"}', "isoformat"),
        ('{"at": "2026-03-02T09:00:00"}', "zone"),
        ('{"at": 0, "speed": 1}', "no 'speed'"),
        ('{"at": 0, "idle_s": true}', "True does not fit idle_s"),
        ('{"at": 0, "idle_s": Infinity}', "inf does not fit idle_s"),
        ('{"at": 0, "locked": 1}', "1 does not fit locked"),
        ('{"at": 0, "sleeping": null}', "None does not fit sleeping"),
        ('{"at": 0, "programs": "steam"}', "'steam' does not fit programs"),
        ('{"at": 0, "foreground": 5}', "5 does not fit foreground"),
        ('{"at": 0, "clock_s": "x"}', "'x' is no number"),
    ],
)
def test_what_is_no_week(line: str, what: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse_week(['{"at": 0}', line], "week.jsonl")
    assert raised.value.where == "week.jsonl, line 2"
    assert what in raised.value.what
