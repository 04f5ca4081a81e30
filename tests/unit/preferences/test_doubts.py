"""Preferences that leave nothing."""

import pytest

from client.preferences.doubts import doubts
from client.preferences.presets import Computer, presets
from client.preferences.spec import Value
from client.preferences.store import Preferences


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"when.week": "never"}, "when.week is never"),
        ({"when.week": "sat", "when.quiet": "fri-sun"}, "when.quiet holds in all hours"),
        ({"when.in_use": False, "when.stop_after_idle_min": 3}, "may only while the computer is idle"),
        ({"network.week": "never"}, "network.week is never"),
        ({"network.week": "8-10", "when.week": "18-8"}, "no hour of when.week"),
        ({"network.only": ("a",), "network.never": ("b", "a")}, "all of network.only"),
    ],
)
def test_what_leaves_nothing_is_said_once(values: dict[str, Value], words: str) -> None:
    [said] = doubts(Preferences(values))
    assert words in said and said.endswith(".")


@pytest.mark.parametrize(
    "values",
    [
        *(preset.values for preset in presets(Computer()).values()),
        {"when.week": "sat", "when.quiet": "sat", "processor.quiet_percent": 10},
        {"when.in_use": True, "when.stop_after_idle_min": 3},
        {"when.in_use": False, "when.stop_after_idle_min": 4},
        {"network.week": "8-10", "when.week": "9-11"},
        {"network.only": ("a", "c"), "network.never": ("a",)},
    ],
)
def test_what_leaves_something_is_not_doubted(values: dict[str, Value]) -> None:
    assert doubts(Preferences(values)) == ()
