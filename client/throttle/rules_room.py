"""The rules for guests about memory and disk. In the order in which their reasons are shown."""

from typing import Final

from client.throttle import budget
from client.throttle.rule import Rule, View, always_says
from client.throttle.words import span_words

#: part of the limit on free disk above which there is room again
ROOMIER: Final = 1.1


def _is_pressed(view: View, _: bool) -> bool:
    most, now = view.limits.when.most_memory_pressure_percent, view.sample.memory_pressure_percent
    return bool(most) and now is not None and now > most


def _is_above_budget(view: View, _: bool) -> bool:
    return max(view.guests_mib, view.need_mib) > view.budget_mib


def _above_budget(view: View) -> str:
    most = max(view.guests_mib, view.need_mib)
    now = "while the computer is in use" if view.in_use else "by your limit"
    return f"Virtual machines need {most} MiB of memory and may take {view.budget_mib} MiB {now}"


def _above_ends(view: View) -> str:
    idle_mib = budget.memory_mib(view.limits, view.computer, in_use=False)
    if view.in_use and max(view.guests_mib, view.need_mib) <= idle_mib:
        return f"{span_words(view.limits.when.idle_after_s)} after the last input"
    return "when the limit is raised or they are made smaller"


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


ROOM: Final = (
    Rule(
        "memory-pressure",
        "when.most_memory_pressure_percent",
        "other programs wait for memory more often than the limit",
        _is_pressed,
        always_says("Other programs wait for memory"),
        always_says("when they have not for two minutes"),
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
        "Virtual machines took more memory than your limit",
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
        keeps_off_disk=True,
    ),
)
