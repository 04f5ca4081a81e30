"""A silent guest is noticed in time, and a slow one is not called dead."""

import pytest

from client.guest.health import GOOD_LIFE_S, Pulse, Remedy, judge, lives_well, silence_limit_s


@pytest.mark.parametrize(("silence_s", "expected"), [(14, Remedy.NONE), (16, Remedy.RESET)])
def test_silence_of_a_guest_that_spoke(silence_s: float, expected: Remedy) -> None:
    assert judge(Pulse(running_since=0, heard_at=100), 100 + silence_s) is expected


def test_a_slow_guest_gets_more_time_but_not_for_ever() -> None:
    assert judge(Pulse(0, 100, longest_gap_s=12), 130) is Remedy.NONE
    assert silence_limit_s(Pulse(0, 100, longest_gap_s=5000)) == 120


def test_a_boot_gets_what_boots_take_here() -> None:
    assert judge(Pulse(0, None), 119) is Remedy.NONE
    assert judge(Pulse(0, None), 121) is Remedy.RESET
    assert judge(Pulse(0, None, usual_boot_s=5), 31) is Remedy.RESET
    assert judge(Pulse(0, None, usual_boot_s=40), 200) is Remedy.NONE


def test_a_guest_that_is_interpreted_gets_more_of_both() -> None:
    assert silence_limit_s(Pulse(0, None, speed=1)) == 6 * silence_limit_s(Pulse(0, None, speed=6))
    assert silence_limit_s(Pulse(0, 5, speed=1)) == 90
    assert silence_limit_s(Pulse(0, 5, longest_gap_s=5000, speed=1)) == 120
    assert silence_limit_s(Pulse(0, None, usual_boot_s=40, speed=1)) == 240


def test_a_guest_that_is_held_back_gets_more_of_both() -> None:
    assert silence_limit_s(Pulse(0, None, speed=6, share=0.1)) == pytest.approx(1200)
    assert silence_limit_s(Pulse(0, 5, speed=100, share=0.03)) == pytest.approx(30)
    assert silence_limit_s(Pulse(0, None, usual_boot_s=10, share=0.25)) == pytest.approx(240)
    assert silence_limit_s(Pulse(0, 5, speed=6, share=0.02)) == pytest.approx(750)
    assert silence_limit_s(Pulse(0, 5, longest_gap_s=5000, share=0.5)) == pytest.approx(240)


def test_after_a_reset_comes_a_fresh_boot() -> None:
    assert judge(Pulse(0, None, troubles=1), 500) is Remedy.FRESH_BOOT


def test_going_on_after_a_pause_is_no_silence() -> None:
    assert judge(Pulse(running_since=1000, heard_at=10), 1010) is Remedy.NONE


def test_a_good_life_is_long_and_spoken() -> None:
    assert lives_well(Pulse(0, 5), GOOD_LIFE_S)
    assert not lives_well(Pulse(0, None), GOOD_LIFE_S)
