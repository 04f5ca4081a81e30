"""The state in words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from client.headline import activity_of, headline_of
from client.snapshot import (
    Activity,
    GuestView,
    JobState,
    JobView,
    Problem,
    Reason,
    Severity,
    TransferView,
    VmState,
    VmView,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
BY_USER = Reason("paused-by-user", "Paused by you.")
BY_RULE = Reason("in-use", "You are using the computer.")
LEAVING = Reason("leaving", "Leaving.")


def vm(state: VmState, boot: float = 1.0, job: JobView | None = None) -> VmView:
    return VmView("work-1", "work-1", state, "qemu", boot_fraction=boot, job=job)


@pytest.mark.parametrize(
    ("view", "reason", "working", "finishing", "blocked", "expected"),
    [
        (None, None, False, False, False, Activity.STOPPED),
        (None, None, True, False, False, Activity.PREPARING),
        (None, None, True, False, True, Activity.BLOCKED),
        (None, BY_RULE, True, False, False, Activity.PAUSED),
        (None, BY_RULE, True, False, True, Activity.BLOCKED),
        (None, BY_USER, True, False, True, Activity.PAUSED),
        (vm(VmState.STARTING, 0.1), None, True, False, False, Activity.BOOTING),
        (vm(VmState.RUNNING), None, True, False, True, Activity.WORKING),
        (vm(VmState.RUNNING), None, True, True, False, Activity.FINISHING),
        (vm(VmState.PAUSED), BY_USER, True, False, False, Activity.PAUSED),
        (vm(VmState.SAVING), BY_USER, False, False, False, Activity.STOPPING),
        (vm(VmState.SAVED), None, False, False, False, Activity.STOPPED),
        (vm(VmState.RUNNING), LEAVING, True, False, False, Activity.STOPPING),
    ],
)
def test_activity(
    view: VmView | None, reason: Reason | None, working: bool, finishing: bool, blocked: bool, expected: Activity
) -> None:
    assert activity_of(view, reason, working, finishing, blocked) is expected


def test_headlines() -> None:
    job = JobView("j", JobState.EXECUTING, done_units=1200, total_units=5000, unit="events")
    running = vm(VmState.RUNNING, job=job)
    assert headline_of(Activity.WORKING, running, (), ()) == "Computing: 1,200 of 5,000 events"
    assert headline_of(Activity.FINISHING, running, (), ()) == "Finishing the last job: 1,200 of 5,000 events"
    uploading = vm(VmState.RUNNING, job=JobView("j", JobState.PUTTING_OUTPUT))
    assert headline_of(Activity.FINISHING, uploading, (), ()) == "Finishing: uploading the output"
    heard = replace(vm(VmState.RUNNING), guest=GuestView(NOW))
    assert headline_of(Activity.WORKING, heard, (), ()) == "Waiting for a job from the project"
    assert headline_of(Activity.WORKING, vm(VmState.RUNNING), (), ()) == "Waiting for a word of the virtual machine"
    transfer = TransferView("appliance", "downloading", 1, 2, 1.0, None)
    assert headline_of(Activity.PREPARING, None, (transfer,), ()) == "Fetching the appliance"
    assert headline_of(Activity.STOPPING, vm(VmState.SAVING), (), ()) == "Saving the work"
    problem = Problem("disk-full", "boot", "There is no space.", "Free some.", Severity.ERROR, NOW)
    assert headline_of(Activity.BLOCKED, None, (), (problem,)) == "There is no space"


def test_who_did_not_ask_for_a_pause_is_told_of_none() -> None:
    on_battery = Reason("on-battery", "The computer runs on battery; goes on when there is mains.")
    assert headline_of(Activity.PAUSED, vm(VmState.PAUSED), (), (), BY_USER) == "Paused"
    assert headline_of(Activity.PAUSED, vm(VmState.PAUSED), (), (), on_battery) == "Waiting"


@pytest.mark.parametrize("activity", Activity)
def test_every_activity_has_a_headline(activity: Activity) -> None:
    assert headline_of(activity, None, (), ())
