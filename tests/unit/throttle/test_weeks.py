"""Some random weeks, checked by what shares nothing with the policy. More are in tests/integration and tests/soak."""

from dataclasses import replace

import pytest

from client.preferences.types import Limits, Memory, Network, Processor, When
from client.preferences.week import NEVER
from client.throttle.decision import Rung
from client.throttle.random_week import random_week
from client.throttle.simulate import Change, Step, World, replay
from tests.helpers.week_checker import Checker
from tests.helpers.week_play import violations

LAX = Limits(
    When(
        on_battery=True,
        least_battery_percent=0,
        in_power_saver=True,
        most_others_percent=0,
        most_others_percent_idle=0,
        in_full_screen=True,
        in_calls=True,
        most_temperature_c=0,
        most_memory_pressure_percent=0,
    ),
    Processor(100, 100, 100, 100),
    Memory(90, 90),
    network=Network(on_metered=True),
)
EVIL = [
    Change(
        0,
        {
            "idle_s": 0.0,
            "on_battery": True,
            "battery_percent": 9.0,
            "power_saver": True,
            "temperature_c": 99.0,
            "fan_rpm": 9000,
            "full_screen": True,
            "programs": frozenset({"steam"}),
            "awake": True,
            "others_percent": 99.0,
            "memory_pressure_percent": 99.0,
            "networks": ("phone",),
            "metered": True,
        },
        spent_bytes=10,
    ),
]
BREACHES = {
    "on-battery": When(on_battery=False),
    "battery-low": When(least_battery_percent=10),
    "power-saver": When(in_power_saver=False),
    "schedule": When(week=NEVER),
    "hot": When(most_temperature_c=80),
    "loud": When(most_fan_rpm=3000),
    "program": When(programs=("steam",)),
    "full-screen": When(in_full_screen=False),
    "call": When(in_calls=False),
    "in-use": When(in_use=False),
    "idle-too-long": When(stop_after_idle_s=100),
    "others-busy": When(most_others_percent=50),
    "memory-pressure": When(most_memory_pressure_percent=50),
}


@pytest.mark.parametrize("seed", range(2))
def test_no_rule_is_broken(seed: int) -> None:
    assert violations(seed) == []


@pytest.mark.parametrize("rule", BREACHES)
def test_the_checker_sees_each_breach(rule: str) -> None:
    steps = list(replay(EVIL, World(LAX, span_s=300)))
    assert {step.decision.rung for step in steps} == {Rung.RUN}
    assert not Checker(World(LAX, span_s=300)).check(steps)
    broken = Checker(World(replace(LAX, when=BREACHES[rule]), span_s=300)).check(steps)
    assert any(f"although {rule}" in what for what in broken)


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (replace(LAX, network=Network(never=("phone",))), "network-barred"),
        (replace(LAX, network=Network(only=("home",))), "network-strange"),
        (LAX, "network-schedule"),
        (replace(LAX, network=Network()), "metered"),
        (replace(LAX, network=Network(on_metered=True, month_bytes=10)), "month-spent"),
        (replace(LAX, processor=Processor(50, 50)), "% of"),
        (replace(LAX, memory=Memory(10, 10)), "MiB of memory"),
    ],
)
def test_the_checker_sees_what_is_too_much(limits: Limits, what: str) -> None:
    if what == "network-schedule":
        limits = replace(LAX, network=Network(week=NEVER, on_metered=True))
    broken = Checker(World(limits, span_s=300)).check(list(replay(EVIL, World(LAX, span_s=300))))
    assert any(what in said for said in broken)


def test_the_checker_sees_laziness() -> None:
    strict = replace(LAX, when=replace(LAX.when, on_battery=False))
    steps = list(replay(EVIL, World(strict, span_s=300)))
    broken = Checker(World(LAX, span_s=300)).check(steps)
    assert any("rests although nothing is against it" in what for what in broken)
    soon = replace(strict, memory=replace(LAX.memory, save_after_s=60))
    assert any("not saved after" in what for what in Checker(World(soon, span_s=300)).check(steps))
    steps = list(replay(EVIL, World(soon, span_s=300)))
    assert any("saved after 60" in what for what in Checker(World(strict, span_s=300)).check(steps))


def test_the_checker_sees_flapping() -> None:
    world = World(LAX, span_s=60)
    busy = replace(LAX, when=replace(LAX.when, most_others_percent=50, most_others_percent_idle=50))

    def step(s: float, limits: Limits) -> Step:
        evil = [Change(0, {**EVIL[0].sample, "memory_pressure_percent": 0.0})]
        return replace(next(replay(evil, World(limits))), now=world_step[int(s)].now)

    world_step = list(replay([Change(float(s), {}) for s in range(40)], World(LAX, span_s=40)))
    steps = [step(0, LAX), step(4, busy), step(9, LAX), step(13, LAX)]
    broken = Checker(world).check(steps)
    assert any("others-busy ends a run of 4.00 s" in what for what in broken)
    assert any("a pause for others-busy of 5.00 s" in what for what in broken)


def test_a_week_has_of_everything() -> None:
    """Else it would try little: over a few weeks most rules take part."""
    strict = When(in_use=True, programs=("steam", "blender", "zoom"), most_fan_rpm=1500, stop_after_idle_s=7200)
    codes = set()
    for seed in range(3):
        for step in replay(random_week(seed), World(Limits(strict))):
            codes |= {finding.rule for finding in step.decision.findings if finding.forbids}
    assert codes >= {"on-battery", "hot", "loud", "program", "full-screen", "call", "idle-too-long", "others-busy"}
    assert codes >= {"sleeping", "memory-pressure", "memory-short"}
