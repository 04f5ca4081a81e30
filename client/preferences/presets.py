"""Many preferences at once: barely-there, balanced (the defaults), all-mine.

They say how much is given; what is the volunteer's own business stays: hours, programs, networks, budgets, hypervisor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from client.preferences.spec import BY_KEY, Value
from client.preferences.store import Preferences

_ALL_CPUS: Final = "guest.cpus"
_ALL_MEMORY: Final = "guest.memory_mib"


@dataclass(frozen=True)
class Preset:
    """A set of values.

    Attributes:
        name: as typed.
        label: as shown.
        help: one sentence.
        values: by key.
    """

    name: str
    label: str
    help: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Computer:
    """What a preset has to know of this computer: processors, memory in MiB; 0: not known."""

    processors: int = 0
    memory_mib: int = 0


_BARELY: Final[Mapping[str, Value]] = {
    "when.in_use": False,
    "when.idle_after_min": 10,
    "when.most_others_percent": 10,
    "when.most_others_percent_idle": 20,
    "when.in_full_screen": False,
    "when.in_calls": False,
    "when.on_battery": False,
    "when.in_power_saver": False,
    "when.most_temperature_c": 70,
    "when.most_memory_pressure_percent": 5,
    # One percent of all processors is one of them, on every computer.
    "processor.percent": 10,
    "processor.percent_idle": 33,
    "processor.share_percent": 1,
    "processor.share_percent_idle": 1,
    "guest.cpus": 1,
    "guest.memory_mib": 512,
    "guest.most_vms": 1,
    "memory.percent": 15,
    "memory.percent_idle": 25,
    "memory.save_after_min": 2,
    "memory.keep": False,
    "disk.most_percent": 10,
    "disk.least_free_mib": 10240,
    "disk.rate_kib_per_s": 5120,
    "disk.rate_kib_per_s_idle": 10240,
    "network.down_kib_per_s": 512,
    "network.up_kib_per_s": 64,
    "network.on_metered": False,
}
_ALL_MINE: Final[Mapping[str, Value]] = {
    "when.in_use": True,
    "when.idle_after_min": 3,
    "when.most_others_percent": 0,
    "when.most_others_percent_idle": 0,
    "when.in_full_screen": True,
    "when.in_calls": True,
    # "Always", as long as there is mains: a battery that is empty serves nobody.
    "when.on_battery": False,
    "when.in_power_saver": True,
    "when.most_temperature_c": 95,
    "when.most_memory_pressure_percent": 25,
    "processor.percent": 100,
    "processor.percent_idle": 100,
    "processor.share_percent": 100,
    "processor.share_percent_idle": 100,
    "guest.most_vms": 16,
    "memory.percent": 75,
    "memory.percent_idle": 90,
    "memory.save_after_min": 60,
    "memory.keep": True,
    "disk.most_percent": 50,
    "disk.least_free_mib": 2048,
    "disk.rate_kib_per_s": 0,
    "disk.rate_kib_per_s_idle": 0,
    "network.down_kib_per_s": 0,
    "network.up_kib_per_s": 0,
    "network.on_metered": False,
}
#: what is somebody's own choice, and no preset touches, is all else
KEYS: Final = tuple(key for key in BY_KEY if key in {*_BARELY, *_ALL_MINE})
NAMES: Final = ("barely-there", "balanced", "all-mine")


def presets(computer: Computer) -> Mapping[str, Preset]:
    """By name, for one computer."""
    found = (
        Preset(
            NAMES[0],
            "Barely there",
            "Only while nobody uses the computer, on mains, with a third of one processor and little memory.",
            _BARELY,
        ),
        Preset(
            NAMES[1],
            "Balanced",
            "So that you do not notice it: little while you use the computer, more while you do not.",
            {key: BY_KEY[key].default for key in KEYS},
        ),
        Preset(
            NAMES[2],
            "All mine",
            "All processors, always, as long as there is mains.",
            {**_ALL_MINE, _ALL_CPUS: _within(_ALL_CPUS, computer.processors), _ALL_MEMORY: _memory(computer)},
        ),
    )
    return MappingProxyType({preset.name: preset for preset in found})


def changes(preset: Preset, preferences: Preferences) -> dict[str, Value | None]:
    """What has to be written into the user's file; None: taken out of it, as it holds without.

    What is locked is left out; see `kept`.
    """
    wanted = {key: value for key, value in preset.values.items() if not preferences.setting(key).locked}
    below = preferences.over_site()
    return {key: None if below.setting(key).value == value else value for key, value in wanted.items()}


def kept(preset: Preset, preferences: Preferences) -> tuple[str, ...]:
    """Keys that the site's file keeps from having the preset's value."""
    settings = {key: preferences.setting(key) for key in preset.values}
    return tuple(key for key, setting in settings.items() if setting.locked and setting.value != preset.values[key])


def preset_of(preferences: Preferences, computer: Computer) -> str:
    """The name of the preset whose values these are; empty for none. What is locked does not count."""
    for preset in presets(computer).values():
        settings = {key: preferences.setting(key) for key in preset.values}
        free = {key: setting for key, setting in settings.items() if not setting.locked}
        if free and all(setting.value == preset.values[key] for key, setting in free.items()):
            return preset.name
    return ""


def _within(key: str, number: int) -> int:
    spec = BY_KEY[key]
    return min(max(number, spec.minimum), spec.maximum)


def _memory(computer: Computer) -> int:
    """Three quarters of it; as much as else where it is not known."""
    default = BY_KEY[_ALL_MEMORY].default
    return _within(_ALL_MEMORY, max(computer.memory_mib * 3 // 4, int(default) if isinstance(default, int) else 0))
