"""A week on somebody's computer, made up from a seed: its user's days, sleep, mains, calls, films, and sudden loads."""

import random
from collections.abc import Iterator
from typing import Any, Final

from client.throttle.simulate import WEEK_S, Change

_DAY_S: Final = 24 * 3600.0
_HOUR_S: Final = 3600.0
#: what some computers do not tell
_MAY_LACK: Final = (
    *("idle_s", "battery_percent", "temperature_c", "fan_rpm", "metered", "networks", "full_screen", "programs"),
    *("awake", "memory_pressure_percent", "power_saver", "locked"),
)
_PROGRAMS: Final = ("steam", "blender", "zoom")
_NETWORKS: Final = ("home", "office", "phone")


def random_week(seed: int) -> list[Change]:
    """Its changes, in the order of time. The same seed gives the same week."""
    chance = random.Random(seed)
    lacks = {name for name in _MAY_LACK if chance.random() < 0.08}
    changes = [_first(chance), *_clock(chance)]
    is_laptop = chance.random() < 0.6
    for day in range(7):
        changes += _day(chance, day * _DAY_S, day, is_laptop)
    for loads in (_loads, _warmth, _memory, _disk, _screens, _networks):
        changes += loads(chance)
    known = (_without(change, lacks) for change in changes if 0 <= change.s < WEEK_S)
    return sorted(known, key=lambda change: change.s)


def _first(chance: random.Random) -> Change:
    return Change(
        0.0,
        {
            "idle_s": chance.choice((0.0, 30.0, 7200.0)),
            "locked": False,
            "on_battery": False,
            "battery_percent": 100.0,
            "power_saver": False,
            "temperature_c": 45.0,
            "fan_rpm": 900,
            "metered": False,
            "networks": ("home",),
            "full_screen": False,
            "programs": frozenset(),
            "awake": False,
            "others_percent": 3.0,
            "free_memory_mib": 6000,
            "memory_pressure_percent": 0.0,
            "free_disk_mib": 50_000,
        },
        spent_bytes=0,
    )


def _without(change: Change, lacks: set[str]) -> Change:
    kept = {name: value for name, value in change.sample.items() if name not in lacks}
    return Change(change.s, kept, change.clock_s, change.spent_bytes)


def _clock(chance: random.Random) -> Iterator[Change]:
    """Summer time, a clock set by hand, or by the network."""
    if chance.random() < 0.3:
        yield Change(chance.uniform(0, WEEK_S), {}, clock_s=chance.choice((3600.0, -3600.0, 90.0, -90.0, 86400.0)))


def _day(chance: random.Random, start: float, day: int, is_laptop: bool) -> Iterator[Change]:
    """Spells before the computer, breaks with the screen locked, a night's sleep, hours away from mains."""
    s = start + chance.gauss(8 if day < 5 else 10, 1) * _HOUR_S
    end = start + chance.gauss(22, 1.5) * _HOUR_S
    while s < end:
        spell = chance.expovariate(1 / (50 * 60))
        yield from _inputs(chance, s, min(s + spell, end))
        s += spell
        if chance.random() < 0.4:
            yield Change(s, {"locked": True})
            s += chance.expovariate(1 / (25 * 60))
            yield Change(s, {"locked": False, "idle_s": 0.0})
        else:
            s += chance.expovariate(1 / (30 * 60))
    if chance.random() < 0.5:
        yield Change(s + 600, {"sleeping": True})
        yield Change(start + 31 * _HOUR_S, {"sleeping": False, "idle_s": 0.0})
    if is_laptop and chance.random() < 0.6:
        yield from _battery(chance, start + chance.uniform(9, 20) * _HOUR_S)
    if chance.random() < 0.05:
        yield Change(end, {"leaving": True})
        yield Change(end + chance.uniform(1, 40), {"leaving": False})


def _inputs(chance: random.Random, s: float, end: float) -> Iterator[Change]:
    pace = chance.choice((90.0, 200.0, 500.0))
    while s < end:
        yield Change(s, {"idle_s": 0.0})
        s += chance.expovariate(1 / pace)


