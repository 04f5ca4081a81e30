"""From snapshots to headline, actions, problems, tooltip and log."""

import ast
import itertools
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.commands import Finish, Pause, Resume
from client.snapshot import Activity, Allowed, ClientSnapshot, PolicyView, Reason, Severity
from tests.unit.ui import samples
from tests.unit.ui.samples import NOW
from ui import view_models
from ui.trace import POINTS, Trace
from ui.view_models import Action, Mood

UI = Path(__file__).resolve().parents[3] / "ui"


def by_name(snapshot: ClientSnapshot) -> dict[str, Action]:
    return {action.name: action for action in view_models.actions(snapshot)}


@pytest.mark.parametrize("name", ["words", "trace", "job_view", "machine_view", "view_models"])
def test_view_models_know_no_toolkit(name: str) -> None:
    tree = ast.parse((UI / f"{name}.py").read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [module for module in modules if module.startswith(("PySide6", "ui.widgets", "ui.pages"))]


@pytest.mark.parametrize("name", list(samples.ALL))
def test_buttons_are_enabled_by_what_the_core_allows(name: str) -> None:
    snapshot = samples.ALL[name]
    found = by_name(snapshot)
    assert found["start"].enabled is snapshot.allowed.start
    assert found["pause"].enabled is (snapshot.allowed.pause or snapshot.allowed.resume)
    assert found["finish"].enabled is snapshot.allowed.finish
    assert found["stop"].enabled is snapshot.allowed.stop


def test_every_activity_is_among_the_samples() -> None:
    assert {snapshot.activity for snapshot in samples.ALL.values()} == set(Activity)


def test_pause_becomes_resume() -> None:
    assert isinstance(by_name(samples.WORKING)["pause"].command, Pause)
    assert isinstance(by_name(samples.PAUSED)["pause"].command, Resume)


def test_start_is_not_urged_without_a_project() -> None:
    missing = replace(samples.NO_QEMU, code="no-project")
    assert by_name(samples.STOPPED)["start"].primary
    start = by_name(replace(samples.STOPPED, problems=(missing,)))["start"]
    assert (start.primary, start.enabled) == (False, True)


def test_finish_becomes_its_undo() -> None:
    assert by_name(samples.WORKING)["finish"].command == Finish()
    assert by_name(samples.FINISHING)["finish"].command == Finish(undo=True)


def test_mnemonics_of_the_buttons_differ() -> None:
    for snapshot in samples.ALL.values():
        keys = [action.label[action.label.index("&") + 1].lower() for action in view_models.actions(snapshot)]
        assert len(set(keys)) == len(keys), (keys, snapshot.activity)


def test_reason_says_until_when_once() -> None:
    until = NOW + timedelta(hours=1)
    said = replace(samples.PAUSED, reason=Reason("p", "Paused by you.", until))
    assert view_models.reason_text(said, UTC) == "Paused by you, until 15:30."
    twice = replace(said, reason=Reason("p", "Paused by you until 15:30.", until))
    assert view_models.reason_text(twice, UTC) == "Paused by you until 15:30."
    over = replace(said, reason=Reason("p", "Paused by you.", NOW - timedelta(hours=1)))
    assert view_models.reason_text(over, UTC) == "Paused by you."


@pytest.mark.parametrize("activity", list(Activity))
def test_a_core_without_words_still_gets_a_headline(activity: Activity) -> None:
    said = view_models.headline(ClientSnapshot(1, NOW, activity))
    assert said.title
    assert isinstance(said.mood, Mood)


def test_gravest_problem_first() -> None:
    rows = view_models.problem_rows(samples.BLOCKED, UTC)
    assert [row.severity for row in rows] == [Severity.ERROR, Severity.WARNING, Severity.NOTICE]
    assert rows[0].since == "since 14:29"


def test_what_must_be_seen_at_once() -> None:
    moved = samples.with_vm(replace(samples.WORKING, seq=8, headline="Working: 121"), cpu_percent=40.0)
    assert not view_models.is_pressing(samples.WORKING, moved)
    names = list(samples.ALL)
    for first, second in itertools.pairwise(names):
        assert view_models.is_pressing(samples.ALL[first], samples.ALL[second]), (first, second)
    assert view_models.is_pressing(samples.WORKING, samples.with_vm(samples.WORKING, job=None))


def test_what_slows_the_work_is_told_while_there_is_any() -> None:
    slow = PolicyView("run", 25, None, 1, 1024, pace="At most a quarter.")
    assert view_models.headline(replace(samples.WORKING, policy=slow), UTC).reason == "At most a quarter."
    assert view_models.reason_text(replace(samples.STOPPED, policy=slow), UTC) == ""


def test_tooltip_has_state_and_reason() -> None:
    assert view_models.tooltip(samples.PAUSED, UTC).splitlines() == [
        "Volunteer Cloud",
        "Paused at 120 of 500 events",
        "Paused by you, until 15:30.",
    ]


def test_timed_pauses() -> None:
    commands = [command for _, command in view_models.pause_choices(NOW)]
    assert commands == [Pause(NOW + timedelta(minutes=15)), Pause(NOW + timedelta(hours=1)), Pause(None)]


@pytest.mark.parametrize("snapshot", [view_models.first_snapshot(NOW), view_models.saving_snapshot(samples.WORKING)])
def test_before_the_core_speaks_and_after_quit_nothing_can_be_pressed(snapshot: ClientSnapshot) -> None:
    assert snapshot.allowed == Allowed(start=False)
    assert not [action for action in view_models.actions(snapshot) if action.enabled]


def test_saving_is_said() -> None:
    assert view_models.home_view(view_models.saving_snapshot(samples.WORKING)).headline.title == "Saving the work …"


def test_a_failed_core_is_a_problem_that_is_listed_once() -> None:
    problem = replace(samples.NO_QEMU, code="core-failed")
    shown = view_models.failed_snapshot(samples.WORKING, problem)
    shown = view_models.failed_snapshot(shown, problem)
    assert shown.activity is Activity.BLOCKED
    assert [known.code for known in shown.problems] == ["core-failed"]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40))
def test_only_new_log_lines_are_added(start: int, more: int, window: int) -> None:
    lines = tuple(replace(samples.LOG[0], text=str(number)) for number in range(130))
    shown, current = lines[start : start + window], lines[start + more : start + more + window]
    assert view_models.count_known(shown, current) == max(0, window - more)


def test_log_line_as_copied() -> None:
    assert (
        view_models.log_text(samples.LOG[0], UTC)
        == "14:28:36  client  The appliance is there and its checksum is right."
    )


def test_trace_keeps_one_point_a_second_and_not_too_many() -> None:
    trace = Trace()
    for tenth in range(10 * (POINTS + 30)):
        trace.add(replace(samples.WORKING, taken_at=NOW + timedelta(seconds=tenth / 10)))
    assert len(trace.cpu_percent) == POINTS
    assert set(trace.memory_mib) == {412.0}


def test_trace_starts_anew_with_another_machine_or_when_the_clock_goes_back() -> None:
    trace = Trace()
    trace.add(samples.WORKING)
    trace.add(replace(samples.WORKING, taken_at=NOW + timedelta(seconds=5)))
    assert len(trace.cpu_percent) == 2
    trace.add(replace(samples.WORKING, taken_at=NOW - timedelta(hours=1)))
    assert len(trace.cpu_percent) == 1
    trace.add(samples.with_vm(replace(samples.WORKING, taken_at=NOW), vm_id="work-2"))
    assert len(trace.cpu_percent) == 1
    trace.add(samples.STOPPED)
    assert len(trace.cpu_percent) == 1
