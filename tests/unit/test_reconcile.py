"""From what is seen, small steps always lead to what is wanted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.commands import Command, Finish, Pause, PauseEnd, PowerOff, Quit, Resume, Start, Stop, WhatOfWork
from client.guest.health import Remedy
from client.reconcile import (
    Intent,
    Observed,
    Step,
    Want,
    Wanted,
    finished,
    lapse,
    next_step,
    obey,
    settled,
    wanted,
)
from client.snapshot import Reason, VmState

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
#: what each step makes of a VM when it succeeds
EFFECT = {
    Step.BOOT: VmState.RUNNING,
    Step.RESTORE: VmState.RUNNING,
    Step.DISCARD: VmState.DEFINED,
    Step.PAUSE: VmState.PAUSED,
    Step.RESUME: VmState.RUNNING,
    Step.SAVE: VmState.SAVED,
    Step.SHUT_DOWN: VmState.DEFINED,
    Step.PULL_PLUG: VmState.DEFINED,
    Step.POWER_OFF: VmState.DEFINED,
    Step.RESET: VmState.RUNNING,
    Step.FRESH_BOOT: VmState.DEFINED,
}
REACHED = {
    Want.RUN: {VmState.RUNNING},
    Want.HOLD: {VmState.PAUSED, VmState.ABSENT, VmState.DEFINED, VmState.SAVED, VmState.FAILED},
    Want.SAVED: {VmState.ABSENT, VmState.DEFINED, VmState.SAVED, VmState.FAILED},
    Want.OFF: {VmState.ABSENT, VmState.DEFINED, VmState.SAVED, VmState.FAILED},
    Want.POWERED_OFF: {VmState.ABSENT, VmState.DEFINED, VmState.FAILED},
}
RESTING = st.sampled_from([s for s in VmState if s not in {VmState.SAVING, VmState.UNKNOWN}])


UP = {VmState.STARTING, VmState.RUNNING, VmState.PAUSED}


@given(st.sampled_from(Want), RESTING, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_every_wish_is_reached_in_a_few_steps(
    want: Want, state: VmState, ready: bool, usable: bool, worth: bool, can_save: bool, hangs_on: bool
) -> None:
    executes = state in UP or (state is VmState.FAILED and hangs_on)
    seen = Observed(state, ready, usable, worth, can_save, executes=executes)
    for _ in range(6):
        if seen.state is VmState.STARTING and want is Want.HOLD:
            seen = replace(seen, state=VmState.RUNNING)
        step = next_step(want, seen)
        if step is Step.NOTHING:
            break
        if step is Step.FETCH:
            seen = replace(seen, appliance_ready=True)
            continue
        seen = replace(seen, state=EFFECT[step], executes=EFFECT[step] in UP)
    assert seen.state in REACHED[want] | ({VmState.STARTING} if want is Want.RUN else set())
    assert settled(want, seen.state, seen.executes) is (want in {Want.SAVED, Want.OFF, Want.POWERED_OFF})


@given(st.sampled_from(Want))
def test_nothing_is_done_to_a_vm_that_saves_or_is_not_understood(want: Want) -> None:
    assert next_step(want, Observed(VmState.SAVING)) is Step.NOTHING
    assert next_step(want, Observed(VmState.UNKNOWN)) is Step.NOTHING


@pytest.mark.parametrize("state", [VmState.FAILED, VmState.UNKNOWN])
@pytest.mark.parametrize("want", [Want.SAVED, Want.OFF, Want.POWERED_OFF])
def test_nothing_goes_on_executing_when_nothing_should(want: Want, state: VmState) -> None:
    assert not settled(want, state, executes=True)
    assert next_step(want, Observed(state, executes=True)) is Step.POWER_OFF


def test_what_cannot_be_saved_now_does_not_go_on_executing() -> None:
    assert next_step(Want.SAVED, Observed(VmState.RUNNING, waits=True)) is Step.PAUSE
    assert next_step(Want.SAVED, Observed(VmState.PAUSED, waits=True)) is Step.NOTHING
    assert next_step(Want.SAVED, Observed(VmState.PAUSED)) is Step.SAVE


def test_a_saved_guest_waits_for_the_files_that_it_needs() -> None:
    assert next_step(Want.RUN, Observed(VmState.SAVED, appliance_ready=False)) is Step.FETCH


def test_a_half_made_vm_is_made_anew() -> None:
    assert next_step(Want.RUN, Observed(VmState.FAILED)) is Step.BOOT


@pytest.mark.parametrize("state", [VmState.ABSENT, VmState.DEFINED, VmState.SAVED, VmState.FAILED])
def test_nothing_is_begun_while_a_back_off_runs(state: VmState) -> None:
    assert next_step(Want.RUN, Observed(state, waits=True)) is Step.NOTHING


def test_a_hung_guest_is_reset_then_booted_afresh() -> None:
    assert next_step(Want.RUN, Observed(VmState.RUNNING, remedy=Remedy.RESET)) is Step.RESET
    assert next_step(Want.RUN, Observed(VmState.RUNNING, remedy=Remedy.FRESH_BOOT)) is Step.FRESH_BOOT


def test_a_saved_guest_that_could_not_log_in_is_booted_instead() -> None:
    assert next_step(Want.RUN, Observed(VmState.SAVED, state_usable=False)) is Step.DISCARD


COMMANDS = st.one_of(
    st.sampled_from([Start(), Resume(), Stop(), PowerOff(), Finish(), Finish(undo=True), Pause()]),
    st.builds(Pause, st.just(NOW + timedelta(minutes=15))),
    st.builds(Pause, end=st.sampled_from(PauseEnd)),
)


@given(st.lists(COMMANDS, max_size=12))
def test_intents_never_contradict_themselves(commands: list[Command]) -> None:
    intent = Intent()
    for command in commands:
        intent = obey(intent, command)  # type: ignore[arg-type]
        assert obey(intent, command) == intent  # type: ignore[arg-type]
    assert intent.working or not (intent.paused or intent.finishing)
    assert intent.paused or intent.paused_until is None


def test_stop_after_start_wants_the_state_saved() -> None:
    assert wanted(obey(obey(Intent(), Start()), Stop())).want is Want.SAVED


def test_power_off_wants_it_off_until_it_is_wanted_again() -> None:
    intent = obey(obey(Intent(), Start()), PowerOff())
    assert wanted(intent).want is Want.POWERED_OFF
    assert wanted(obey(intent, Start())).want is Want.RUN
    assert wanted(obey(intent, Stop())).want is Want.SAVED


def test_a_pause_lapses_at_its_time_and_says_until_when() -> None:
    intent = obey(obey(Intent(), Start()), Pause(NOW + timedelta(minutes=15)))
    reason = wanted(intent).reason
    assert reason is not None
    assert (reason.code, reason.until) == ("paused-by-user", NOW + timedelta(minutes=15))
    assert lapse(intent, NOW).paused
    assert wanted(lapse(intent, NOW + timedelta(minutes=15))).want is Want.RUN


@pytest.mark.parametrize("on_battery", [True, False, None])
def test_a_pause_until_mains_ends_on_mains(on_battery: bool | None) -> None:
    intent = obey(Intent(working=True), Pause(end=PauseEnd.MAINS))
    assert wanted(intent).reason == Reason("paused-by-user", "Paused by you until the computer is plugged in.")
    assert lapse(intent, NOW + timedelta(days=9), on_battery=on_battery).paused is bool(on_battery)


def test_a_pause_until_log_off_holds_for_one_login_session() -> None:
    intent = obey(Intent(working=True), Pause(end=PauseEnd.LOG_OFF), "boot 1")
    assert lapse(intent, NOW + timedelta(days=9), login="boot 1") == intent
    assert lapse(intent, NOW, login="boot 2") == Intent(working=True)


@given(st.sampled_from(list(Want)), st.lists(COMMANDS, max_size=4))
def test_neither_the_volunteer_nor_the_rules_get_more_than_they_allow(most: Want, commands: list[Command]) -> None:
    intent = Intent(working=True)
    for command in commands:
        intent = obey(intent, command)  # type: ignore[arg-type]
    burden = [Want.RUN, Want.HOLD, Want.SAVED, Want.OFF, Want.POWERED_OFF]
    alone = wanted(intent).want
    assert wanted(intent, Wanted(most, Reason("rule", "A rule."))).want is max(alone, most, key=burden.index)


def test_quitting_saves_or_stops_whatever_was_asked_before() -> None:
    intent = obey(Intent(working=True), Quit())
    assert wanted(intent).want is Want.SAVED
    assert wanted(obey(intent, Quit(WhatOfWork.STOP))).want is Want.OFF


def test_after_the_last_job_nothing_is_wanted() -> None:
    assert wanted(finished(Intent(working=True, finishing=True))).want is Want.SAVED


@pytest.mark.parametrize(
    ("state", "expected"), [(VmState.SAVED, True), (VmState.SAVING, False), (VmState.RUNNING, False)]
)
def test_the_program_may_end_when_nothing_runs(state: VmState, expected: bool) -> None:
    assert settled(Want.SAVED, state) is expected
    assert not settled(Want.RUN, state)
