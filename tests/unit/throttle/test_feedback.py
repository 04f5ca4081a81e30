"""The loop that brings what is used to what is wanted."""

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from client.throttle.feedback import JUDGED_S, SETTLE_S, Feedback, Trial


@given(st.floats(5, 180), st.floats(0.85, 1.25))
def test_a_means_that_gives_another_share_is_corrected(target: float, gives: float) -> None:
    feedback, achieved = Feedback(), None
    for _ in range(60):
        achieved = gives * feedback.ask(target, achieved)
    # Too much is always corrected; too little only a little, for others may be the reason.
    assert achieved is not None
    assert achieved <= target + 1.0
    assert achieved >= min(target, gives * 1.03 * target) - 1.0


def test_a_guest_that_wants_little_changes_nothing() -> None:
    feedback = Feedback()
    assert {feedback.ask(50.0, achieved) for achieved in (None, 3.0, 0.0, 39.0, 12.0)} == {50.0}


def test_a_new_target_begins_without_what_was_learned_of_the_old() -> None:
    feedback = Feedback()
    for _ in range(20):
        feedback.ask(50.0, 60.0)
    assert feedback.ask(50.0, 50.0) < 40
    assert feedback.ask(20.0, 50.0) == 20.0


def test_small_changes_are_left_out() -> None:
    feedback = Feedback()
    feedback.ask(50.0, None)
    assert feedback.ask(50.0, 50.3) == 50.0
    assert feedback.ask(50.0, 51.0) == approx(50.0 - 0.39)


def judge(trial: Trial, target: float, achieved: float, seconds: float) -> bool:
    return any(trial.note("vm", target, achieved, 1.0) for _ in range(round(seconds) + 1))


def test_a_means_without_effect_is_disproved_in_some_seconds() -> None:
    trial = Trial()
    assert judge(trial, 30.0, 100.0, SETTLE_S + JUDGED_S + 1)
    assert trial.holds is False


def test_a_means_that_holds_is_proved() -> None:
    trial = Trial()
    assert not judge(trial, 30.0, 31.0, 30)
    assert trial.holds is True


def test_an_idle_guest_proves_nothing() -> None:
    trial = Trial()
    assert not judge(trial, 30.0, 2.0, 60)
    assert trial.holds is None


def test_a_new_target_is_given_time() -> None:
    trial = Trial()
    for target in range(10, 90, 5):
        assert not trial.note(target, target, 100.0, 1.0)
        assert not trial.note(target, target, 100.0, 1.0)
    assert trial.holds is None
