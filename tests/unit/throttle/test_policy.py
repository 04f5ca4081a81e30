"""The policy by example: each rule, when it begins and ends to forbid, and what it says."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from client.preferences.types import Disk, Limits, Memory, Network, Processor, When
from client.preferences.week import NEVER, Week
from client.throttle.decision import Rung
from client.throttle.moment import Moment
from client.throttle.past import Past
from client.throttle.policy import RULES, decide
from tests.unit.throttle.policy_cases import GOOD, HERE, NOON, Played

#: Wednesday from 18:00 to midnight
EVENING = Week(((2 * 1440 + 18 * 60, 3 * 1440),))
DAY = Week(((2 * 1440 + 8 * 60, 2 * 1440 + 18 * 60),))
STRICT = When(in_use=False, stop_after_idle_s=3600, programs=("Steam.exe",), most_fan_rpm=3000, most_temperature_c=80)

#: limits, what is the case, rule, sentence, how long it must last to stop guests, how long until they go on
CASES: list[tuple[When, dict[str, Any], str, str, float, float]] = [
    (
        STRICT,
        {"leaving": True},
        "leaving",
        "You are logging off or shutting the computer down; goes on when this",
        0,
        10,
    ),
    (
        STRICT,
        {"sleeping": True},
        "sleeping",
        "The computer is about to sleep; goes on half a minute after it wakes up.",
        0,
        30,
    ),
    (STRICT, {"on_battery": True}, "on-battery", "On battery; goes on when the computer is plugged in.", 0, 10),
    (
        When(on_battery=True),
        {"on_battery": True, "battery_percent": 38.6},
        "battery-low",
        "The battery is at 39 %, and your limit is 40 %; goes on when it is plugged in or at 45 %.",
        0,
        10,
    ),
    (STRICT, {"power_saver": True}, "power-saver", "The computer saves power; goes on when its power saver is", 0, 10),
    (
        STRICT,
        {"temperature_c": 81.4},
        "hot",
        "The processor is at 81 °C, and your limit is 80 °C; goes on when it is at 75 °C.",
        10,
        60,
    ),
    (
        STRICT,
        {"fan_rpm": 3100},
        "loud",
        "A fan turns 3100 times a minute, and your limit is 3000; goes on when it turns 2700 times a minute.",
        10,
        60,
    ),
    (STRICT, {"programs": frozenset({"steam"})}, "program", "Steam.exe runs; goes on when it ends.", 0, 10),
    (STRICT, {"foreground": "STEAM"}, "program", "Steam.exe runs; goes on when it ends.", 0, 10),
    (STRICT, {"full_screen": True}, "full-screen", "A program fills the screen; goes on when it does no more.", 0, 10),
    (
        STRICT,
        {"awake": True},
        "call",
        "A program keeps the screen awake, as calls and films do; goes on when it",
        0,
        30,
    ),
    (
        STRICT,
        {"others_percent": 51.0},
        "others-busy",
        "Other programs use 51 % of the processors, and your limit is 50 %; goes on when they have used less for a",
        10,
        60,
    ),
    (
        STRICT,
        {"memory_pressure_percent": 11.0},
        "memory-pressure",
        "Other programs wait for memory; goes on when they have not for two minutes.",
        0,
        120,
    ),
    (
        STRICT,
        {"free_memory_mib": 255},
        "memory-short",
        "Only 255 MiB of memory are free; goes on when 384 MiB are.",
        10,
        60,
    ),
    (
        STRICT,
        {"free_disk_mib": 2047},
        "disk-full",
        "Only 2047 MiB of the disk are free, and your limit is 2048 MiB; goes on when 2253 MiB are.",
        10,
        60,
    ),
]


@pytest.mark.parametrize(
    ("when", "news", "rule", "text", "over_s", "under_s"), CASES, ids=lambda value: str(value)[:20]
)
def test_a_rule(when: When, news: dict[str, Any], rule: str, text: str, over_s: float, under_s: float) -> None:
    play = Played(Limits(when, disk=Disk(least_free_mib=2048)))
    assert play.decisions[0].rung is Rung.RUN
    first = play.later(100, **news)
    if over_s:
        assert first.rung is Rung.RUN
        assert first.changes_at == play.now.in_s(over_s)
        assert play.later(over_s - 0.1).rung is Rung.RUN
        first = play.later(0.1)
    assert first.rung > Rung.RUN
    assert first.reason is not None
    assert first.reason.code == rule
    assert first.reason.text.startswith(text)
    assert first.cpu_percent == 0
    assert first.findings[0].preference == next(known.preference for known in RULES if known.name == rule)
    before = {name: getattr(GOOD, name) for name in news}
    over = play.later(5, **before)
    assert over.rung > Rung.RUN
    assert over.reason is not None
    assert over.reason.until == over.changes_at == play.now.in_s(under_s)
    assert play.later(under_s - 0.1).rung > Rung.RUN
    assert play.later(0.1).rung is Rung.RUN


def test_a_short_spike_stops_nothing() -> None:
    play = Played(Limits())
    for _ in range(20):
        assert play.later(9, others_percent=90.0).rung is Rung.RUN
        assert play.later(9, others_percent=5.0).rung is Rung.RUN


def test_what_swings_about_a_limit_stops_once() -> None:
    play = Played(Limits(When(most_temperature_c=80)))
    play.later(1, temperature_c=81.0)
    play.later(11)
    for _ in range(50):
        assert play.later(30, temperature_c=79.0).rung > Rung.RUN
        assert play.later(30, temperature_c=81.0).rung > Rung.RUN


@pytest.mark.parametrize(
    ("field", "over", "between", "under"),
    [
        ("battery_percent", 39.0, 44.9, 45.0),
        ("temperature_c", 81.0, 75.1, 75.0),
        ("fan_rpm", 3001, 2701, 2700),
        ("free_memory_mib", 255, 383, 384),
        ("free_disk_mib", 2047, 2252, 2253),
    ],
)
def test_what_was_over_has_to_go_well_below(field: str, over: float, between: float, under: float) -> None:
    limits = Limits(replace(STRICT, on_battery=True), disk=Disk(least_free_mib=2048))
    play = Played(limits)
    assert play.later(1, **{"on_battery": True, field: between}).rung is Rung.RUN
    assert play.later(100).rung is Rung.RUN
    play.later(1, **{field: over})
    assert play.later(10).rung > Rung.RUN
    play.later(1, **{field: between})
    assert play.later(1000).rung > Rung.RUN
    play.later(1, **{field: under})
    assert play.later(60).rung is Rung.RUN


def test_nothing_begins_that_would_be_stopped_a_moment_later() -> None:
    play = Played(Limits())
    play.later(1, on_battery=True)
    decision = play.later(60, on_battery=False, others_percent=80.0)
    assert [finding.rule for finding in decision.findings if finding.forbids] == ["others-busy", "on-battery"]


def test_once_guests_stop_nothing_else_waits_to_forbid() -> None:
    play = Played(Limits())
    play.later(1, others_percent=90.0)
    stopped = play.later(1, full_screen=True)
    assert [finding.rule for finding in stopped.findings if finding.forbids] == ["full-screen", "others-busy"]


def test_what_still_is_is_shown_before_what_only_was() -> None:
    play = Played(Limits())
    play.later(1, on_battery=True)
    reason = play.later(3, on_battery=False, full_screen=True).reason
    assert reason is not None
    assert reason.code == "full-screen"
    both = play.later(1, full_screen=False, awake=True)
    assert [finding.rule for finding in both.findings if finding.forbids] == ["call", "full-screen", "on-battery"]


def test_in_use() -> None:
    play = Played(Limits(When(in_use=False)))
    decision = play.later(1, idle_s=0.0)
    assert decision.reason is not None
    assert decision.reason.text == "You are using the computer; goes on 3 minutes after the last input."
    assert decision.reason.until == decision.changes_at == play.now.in_s(180)
    assert not decision.transfers
    assert decision.transfers_reason == decision.reason
    assert play.later(179.5).rung is Rung.HOLD
    assert play.later(0.5).rung is Rung.RUN


def test_a_locked_computer_is_not_in_use() -> None:
    play = Played(Limits(When(in_use=False)))
    assert play.later(1, idle_s=0.0).rung is Rung.HOLD
    locked = play.later(2, locked=True)
    assert locked.rung is Rung.HOLD
    assert locked.changes_at == play.now.in_s(8)
    assert play.later(8).rung is Rung.RUN


def test_unknown_is_in_use() -> None:
    play = Played(Limits(When(in_use=False)))
    decision = play.later(1, idle_s=None)
    assert decision.reason is not None
    assert decision.reason.text.startswith("This computer does not tell whether somebody uses it")
    assert decision.reason.until is None
    assert Played(Limits()).later(1, idle_s=None).cpu_percent == Played(Limits()).later(1, idle_s=0.0).cpu_percent


def test_idle_too_long() -> None:
    play = Played(Limits(STRICT))
    assert play.decisions[0].changes_at == play.now.in_s(3000)
    decision = play.later(3000)
    assert decision.reason is not None
    assert decision.reason.text == (
        "Nobody has used the computer for an hour, so it may go to sleep; goes on with the next input."
    )


def test_schedule() -> None:
    play = Played(Limits(When(week=EVENING), memory=Memory(keep=True)))
    reason = play.decisions[0].reason
    assert reason is not None
    assert reason.text == "Your schedule has no computing now; goes on at 18:00."
    assert reason.until == play.decisions[0].changes_at == datetime(2026, 3, 4, 18, tzinfo=UTC)
    assert play.later(6 * 3600 - 0.1).rung > Rung.RUN
    evening = play.later(0.1)
    assert evening.rung is Rung.RUN
    assert evening.changes_at == datetime(2026, 3, 5, tzinfo=UTC)
    reason = play.later(6 * 3600).reason
    assert reason is not None
    assert reason.text.endswith("goes on Wednesday at 18:00.")


def test_no_hours_at_all() -> None:
    reason = Played(Limits(When(week=NEVER))).decisions[0].reason
    assert reason is not None
    assert reason.until is None
    assert "no hours at all" in reason.text


def test_schedules_go_by_the_wall_clock_and_waits_do_not() -> None:
    play = Played(Limits(When(week=EVENING)))
    assert play.later(1, 6 * 3600).rung is Rung.RUN
    play.later(1, on_battery=True)
    assert play.later(1, 3600, on_battery=False).rung is Rung.HOLD
    assert play.later(9, -1800).rung is Rung.HOLD
    assert play.later(1).rung is Rung.RUN


def test_quiet_hours() -> None:
    none = Played(Limits(When(quiet=DAY))).decisions[0]
    assert none.reason is not None
    assert none.reason.text == "These are your quiet hours; goes on at 18:00."
    some = Played(Limits(When(quiet=DAY), Processor(quiet_percent=10))).decisions[0]
    assert (some.rung, some.cpu_percent) == (Rung.RUN, 10 * some.cpus)


def test_what_guests_get() -> None:
    limits = Limits(processor=Processor(25, 80, 50, 75), memory=Memory(40, 75))
    play = Played(limits)
    assert (play.decisions[0].cpus, play.decisions[0].cpu_percent, play.decisions[0].memory_mib) == (3, 240, 6000)
    used = play.later(1, idle_s=0.0)
    assert (used.cpus, used.cpu_percent, used.memory_mib) == (2, 50, 3200)
    assert play.later(180).cpu_percent == 240
    tiny = Played(Limits(processor=Processor(share_percent_idle=1))).decisions[0]
    assert tiny.cpus == 1


def test_how_fast_disks_may_be() -> None:
    play = Played(Limits(disk=Disk(rate_kib_s=100, rate_kib_s_idle=200)))
    assert play.decisions[0].disk_kib_s == 200
    assert play.later(1, idle_s=0.0).disk_kib_s == 100
    assert play.later(180).disk_kib_s == 200


def test_no_processor_time_is_said_to_be_none() -> None:
    decision = Played(Limits(processor=Processor(0, 0))).decisions[0]
    assert decision.reason is not None
    assert decision.reason.code == "no-processor"


def test_held_guests_are_saved_after_a_while() -> None:
    play = Played(Limits(memory=Memory(save_after_s=600)))
    held = play.later(1, on_battery=True)
    assert held.rung is Rung.HOLD
    assert held.changes_at == play.now.in_s(600)
    assert play.later(599).rung is Rung.HOLD
    assert play.later(1).rung is Rung.SAVE
    assert play.later(1, on_battery=False).rung is Rung.SAVE
    assert play.later(10).rung is Rung.RUN


def test_a_short_pause_frees_no_memory() -> None:
    play = Played(Limits(memory=Memory(save_after_s=600)))
    for _ in range(30):
        assert play.later(590, on_battery=True).rung is Rung.HOLD
        play.later(1, on_battery=False)
        assert play.later(10).rung is Rung.RUN


def test_kept_guests_stay_in_memory_until_it_is_needed() -> None:
    play = Played(Limits(memory=Memory(save_after_s=0, keep=True)))
    assert play.later(1, on_battery=True).rung is Rung.HOLD
    assert play.later(100_000).rung is Rung.HOLD
    assert play.later(1, memory_pressure_percent=50.0).rung is Rung.SAVE


def test_no_state_is_written_to_a_full_disk_for_being_held_long() -> None:
    play = Played(Limits(memory=Memory(save_after_s=600)))
    play.later(1, free_disk_mib=1000)
    held = play.later(10)
    assert held.reason is not None
    assert (held.rung, held.reason.code) == (Rung.HOLD, "disk-full")
    assert play.later(100_000).rung is Rung.HOLD
    assert play.later(1, on_battery=True, free_disk_mib=9000).rung is Rung.HOLD
    assert play.later(60).rung is Rung.SAVE


def test_memory_above_the_budget_is_freed_at_once() -> None:
    play = Played(Limits(memory=Memory(40, 75)), guests_mib=4000)
    assert play.decisions[0].rung is Rung.RUN
    decision = play.later(1, idle_s=0.0)
    assert decision.rung is Rung.SAVE
    assert decision.reason is not None
    assert decision.reason.text == (
        "Virtual machines need 4000 MiB of memory and may take 3200 MiB while the computer is in use;"
        " goes on 3 minutes after the last input."
    )
    play.memory |= {"guests_mib": 0, "need_mib": 4000}
    assert play.later(100).rung is Rung.SAVE
    play.memory |= {"guests_mib": 0, "need_mib": 3000}
    assert play.later(1).rung is Rung.SAVE
    assert play.later(10).rung is Rung.RUN


def test_what_would_not_fit_is_not_begun() -> None:
    decision = Played(Limits(memory=Memory(40, 75)), need_mib=6001).decisions[0]
    assert decision.reason is not None
    assert decision.reason.code == "memory-budget"
    assert decision.reason.text.endswith("by your limit; goes on when the limit is raised or they are made smaller.")


def test_a_saved_guest_needs_room_to_come_back() -> None:
    free = Limits(memory=Memory(90, 90))
    assert Played(free, need_mib=4700).decisions[0].rung is Rung.RUN
    decision = Played(free, need_mib=4800).decisions[0]
    assert decision.reason is not None
    assert decision.reason.text == "Only 5000 MiB of memory are free; goes on when 5184 MiB are."


@pytest.mark.parametrize("news", [{"sleeping": True}, {"leaving": True}])
def test_who_goes_away_holds_and_leaves_saving_to_the_caller(news: dict[str, Any]) -> None:
    play = Played(Limits(memory=Memory(save_after_s=0)))
    assert play.later(1, **news, memory_pressure_percent=90.0).rung is Rung.HOLD
    assert not play.decisions[-1].transfers
    back = play.later(3600, **dict.fromkeys(news, False))
    assert back.rung is Rung.HOLD


def test_changed_limits_are_felt_at_once() -> None:
    play = Played(Limits(memory=Memory(save_after_s=600)))
    assert play.later(1, others_percent=90.0).rung is Rung.RUN
    assert play.later(10).rung is Rung.HOLD
    play.limits = replace(play.limits, when=When(most_others_percent_idle=0))
    assert play.look().rung is Rung.RUN


@pytest.mark.parametrize(
    ("network", "news", "rule", "text"),
    [
        (Network(week=EVENING), {}, "network-schedule", "Your schedule has no network now; goes on at 18:00."),
        (Network(), {"metered": True}, "metered", "This network is paid by the byte; goes on over another one."),
        (
            Network(never=("HOME",)),
            {},
            "network-barred",
            "You do not allow the network home; goes on over another one.",
        ),
        (
            Network(only=("office", "lab")),
            {},
            "network-strange",
            "The network home is not one of those that you allow; goes on over office and lab.",
        ),
        (
            Network(only=("office",)),
            {"networks": None},
            "network-strange",
            "It is not known over which network this computer is connected, and you allow only some;"
            " goes on over office.",
        ),
        (
            Network(month_bytes=5 << 20, month_day=3),
            {},
            "month-spent",
            "The 5 MiB for this month are spent; goes on 3 April at 00:00.",
        ),
    ],
)
def test_transfers(network: Network, news: dict[str, Any], rule: str, text: str) -> None:
    decision = Played(Limits(network=network), spent_bytes=5 << 20).later(1, **news)
    assert decision.rung is Rung.RUN
    assert not decision.transfers
    assert decision.transfers_reason is not None
    assert (decision.transfers_reason.code, decision.transfers_reason.text) == (rule, text)
    assert decision.transfer_findings[0].forbids


def test_the_month_begins_anew() -> None:
    play = Played(Limits(network=Network(month_bytes=100, month_day=28)))
    assert play.decisions[0].changes_at == datetime(2026, 3, 28, tzinfo=UTC)
    play.now = Moment(datetime(2026, 12, 28, 5, tzinfo=UTC), play.now.s + 1e6)
    assert play.look().changes_at == datetime(2027, 1, 28, tzinfo=UTC)


def test_every_rule_is_tried_here_or_has_a_test_of_its_own() -> None:
    own = {"schedule", "quiet-hours", "no-processor", "in-use", "idle-too-long", "memory-budget"}
    network = {"network-schedule", "network-barred", "network-strange", "metered", "month-spent"}
    assert {case[2] for case in CASES} | own | network == {rule.name for rule in RULES}


def test_nothing_known_is_nothing_against() -> None:
    sample = replace(
        GOOD, **{name: None for name in GOOD.__dict__ if name not in {"sleeping", "leaving", "foreground"}}
    )
    decision, _ = decide(Limits(), sample, HERE, NOON, Past.of_start(NOON))
    assert decision.rung is Rung.RUN
    assert all(not finding.text for finding in decision.findings)
