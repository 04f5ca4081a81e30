"""The rules for guests about who uses the computer, and their programs; by the order in which reasons are shown."""

from datetime import UTC, datetime, timedelta
from typing import Final

from client.throttle import budget
from client.throttle.rule import Rule, View, always_says
from client.throttle.words import list_words, span_words


def bare_name(program: str) -> str:
    """A program's name as it is compared: without case and `.exe`."""
    return program.casefold().removesuffix(".exe")


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


USER: Final = (
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
        always_says("when it does no more"),
        "A program was filling the screen",
    ),
    Rule(
        "call",
        "when.in_calls",
        "a program keeps the screen awake (a call, a film), and running then is not allowed",
        lambda view, _: view.sample.awake is True and not view.limits.when.in_calls,
        always_says("A program keeps the screen awake, as calls and films do"),
        always_says("when it does no more"),
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
        always_says("with the next input"),
        "You have just come back",
    ),
    Rule(
        "others-busy",
        "when.most_others_percent",
        "other programs use more of the processors than the limit",
        _others_work,
        _others,
        always_says("when they have used less for a minute"),
        "Other programs were busy",
        over_s=10,
        under_s=60,
    ),
)
