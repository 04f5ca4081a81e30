from itertools import pairwise

import pytest

from client.copilot.storage.pace import USUAL, Pace, PaceLimits


def ends_at(
    rate: float, step_s: float = 5.0, most_s: float = 200_000.0, limits: PaceLimits = USUAL
) -> tuple[float, str]:
    """When a file that moves so many bytes a second is given up, and why; looked at in steps."""
    pace, now = Pace(limits, 1000.0), 0.0
    while now < most_s:
        now += step_s
        trouble = pace.trouble(int(now * rate), 1000.0 + now)
        if trouble:
            return now, trouble
    return now, ""


@pytest.mark.parametrize(
    ("rate", "at", "why"),
    [
        (0, 120, "slower than 1024 bytes a second"),
        (1000, 120, "slower than 1024 bytes a second"),
        (1100, 43205, "not done after 43200 s"),
        (1e9, 43205, "not done after 43200 s"),
    ],
)
def test_what_is_too_slow_or_too_long_is_given_up(rate: float, at: float, why: str) -> None:
    assert ends_at(rate) == (at, why)


def test_the_rate_is_that_of_each_minute_and_not_of_all() -> None:
    pace, moved = Pace(USUAL, 0.0), 0
    for now in range(10, 600, 10):
        moved += 10**6
        assert pace.trouble(moved, now) == ""
    found = [pace.trouble(moved, now) for now in range(600, 800, 10)]
    assert [bool(said) for said in found].index(True) <= 12


def test_a_pause_of_the_computer_counts_as_a_tick() -> None:
    pace = Pace(PaceLimits(grace_s=60, window_s=60, longest_s=300), 0.0)
    times = [0.0, 10.0, 10_000.0, 20_000.0]
    assert [pace.trouble(10**6 * number, now) for number, (_, now) in enumerate(pairwise(times), 1)] == ["", "", ""]
