"""The rules for guests, in the order in which their reasons are shown. One for each limit, declared once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from client.throttle import budget
from client.throttle.rule import Rule, View
from client.throttle.words import at_words, list_words, span_words

#: below a limit on warmth by so much it is cool again
COOLER_C: Final = 5.0
#: part of the limit on fans below which they are quiet again
CALMER: Final = 0.9
#: above a limit on charge by so many percent it is charged again
FULLER: Final = 5.0
#: part of the limit on free disk above which there is room again
ROOMIER: Final = 1.1


def bare_name(program: str) -> str:
    """A program's name as it is compared: without case and `.exe`."""
    return program.casefold().removesuffix(".exe")


def _fixed(text: str) -> Callable[[View], str]:
    return lambda _: text


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


def _named(view: View) -> list[str]:
    wanted = view.limits.when.programs
    if not wanted:
        return []
    there = {bare_name(name) for name in view.sample.programs or ()} | {bare_name(view.sample.foreground)}
    return [name for name in wanted if bare_name(name) in there]


def _named_run(view: View) -> str:
    names = _named(view)
    return f"{list_words(names)} {'runs' if len(names) == 1 else 'run'}"


def _named_end(view: View) -> str:
    return "when it ends" if len(_named(view)) == 1 else "when they end"


def _is_busy(view: View, _: bool) -> bool:
    return view.in_use and not view.limits.when.in_use


def _busy(view: View) -> str:
    if view.sample.idle_s is None:
        return "This computer does not tell whether somebody uses it, so it counts as in use"
    return "You are using the computer"


def _busy_ends(view: View) -> str:
    if view.sample.idle_s is None:
        return "when the screen is locked"
    return f"{span_words(view.limits.when.idle_after_s)} after the last input"


def _busy_until(view: View) -> datetime | None:
    if view.sample.idle_s is None:
        return None
    # In UTC: on a local clock that is put forward meanwhile the sum would be an hour off.
    return view.at.astimezone(UTC) + timedelta(seconds=view.limits.when.idle_after_s - view.sample.idle_s)


def _is_left(view: View, _: bool) -> bool:
    most, idle_s = view.limits.when.stop_after_idle_s, view.sample.idle_s
    return bool(most) and idle_s is not None and idle_s >= most


def _left(view: View) -> str:
    span = span_words(view.limits.when.stop_after_idle_s)
    return f"Nobody has used the computer for {span}, so it may go to sleep"


def _others_work(view: View, _: bool) -> bool:
    most, now = budget.others_percent(view), view.sample.others_percent
    return bool(most) and now is not None and now > most


def _others(view: View) -> str:
    now, most = view.sample.others_percent or 0.0, budget.others_percent(view)
    return f"Other programs use {now:.0f} % of the processors, and your limit is {most} %"


def _is_pressed(view: View, _: bool) -> bool:
    most, now = view.limits.when.most_memory_pressure_percent, view.sample.memory_pressure_percent
    return bool(most) and now is not None and now > most


def _is_above_budget(view: View, _: bool) -> bool:
    return max(view.guests_mib, view.need_mib) > view.budget_mib


def _above_budget(view: View) -> str:
    most = max(view.guests_mib, view.need_mib)
    now = "while the computer is in use" if view.in_use else "by your limit"
    return f"Guests take {most} MiB of memory and may take {view.budget_mib} MiB {now}"


def _above_ends(view: View) -> str:
    idle_mib = budget.memory_mib(view.limits, view.computer, in_use=False)
    if view.in_use and max(view.guests_mib, view.need_mib) <= idle_mib:
        return f"{span_words(view.limits.when.idle_after_s)} after the last input"
    return "when the limit is raised or guests are made smaller"


def _is_short(view: View, forbids: bool) -> bool:
    free = view.sample.free_memory_mib
    return free is not None and free < budget.least_free_mib(view, forbids)


def _short(view: View) -> str:
    return f"Only {view.sample.free_memory_mib} MiB of memory are free"


def _short_ends(view: View) -> str:
    return f"when {budget.least_free_mib(view, True)} MiB are"


def _is_full(view: View, forbids: bool) -> bool:
    least, free = view.limits.disk.least_free_mib, view.sample.free_disk_mib
    return free is not None and free < (least * ROOMIER if forbids else least)


def _full(view: View) -> str:
    least = view.limits.disk.least_free_mib
    return f"Only {view.sample.free_disk_mib} MiB of the disk are free, and your limit is {least} MiB"


