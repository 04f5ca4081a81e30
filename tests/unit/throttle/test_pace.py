"""Why guests are slow, in one sentence."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from client.host.sample import Sample
from client.preferences.limits import limits_of
from client.preferences.store import Preferences
from client.throttle.moment import Moment
from client.throttle.pace import STARVING_S, Pace
from client.throttle.past import Past
from client.throttle.policy import decide
from client.throttle.rule import Computer

NOW = Moment(datetime(2026, 11, 20, 12, tzinfo=UTC), 1000.0)
BESIDE = Sample(idle_s=0.0, free_memory_mib=4000, free_disk_mib=90_000)


def said(sample: Sample = BESIDE, *, processors: int = 2, cpus: int = 1, **values: bool | int | str) -> str:
    limits = limits_of(Preferences({key.replace("__", "."): value for key, value in values.items()}), "")
    decision, _ = decide(limits, sample, Computer(processors, 8000), NOW, Past.of_start(NOW))
    return Pace().words(decision, limits, sample, NOW, processors=processors, cpus=cpus)


def test_a_part_of_a_processor_is_told() -> None:
    assert said() == "Virtual machines get at most 50 % of one processor while you use the computer."


@pytest.mark.parametrize(
    ("sample", "values", "end"),
    [
        (replace(BESIDE, idle_s=None), {}, "so it counts as in use."),
        (
            replace(BESIDE, idle_s=900.0),
            {"processor__percent_idle": 33},
            "at most 33 % of one processor, as you have set it.",
        ),
        (
            BESIDE,
            {"when__quiet": "always", "processor__quiet_percent": 5},
            "at most 5 % of one processor in quiet hours.",
        ),
    ],
)
def test_it_says_what_the_part_comes_from(sample: Sample, values: dict[str, int | str], end: str) -> None:
    assert said(sample, **values).endswith(end)


@pytest.mark.parametrize(
    ("sample", "processors", "cpus"),
    [
        (replace(BESIDE, idle_s=900.0), 2, 1),
        # A quarter of four processors is all that a machine with one can use.
        (BESIDE, 8, 1),
        # Nothing runs that could be slow.
        (BESIDE, 2, 0),
        (replace(BESIDE, on_battery=True), 2, 1),
    ],
)
def test_nothing_is_said_where_nothing_is_slow(sample: Sample, processors: int, cpus: int) -> None:
    assert said(sample, processors=processors, cpus=cpus) == ""


def test_what_others_take_is_told_once_it_lasts() -> None:
    limits = limits_of(Preferences({"when.most_others_percent_idle": 0}), "")
    pace, computer = Pace(), Computer(2, 8000)

    def after(seconds: float, others_percent: float) -> str:
        sample, now = replace(BESIDE, idle_s=900.0, others_percent=others_percent), NOW.after(seconds)
        decision, _ = decide(limits, sample, computer, now, Past.of_start(now))
        return pace.words(decision, limits, sample, now, processors=2, cpus=1)

    assert after(0, 99.0) == ""
    assert after(STARVING_S, 99.0).startswith("Other programs need the processors now")
    assert after(STARVING_S + 1, 20.0) == ""
    assert after(STARVING_S + 2, 99.0) == ""
