"""What BOINC's preferences mean here: pure.

Source: BOINC's own reading of them, lib/prefs.cpp of 7.20 and later. In global_prefs.xml, and in its sections for
places, a yes-or-no that is not there is a no; in global_prefs_override.xml it is left as it was. Limits while idle that
a file does not name are those while in use, whatever an earlier file said. Hours of a day whose end comes before their
beginning are those of the same day before the end and after the beginning, not those of the next one; a day whose hours
end as they begin is as all days.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from client.errors import BadInput
from client.preferences.boinc_xml import Element
from client.preferences.limits import program_name
from client.preferences.spec import BY_KEY, PreferenceSpec, Stricter, Value
from client.preferences.values import MOST_NAMES, check, told
from client.preferences.week import DAY_MIN, Week, week_of
from client.preferences.week_text import write_week


@dataclass(frozen=True)
class Taken:
    """A preference that was understood. tag, said: BOINC's; key, value: what it is here."""

    tag: str
    said: str
    key: str
    value: Value


@dataclass(frozen=True)
class Left:
    """One that was not taken, and why."""

    tag: str
    why: str


@dataclass(frozen=True)
class _Rule:
    """How a number is taken. factor: to our unit; zero: what 0 is here; None: it says nothing that is not so anyway."""

    key: str
    factor: float = 1.0
    zero: int | None = 0


_FLAGS: Final[Mapping[str, str]] = {
    "run_on_batteries": "when.on_battery",
    "run_if_user_active": "when.in_use",
    "leave_apps_in_memory": "memory.keep",
}
_NUMBERS: Final[Mapping[str, _Rule]] = {
    "idle_time_to_run": _Rule("when.idle_after_min", zero=1),
    "suspend_if_no_recent_input": _Rule("when.stop_after_idle_min"),
    "suspend_cpu_usage": _Rule("when.most_others_percent"),
    "niu_suspend_cpu_usage": _Rule("when.most_others_percent_idle"),
    "max_ncpus_pct": _Rule("processor.share_percent", zero=100),
    "niu_max_ncpus_pct": _Rule("processor.share_percent_idle", zero=100),
    "cpu_usage_limit": _Rule("processor.percent", zero=None),
    "niu_cpu_usage_limit": _Rule("processor.percent_idle", zero=100),
    "max_cpus": _Rule("guest.cpus", zero=None),
    "ram_max_used_busy_pct": _Rule("memory.percent", zero=100),
    "ram_max_used_idle_pct": _Rule("memory.percent_idle", zero=100),
    "disk_max_used_gb": _Rule("disk.most_mib", 1024),
    "disk_max_used_pct": _Rule("disk.most_percent", zero=None),
    "disk_min_free_gb": _Rule("disk.least_free_mib", 1024),
    "max_bytes_sec_down": _Rule("network.down_kib_per_s", 1 / 1024),
    "max_bytes_sec_up": _Rule("network.up_kib_per_s", 1 / 1024),
    "battery_charge_min_pct": _Rule("when.least_battery_percent"),
}
#: limits while idle that are those while in use where they are not there
_LIKE_IN_USE: Final[Mapping[str, str]] = {
    "niu_suspend_cpu_usage": "suspend_cpu_usage",
    "niu_max_ncpus_pct": "max_ncpus_pct",
    "niu_cpu_usage_limit": "cpu_usage_limit",
}
_WEEKS: Final = (("start_hour", "end_hour", "when.week"), ("net_start_hour", "net_end_hour", "network.week"))
_BUDGET: Final = ("daily_xfer_limit_mb", "daily_xfer_period_days")
_DAY: Final = "day_prefs"
_PLACE: Final = "venue"
#: what BOINC has and this program has not, with the reason
NOT_HERE: Final[Mapping[str, str]] = {
    "run_gpu_if_user_active": "virtual machines do not use the graphics processor",
    "cpu_scheduling_period_minutes": "there is one project at a time, so none takes turns",
    "disk_interval": "how often a job's state is saved is the appliance's matter",
    "work_buf_min_days": "jobs are fetched one by one: none lies waiting, and none is late",
    "work_buf_additional_days": "jobs are fetched one by one: none lies waiting, and none is late",
    "vm_max_used_pct": "the limits of memory keep virtual machines out of the page file",
    "confirm_before_connecting": "nothing dials",
    "hangup_if_dialed": "nothing dials",
    "dont_verify_images": "every file is verified, always",
    "network_wifi_only": "networks are named in network.only, and metered ones have network.on_metered",
    "battery_max_temperature": "it is the processor's temperature that counts: when.most_temperature_c",
    "exclusive_gpu_app": "virtual machines do not use the graphics processor; when.programs stops all work",
}
#: what says where the file came from, and no more
_PROVENANCE: Final = frozenset({"source_project", "source_scheduler", "mod_time", "host_specific"})
_KNOWN: Final = frozenset({*_FLAGS, *_NUMBERS, *_BUDGET, _DAY, *(tag for week in _WEEKS for tag in week[:2])})


