"""The rules for guests about going away, power, hours and warmth. In the order in which their reasons are shown."""

from datetime import datetime
from typing import Final

from client.throttle import budget
from client.throttle.rule import Rule, View, always_says
from client.throttle.words import at_words

#: below a limit on warmth by so much it is cool again
COOLER_C: Final = 5.0
#: part of the limit on fans below which they are quiet again
CALMER: Final = 0.9
#: above a limit on charge by so many percent it is charged again
FULLER: Final = 5.0


def _is_low(view: View, forbids: bool) -> bool:
    least, now = view.limits.when.least_battery_percent, view.sample.battery_percent
    enough = min(100.0, least + FULLER) if forbids else least
    return view.sample.on_battery is True and now is not None and now < enough


def _low(view: View) -> str:
    charge, least = view.sample.battery_percent or 0.0, view.limits.when.least_battery_percent
    return f"The battery is at {charge:.0f} %, and your limit is {least} %"


def _low_ends(view: View) -> str:
    enough = min(100.0, view.limits.when.least_battery_percent + FULLER)
    return f"when it is plugged in or at {enough:.0f} %"


def _week_ends(view: View) -> datetime | None:
    return view.limits.when.week.next_change(view.at)


def _week_goes_on(view: View) -> str:
    end = _week_ends(view)
    return at_words(end, view.at) if end else "when you change the schedule, which has no hours at all"


def _is_quiet(view: View, _: bool) -> bool:
    return view.limits.processor.quiet_percent == 0 and budget.is_quiet(view)


def _quiet_ends(view: View) -> datetime | None:
    return view.limits.when.quiet.next_change(view.at)


def _quiet_goes_on(view: View) -> str:
    end = _quiet_ends(view)
    return at_words(end, view.at) if end else "when you change them, for they never end"


def _has_no_processor(view: View, _: bool) -> bool:
    return budget.percent(view) == 0 and not _is_quiet(view, False)


def _is_hot(view: View, forbids: bool) -> bool:
    most, now = view.limits.when.most_temperature_c, view.sample.temperature_c
    return bool(most) and now is not None and now > (most - COOLER_C if forbids else most)


def _hot(view: View) -> str:
    most = view.limits.when.most_temperature_c
    return f"The processor is at {view.sample.temperature_c or 0:.0f} °C, and your limit is {most} °C"


def _is_loud(view: View, forbids: bool) -> bool:
    most, now = view.limits.when.most_fan_rpm, view.sample.fan_rpm
    return bool(most) and now is not None and now > (most * CALMER if forbids else most)


def _loud(view: View) -> str:
    most = view.limits.when.most_fan_rpm
    return f"A fan turns {view.sample.fan_rpm} times a minute, and your limit is {most}"


POWER: Final = (
    Rule(
        "leaving",
        "",
        "the session or the computer is about to end",
        lambda view, _: view.sample.leaving,
        always_says("You are logging off or shutting the computer down"),
        always_says("when this program is started again"),
        "You were about to log off",
        transfers=True,
    ),
    Rule(
        "sleeping",
        "",
        "the computer is about to sleep, or woke up a moment ago",
        lambda view, _: view.sample.sleeping,
        always_says("The computer is about to sleep"),
        always_says("half a minute after it wakes up"),
        "The computer woke up a moment ago",
        under_s=30,
        transfers=True,
    ),
    Rule(
        "on-battery",
        "when.on_battery",
        "there is no mains, and running on battery is not allowed",
        lambda view, _: view.sample.on_battery is True and not view.limits.when.on_battery,
        always_says("On battery"),
        always_says("when the computer is plugged in"),
        "The computer was on battery",
    ),
    Rule(
        "battery-low",
        "when.least_battery_percent",
        f"on battery, and its charge is below the limit; until it is {FULLER:.0f} % above it",
        _is_low,
        _low,
        _low_ends,
        "The battery was low",
    ),
    Rule(
        "power-saver",
        "when.in_power_saver",
        "the system saves power, and running then is not allowed",
        lambda view, _: view.sample.power_saver is True and not view.limits.when.in_power_saver,
        always_says("The computer saves power"),
        always_says("when its power saver is switched off"),
        "The computer was saving power",
    ),
    Rule(
        "schedule",
        "when.week",
        "the hour is not one of those for computing",
        lambda view, _: not view.limits.when.week.holds(view.at),
        always_says("Your schedule has no computing now"),
        _week_goes_on,
        "Your schedule had no computing",
        _week_ends,
        under_s=0,
    ),
    Rule(
        "quiet-hours",
        "when.quiet",
        "the hour is a quiet one, and nothing may run in those",
        _is_quiet,
        always_says("These are your quiet hours"),
        _quiet_goes_on,
        "It was one of your quiet hours",
        _quiet_ends,
        under_s=0,
    ),
    Rule(
        "no-processor",
        "processor.percent",
        "the limit on the processor is 0 %",
        _has_no_processor,
        always_says("Your limit leaves virtual machines no processor time"),
        always_says("when the limit is raised"),
        "Your limit left virtual machines no processor time",
    ),
    Rule(
        "hot",
        "when.most_temperature_c",
        f"the processor is warmer than the limit; until it is {COOLER_C:.0f} °C cooler than that",
        _is_hot,
        _hot,
        lambda view: f"when it is at {view.limits.when.most_temperature_c - COOLER_C:.0f} °C",
        "The processor was hot",
        over_s=10,
        under_s=60,
    ),
    Rule(
        "loud",
        "when.most_fan_rpm",
        "a fan turns faster than the limit; until it is a tenth slower than that",
        _is_loud,
        _loud,
        lambda view: f"when it turns {view.limits.when.most_fan_rpm * CALMER:.0f} times a minute",
        "A fan was loud",
        over_s=10,
        under_s=60,
    ),
)
