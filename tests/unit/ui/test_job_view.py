"""The job's stations, bar and figures from its view."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.snapshot import Activity, JobState, JobView
from tests.unit.ui.samples import JOB
from ui.job_view import STEP_LABELS, StepState, job_card, job_steps
from ui.words import UNKNOWN

W, A, D, F = StepState.WAITING, StepState.ACTIVE, StepState.DONE, StepState.FAILED


@pytest.mark.parametrize(
    ("state", "accepted", "states"),
    [
        (JobState.WANTING, None, (W, W, W, W)),
        (JobState.GETTING_INPUT, None, (A, W, W, W)),
        (JobState.EXECUTING, None, (D, A, W, W)),
        (JobState.VALIDATING, None, (D, D, A, W)),
        (JobState.WANTING_OUTPUT_PLACE, None, (D, D, A, W)),
        (JobState.PUTTING_OUTPUT, None, (D, D, A, W)),
        (JobState.DONE, None, (D, D, D, A)),
        (JobState.DONE, True, (D, D, D, D)),
        (JobState.DONE, False, (D, D, D, F)),
        (JobState.FAILED, None, (D, F, W, W)),
    ],
)
def test_stations(state: JobState, accepted: bool | None, states: tuple[StepState, ...]) -> None:
    assert tuple(step.state for step in job_steps(replace(JOB, state=state, accepted=accepted))) == states


def test_the_line_fills_with_the_job() -> None:
    assert job_steps(JOB)[1].fraction == pytest.approx(0.24)
    assert job_steps(JOB)[0].fraction == 1.0


def test_a_job_that_failed_before_it_ran_failed_at_its_input() -> None:
    job = JobView("j", JobState.FAILED, cause="The input could not be fetched.")
    assert job_steps(job)[0].state is F
    assert job_card(job, Activity.WORKING).caption == "The input could not be fetched."


def test_figures_and_bar_while_it_runs() -> None:
    card = job_card(JOB, Activity.WORKING)
    assert [figure.value.replace("\u00a0", " ") for figure in card.figures] == ["1.2 events/s", "5 min"]
    assert card.progress is not None
    assert (card.progress.label, card.progress.fraction) == ("120 of 500 events", pytest.approx(0.24))


@pytest.mark.parametrize("activity", [Activity.PAUSED, Activity.STOPPED, Activity.STOPPING, Activity.BOOTING])
def test_a_held_job_does_not_claim_to_go_on(activity: Activity) -> None:
    card = job_card(JOB, activity)
    assert card.caption.startswith("The job ")
    assert "computed" not in card.caption
    assert [(figure.value, figure.caption) for figure in card.figures] == [(UNKNOWN, "rate"), (UNKNOWN, "time left")]
    assert card.progress is not None


@pytest.mark.parametrize("activity", list(Activity))
def test_waiting_for_a_job_looks_the_same_whether_the_agent_told_it_or_not(activity: Activity) -> None:
    card = job_card(JobView("", JobState.WANTING), activity)
    assert card == job_card(None, activity) == job_card(JobView("", JobState.IDLE), activity)
    assert card.title == "No job yet"


def test_an_ended_job_keeps_its_verdict_while_nothing_runs() -> None:
    ended = replace(JOB, state=JobState.DONE, accepted=True)
    assert job_card(ended, Activity.STOPPED).caption == "The project accepted the result."


def test_unknown_length_rate_and_time_are_said_to_be_unknown() -> None:
    card = job_card(JobView("j", JobState.EXECUTING), Activity.WORKING)
    assert card.title == "Job j"
    assert card.progress is not None
    assert card.progress.fraction is None
    assert {figure.value for figure in card.figures} == {"\u2013"}


@pytest.mark.parametrize("activity", list(Activity))
def test_without_a_job_the_card_says_why(activity: Activity) -> None:
    card = job_card(None, activity)
    assert card.caption.endswith(".")
    assert all(step.state is W for step in card.steps)


def test_the_line_is_said_in_words() -> None:
    assert job_card(JOB, Activity.WORKING).spoken.startswith("Getting input: done; Executing: active")


@given(st.sampled_from(JobState), st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), st.none() | st.booleans())
def test_whatever_a_guest_says_can_be_drawn(state: JobState, done: int, total: int, accepted: bool | None) -> None:
    job = JobView("x", state, done_units=done, total_units=total, accepted=accepted, rate_per_s=float(done))
    card = job_card(job, Activity.WORKING)
    assert len(card.steps) == len(STEP_LABELS)
    assert all(0 <= step.fraction <= 1 for step in card.steps)
    assert card.progress is None or card.progress.fraction is None or 0 <= card.progress.fraction <= 1