def import_boinc(
    roots: Sequence[Element], place: str = "", programs: tuple[str, ...] = ()
) -> tuple[list[Taken], list[Left]]:
    """What of files is taken, and what is not.

    Args:
        roots: of the files; what a later one says holds over an earlier one, as `global_prefs_override.xml` does.
        place: the section for it is taken (BOINC's "home", "work", "school"); empty: what holds without one.
        programs: that are named already; those of the files come to them.

    Raises:
        BadInput: there is no section for the place.
    """
    preferences = [root for root in roots if root.tag == "global_preferences"]
    taken, left = _preferences(preferences, place) if preferences else ([], [])
    if others := [root for root in roots if root.tag == "cc_config"]:
        more, rest = _programs([options for root in others for options in root.all("options")], programs)
        taken, left = [*taken, *more], [*left, *rest]
    return taken, left


def _preferences(roots: Sequence[Element], place: str) -> tuple[list[Taken], list[Left]]:
    chosen, is_whole = _section(roots, place)
    found: list[Taken | Left] = [*_flags(chosen, is_whole), *_numbers(chosen), *_weeks(chosen), *_budget(chosen)]
    found += _unused(chosen)
    return [one for one in found if isinstance(one, Taken)], [one for one in found if isinstance(one, Left)]


def _section(roots: Sequence[Element], place: str) -> tuple[Element, bool]:
    """One element with all that counts, the last last; and whether a yes-or-no that is missing is a no."""
    sections = {one.name: one for root in roots for one in root.all(_PLACE)}
    if place and place not in sections:
        known = f"choose one of {', '.join(sections)}" if sections else "leave out --venue"
        raise BadInput("--venue", f"there is no section for {place!r} in the file", known)
    inner: list[Element] = []
    is_whole = bool(place)
    for root in roots:
        own = [one for one in root.all(_PLACE) if one.name == place]
        if place and own:
            inner = list(own[-1].inner)
            continue
        inner = [one for one in inner if one.tag not in _LIKE_IN_USE] + root.inner
        is_whole = is_whole or any(root.last(tag) is not None for tag in ("mod_time", "source_project"))
    return Element(roots[-1].tag, inner=inner), is_whole


def _flags(root: Element, is_whole: bool) -> Iterator[Taken | Left]:
    for tag, key in _FLAGS.items():
        said = root.last(tag)
        if said is None:
            if is_whole:
                yield Taken(tag, "not there, which is a no", key, False)
        elif (number := 1.0 if said == "" else _number(said)) is None:
            yield Left(tag, f"{said[:40]!r} is neither 0 nor 1")
        else:
            yield Taken(tag, said or "1", key, number != 0)


def _numbers(root: Element) -> Iterator[Taken | Left]:
    for tag, rule in _NUMBERS.items():
        source = tag if root.last(tag) is not None else _LIKE_IN_USE.get(tag, "")
        said = root.last(source) if source else None
        if said is None:
            continue
        number = _number(said)
        if number is None or number < 0:
            yield Left(source, f"{said[:40]!r} is no number from 0 on")
        elif number == 0 and rule.zero is None:
            yield Left(source, "0 says nothing here")
        else:
            yield Taken(source, said, rule.key, _fitted(number, rule))


def _fitted(number: float, rule: _Rule) -> int:
    """A whole number of our unit that allows no more than the one that was said."""
    spec = BY_KEY[rule.key]
    if number == 0 and rule.zero is not None:
        return rule.zero
    exact = round(min(number * rule.factor, float(spec.maximum)), 6)
    whole = math.ceil(exact) if spec.stricter is Stricter.MORE else math.floor(exact)
    # What was a limit must not become 0, which may mean that there is none.
    return min(max(whole, spec.minimum, 1), spec.maximum)


