"""Preferences that together allow less than whoever set them may have meant: nothing at all."""

from collections.abc import Iterator

from client.preferences.store import Preferences
from client.preferences.week import ALWAYS, NEVER


def doubts(preferences: Preferences) -> tuple[str, ...]:
    """What never happens as things are set, a sentence each."""
    return (*_running(preferences), *_transfers(preferences))


def _running(preferences: Preferences) -> Iterator[str]:
    idle, sleep = preferences.number("when.idle_after_min"), preferences.number("when.stop_after_idle_min")
    quiet, silent = preferences.week("when.quiet"), preferences.number("processor.quiet_percent") == 0
    if preferences.week("when.week") == NEVER:
        yield "Nothing ever runs: when.week is never."
    elif silent and preferences.week("when.week").both(quiet) == preferences.week("when.week"):
        yield "Nothing ever runs: when.quiet holds in all hours of when.week, and processor.quiet_percent is 0."
    if not preferences.flag("when.in_use") and 0 < sleep <= idle:
        yield (
            "Nothing ever runs: it may only while the computer is idle (when.in_use), which it is after"
            f" {idle} min, and from {sleep} min on it may not (when.stop_after_idle_min)."
        )


def _transfers(preferences: Preferences) -> Iterator[str]:
    only, never = preferences.names("network.only"), preferences.names("network.never")
    hours = preferences.week("network.week")
    if hours == NEVER:
        yield "No jobs come, and none is handed in: network.week is never."
    elif (
        hours != ALWAYS
        and preferences.week("when.week") != NEVER
        and hours.both(preferences.week("when.week")) == NEVER
    ):
        yield "No jobs come while anything runs: no hour of when.week is one of network.week."
    if only and set(only) <= set(never):
        yield "No jobs come, and none is handed in: all of network.only are in network.never."