def _battery(chance: random.Random, s: float) -> Iterator[Change]:
    charge = chance.uniform(50, 100)
    for _ in range(chance.randrange(1, 4)):
        yield Change(s, {"on_battery": True, "battery_percent": charge})
        for _ in range(chance.randrange(0, 12)):
            s += 600
            charge = max(3.0, charge - chance.uniform(1, 6))
            yield Change(s, {"battery_percent": charge, "power_saver": charge < 20})
        # A loose plug: back within seconds.
        s += chance.choice((2.0, 5.0, 600.0))
        yield Change(s, {"on_battery": False, "power_saver": False})
        s += chance.choice((1.0, 4.0, 20.0, 3600.0))


def _loads(chance: random.Random) -> Iterator[Change]:
    """Others' use of the processors: spikes of seconds, some builds of minutes, and values that swing about a limit."""
    s = 0.0
    while (s := s + chance.expovariate(1 / (40 * 60))) < WEEK_S:
        length = chance.choice((0.5, 3.0, 9.9, 10.1, 30.0, chance.expovariate(1 / 900)))
        yield Change(s, {"others_percent": chance.uniform(15, 100)})
        if chance.random() < 0.1:
            for _ in range(8):
                s += chance.uniform(1, 30)
                yield Change(s, {"others_percent": chance.uniform(15, 60)})
        s += length
        yield Change(s, {"others_percent": chance.uniform(0, 10)})


def _warmth(chance: random.Random) -> Iterator[Change]:
    s, warmth = 0.0, 45.0
    while (s := s + chance.expovariate(1 / 1800)) < WEEK_S:
        warmth = min(99.0, max(35.0, 50.0 + (warmth - 50.0) * 0.7 + chance.gauss(0, 14)))
        yield Change(s, {"temperature_c": warmth, "fan_rpm": int(500 + 40 * (warmth - 35))})


def _memory(chance: random.Random) -> Iterator[Change]:
    s = 0.0
    while (s := s + chance.expovariate(1 / (4 * _HOUR_S))) < WEEK_S:
        short = {"memory_pressure_percent": chance.uniform(0, 60), "free_memory_mib": chance.randrange(50, 3000)}
        yield Change(s, short)
        s += chance.choice((0.5, 5.0, 45.0, 700.0))
        yield Change(s, {"memory_pressure_percent": 0.0, "free_memory_mib": chance.randrange(2500, 6000)})


def _disk(chance: random.Random) -> Iterator[Change]:
    """Somebody fills it, and tidies up."""
    for _ in range(chance.randrange(3)):
        s = chance.uniform(0, WEEK_S)
        yield Change(s, {"free_disk_mib": chance.choice((500, 990, 2000))})
        s += chance.uniform(60, 8 * _HOUR_S)
        yield Change(s, {"free_disk_mib": chance.choice((1050, 1200, 2100, 40_000))})
        yield Change(s + 3600, {"free_disk_mib": 50_000})


def _screens(chance: random.Random) -> Iterator[Change]:
    """Films, presentations, calls and games."""
    s = 0.0
    while (s := s + chance.expovariate(1 / (7 * _HOUR_S))) < WEEK_S:
        begun: dict[str, Any] = chance.choice(
            (
                {"full_screen": True, "awake": True, "foreground": "film"},
                {"full_screen": True},
                {"awake": True},
                {"programs": frozenset({chance.choice(_PROGRAMS)}), "foreground": "steam"},
            )
        )
        yield Change(s, begun)
        s += chance.choice((2.0, 600.0, 5400.0))
        yield Change(s, {"full_screen": False, "awake": False, "programs": frozenset(), "foreground": ""})


def _networks(chance: random.Random) -> Iterator[Change]:
    s, spent = 0.0, 0
    while (s := s + chance.expovariate(1 / (12 * _HOUR_S))) < WEEK_S:
        name = chance.choice(_NETWORKS)
        spent += chance.randrange(2**30)
        yield Change(s, {"networks": (name,), "metered": name == "phone"}, spent_bytes=spent)