def _weeks(root: Element) -> Iterator[Taken | Left]:
    for first, last, key in _WEEKS:
        days = [one for one in root.all(_DAY) if one.last(first) is not None or one.last(last) is not None]
        said = [root.last(first), root.last(last)]
        if said == [None, None] and not days:
            continue
        tag = f"{first}, {last}" + (f", {_DAY}" if days else "")
        try:
            week = _week(root, days, first, last)
        except ValueError as error:
            yield Left(tag, str(error))
        else:
            yield Taken(tag, " to ".join(text or "0" for text in said), key, write_week(week))


def _week(root: Element, days: Iterable[Element], first: str, last: str) -> Week:
    hours = [_spans(*_ends(root, first, last))] * 7
    for day in days:
        number = _number(day.last("day_of_week") or "")
        if number is None or number not in range(7):
            raise ValueError(f"{(day.last('day_of_week') or 'nothing')[:40]!r} is no day from 0 (Sunday) to 6")
        begin, end = _ends(day, first, last)
        if begin != end:
            hours[(int(number) + 6) % 7] = _spans(begin, end)
    return week_of(
        (day * DAY_MIN + begin, day * DAY_MIN + end) for day, spans in enumerate(hours) for begin, end in spans
    )


def _ends(element: Element, first: str, last: str) -> tuple[float, float]:
    """Where the hours of a day begin and end; what is not there is 0."""
    return _hour(element.last(first) or "0"), _hour(element.last(last) or "0")


def _spans(begin: float, end: float) -> list[tuple[int, int]]:
    """Minutes of one day."""
    if begin == end:
        return [(0, DAY_MIN)]
    spans = [(begin, end)] if begin < end else [(0, end), (begin, 24)]
    minutes = [(round(start * 60), round(stop * 60)) for start, stop in spans]
    return [span for span in minutes if span[0] < span[1]]


def _hour(text: str) -> float:
    number = _number(text)
    if number is None or not 0 <= number <= 24:
        raise ValueError(f"{text[:40]!r} is no hour from 0 to 24")
    return number


def _budget(root: Element) -> Iterator[Taken | Left]:
    said = [root.last(tag) for tag in _BUDGET]
    if said == [None, None]:
        return
    limit, days = (_number(text or "0") for text in said)
    tag = ", ".join(_BUDGET)
    if limit is None or days is None or limit < 0 or days < 0:
        yield Left(tag, "they are no numbers from 0 on")
    else:
        number = limit * 30 / days if days else 0
        value = _fitted(number, _Rule("network.month_mib"))
        yield Taken(tag, f"{said[0] or 0} in {said[1] or 0} days", "network.month_mib", value)


def _unused(root: Element) -> Iterator[Left]:
    for tag in dict.fromkeys(one.tag for one in root.inner):
        if tag == _PLACE:
            names = ", ".join(one.name for one in root.all(_PLACE))
            yield Left(tag, f"--venue takes the section for one of: {names}")
        elif tag in NOT_HERE:
            yield Left(tag, NOT_HERE[tag])
        elif tag not in _KNOWN and tag not in _PROVENANCE:
            yield Left(tag[:60], "it is not known here")


def _programs(groups: Sequence[Element], programs: tuple[str, ...]) -> tuple[list[Taken], list[Left]]:
    options = [one for group in groups for one in group.inner]
    found = [one.text for one in options if one.tag == "exclusive_app" and one.text]
    names = tuple(dict.fromkeys((*programs, *map(program_name, found))))
    left = [Left(tag, NOT_HERE[tag]) for tag in {one.tag: None for one in options} if tag in NOT_HERE]
    spec: PreferenceSpec = BY_KEY["when.programs"]
    if not found:
        return [], [*left, Left("exclusive_app", "the file names none")]
    if wrong := check(spec, names[:MOST_NAMES]):
        return [], [*left, Left("exclusive_app", wrong)]
    return [Taken("exclusive_app", ", ".join(found), spec.key, names[:MOST_NAMES])], left


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def report(taken: Iterable[Taken], left: Iterable[Left]) -> Iterator[str]:
    """Both in lines for people."""
    for one in taken:
        yield f"{one.tag} = {one.said[:60]}: {one.key} = {told(BY_KEY[one.key], one.value)}"
    for other in left:
        yield f"{other.tag} is not taken: {other.why}."
