"""The rules for the network, in the order in which their reasons are shown."""

from datetime import datetime
from typing import Final

from client.throttle.rule import Rule, View
from client.throttle.words import at_words, list_words


def next_count(at: datetime, day: int) -> datetime:
    """When the month's count begins anew after a moment: at midnight of that day, local time."""
    start = at.replace(day=day, hour=0, minute=0, second=0, microsecond=0)
    if start > at:
        return start
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return start.replace(year=year, month=month)


def _barred(view: View) -> list[str]:
    never = {name.casefold() for name in view.limits.network.never}
    return [name for name in view.sample.networks or () if name.casefold() in never]


def _strange(view: View) -> list[str]:
    only = {name.casefold() for name in view.limits.network.only}
    return [name for name in view.sample.networks or () if name.casefold() not in only]


def _is_strange(view: View, _: bool) -> bool:
    return bool(view.limits.network.only) and (view.sample.networks is None or bool(_strange(view)))


def _say_strange(view: View) -> str:
    if view.sample.networks is None:
        return "It is not known over which network this computer is connected, and you allow only some"
    return f"The network {list_words(_strange(view))} is not one of those that you allow"


def _week_ends(view: View) -> datetime | None:
    return view.limits.network.week.next_change(view.at)


def _week_goes_on(view: View) -> str:
    end = _week_ends(view)
    return at_words(end, view.at) if end else "when you change the schedule, which has no hours at all"


def _count_ends(view: View) -> datetime:
    return next_count(view.at, view.limits.network.month_day)


TRANSFERS: Final = (
    Rule(
        "network-schedule",
        "network.week",
        "the hour is not one of those for the network",
        lambda view, _: not view.limits.network.week.holds(view.at),
        lambda _: "Your schedule has no network now",
        _week_goes_on,
        "Your schedule had no network",
        _week_ends,
        under_s=0,
        guests=False,
        transfers=True,
    ),
    Rule(
        "network-barred",
        "network.never",
        "the network is one that you named as never to be used",
        lambda view, _: bool(_barred(view)),
        lambda view: f"You do not allow the network {list_words(_barred(view))}",
        lambda _: "over another one",
        "The computer was on a network that you do not allow",
        guests=False,
        transfers=True,
    ),
    Rule(
        "network-strange",
        "network.only",
        "the network is none of those that you named as the only ones, or is not known",
        _is_strange,
        _say_strange,
        lambda view: f"over {list_words(list(view.limits.network.only))}",
        "The computer was on a network that you do not allow",
        guests=False,
        transfers=True,
    ),
    Rule(
        "metered",
        "network.on_metered",
        "the network is paid by the byte, and using such is not allowed",
        lambda view, _: view.sample.metered is True and not view.limits.network.on_metered,
        lambda _: "This network is paid by the byte",
        lambda _: "over another one",
        "The computer was on a network that is paid by the byte",
        guests=False,
        transfers=True,
    ),
    Rule(
        "month-spent",
        "network.month_mib",
        "the month's budget is spent",
        lambda view, _: 0 < view.limits.network.month_bytes <= view.spent_bytes,
        lambda view: f"The {view.limits.network.month_bytes >> 20} MiB for this month are spent",
        lambda view: at_words(_count_ends(view), view.at),
        "The month's budget was spent",
        _count_ends,
        under_s=0,
        guests=False,
        transfers=True,
    ),
)