GUESTS: Final = (
    Rule(
        "leaving",
        "",
        "the session or the computer is about to end",
        lambda view, _: view.sample.leaving,
        _fixed("You are logging off or shutting the computer down"),
        _fixed("when this program is started again"),
        "You were about to log off",
        transfers=True,
    ),
    Rule(
        "sleeping",
        "",
        "the computer is about to sleep, or woke up a moment ago",
        lambda view, _: view.sample.sleeping,
        _fixed("The computer is about to sleep"),
        _fixed("half a minute after it wakes up"),
        "The computer woke up a moment ago",
        under_s=30,
        transfers=True,
    ),
    Rule(
        "on-battery",
        "when.on_battery",
        "there is no mains, and running on battery is not allowed",
        lambda view, _: view.sample.on_battery is True and not view.limits.when.on_battery,
        _fixed("On battery"),
        _fixed("when the computer is plugged in"),
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
        _fixed("The computer saves power"),
        _fixed("when its power saver is switched off"),
        "The computer was saving power",
    ),
    Rule(
        "schedule",
        "when.week",
        "the hour is not one of those for computing",
        lambda view, _: not view.limits.when.week.holds(view.at),
        _fixed("Your schedule has no computing now"),
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
        _fixed("These are your quiet hours"),
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
        _fixed("Your limit leaves guests no processor time"),
        _fixed("when the limit is raised"),
        "Your limit left guests no processor time",
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
    Rule(
        "program",
        "when.programs",
        "a program that you named runs",
        lambda view, _: bool(_named(view)),
        _named_run,
        _named_end,
        "A program that you named was running",
    ),
    Rule(
        "full-screen",
        "when.in_full_screen",
        "a program fills the screen, and running then is not allowed",
        lambda view, _: view.sample.full_screen is True and not view.limits.when.in_full_screen,
        lambda view: f"{view.sample.foreground or 'A program'} fills the screen",
        _fixed("when it does no more"),
        "A program was filling the screen",
    ),
    Rule(
        "call",
        "when.in_calls",
        "a program keeps the screen awake (a call, a film), and running then is not allowed",
        lambda view, _: view.sample.awake is True and not view.limits.when.in_calls,
        _fixed("A program keeps the screen awake, as calls and films do"),
        _fixed("when it does no more"),
        "A program kept the screen awake",
        under_s=30,
    ),
    Rule(
        "in-use",
        "when.in_use",
        "somebody uses the computer, and running then is not allowed",
        _is_busy,
        _busy,
        _busy_ends,
        "You have just used the computer",
        _busy_until,
        gone_s=lambda view: view.sample.idle_s,
        transfers=True,
    ),
    Rule(
        "idle-too-long",
        "when.stop_after_idle_min",
        "nobody has used the computer for so long that it may go to sleep",
        _is_left,
        _left,
        _fixed("with the next input"),
        "You have just come back",
    ),
    Rule(
        "others-busy",
        "when.most_others_percent",
        "other programs use more of the processors than the limit",
        _others_work,
        _others,
        _fixed("when they have used less for a minute"),
        "Other programs were busy",
        over_s=10,
        under_s=60,
    ),
    Rule(
        "memory-pressure",
        "when.most_memory_pressure_percent",
        "other programs wait for memory more often than the limit",
        _is_pressed,
        _fixed("Other programs wait for memory"),
        _fixed("when they have not for two minutes"),
        "Other programs waited for memory",
        under_s=120,
        frees_memory=True,
    ),
    Rule(
        "memory-budget",
        "memory.percent",
        "guests take more memory than the limit",
        _is_above_budget,
        _above_budget,
        _above_ends,
        "Guests took more memory than your limit",
        frees_memory=True,
    ),
    Rule(
        "memory-short",
        "",
        "less memory is free than other programs may want at once (3 %, at least 256 MiB)",
        _is_short,
        _short,
        _short_ends,
        "Memory was short",
        over_s=10,
        under_s=60,
        frees_memory=True,
    ),
    Rule(
        "disk-full",
        "disk.least_free_mib",
        "less of the disk is free than the limit; until it is a tenth more than that",
        _is_full,
        _full,
        lambda view: f"when {view.limits.disk.least_free_mib * ROOMIER:.0f} MiB are",
        "The disk was full",
        over_s=10,
        under_s=60,
    ),
)
