"""What the numbers of Windows mean; the values are made after its documentation, none was recorded there."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.host.windows.facts import Power, covers, idle_s, notification_facts, power_facts
from client.host.windows.system import input_idle_s, look_at_power, look_at_screen

SCREEN = (0, 0, 1920, 1080)
TICKS = 2**32


@given(st.integers(0, TICKS - 1), st.integers(0, TICKS - 1))
def test_idle_time_over_the_end_of_the_count(last: int, idle_ms: int) -> None:
    assert idle_s((last + idle_ms) % TICKS, last) == idle_ms / 1000


def test_a_notebook_on_battery() -> None:
    assert power_facts(Power(line=0, battery=1, percent=83, system=0)) == {
        "on_battery": True,
        "battery_percent": 83.0,
        "power_saver": False,
    }


def test_a_notebook_that_charges_and_saves() -> None:
    facts = power_facts(Power(line=1, battery=8 + 2, percent=100, system=1))
    assert facts == {"on_battery": False, "battery_percent": 100.0, "power_saver": True}


def test_a_desktop() -> None:
    facts = power_facts(Power(line=1, battery=128, percent=255, system=0))
    assert facts == {"on_battery": False, "battery_percent": None, "power_saver": False}


def test_what_windows_does_not_know() -> None:
    facts = power_facts(Power(line=255, battery=255, percent=255, system=0))
    assert (facts["on_battery"], facts["battery_percent"]) == (None, None)


@pytest.mark.parametrize(
    ("state", "front", "locked", "full_screen", "awake"),
    [
        (1, None, True, False, False),
        (2, SCREEN, False, True, False),
        # an overlay makes Windows say busy, while the window in front is a common one
        (2, (100, 100, 900, 700), False, False, False),
        (2, None, False, False, False),
        (3, None, False, True, False),
        (4, (100, 100, 900, 700), False, False, True),
        (5, SCREEN, False, False, False),
        (7, SCREEN, False, False, False),
    ],
)
def test_states(
    state: int, front: tuple[int, int, int, int] | None, locked: bool, full_screen: bool, awake: bool
) -> None:
    facts = notification_facts(state, front, SCREEN)
    assert facts == {"locked": locked, "full_screen": full_screen, "awake": awake}


def test_a_window_covers_its_monitor() -> None:
    assert covers((-8, -8, 1928, 1088), SCREEN)
    assert not covers((0, 0, 1920, 1040), SCREEN)


@pytest.mark.skipif(sys.platform == "win32", reason="here Windows answers")
@pytest.mark.parametrize("ask", [input_idle_s, look_at_power, look_at_screen])
def test_elsewhere_it_is_an_error_that_sensors_expect(ask: object) -> None:
    with pytest.raises(OSError):
        ask()  # type: ignore[operator]
