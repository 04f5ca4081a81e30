"""Weeks with random limits, each played and checked."""

import random

from client.throttle.random_week import random_week
from client.throttle.rule import Computer
from client.throttle.simulate import World, replay
from tests.helpers.week_checker import Checker, random_limits


def violations(seed: int) -> list[str]:
    """What was wrong in one week: of nothing if all is well."""
    chance = random.Random(f"limits {seed}")
    computer = Computer(chance.choice((1, 2, 4, 16)), chance.choice((2048, 4096, 8192, 65536)))
    world = World(random_limits(chance), computer, guest_mib=chance.choice((512, 1024, 3000)))
    return [f"week {seed}, {what}" for what in Checker(world).check(list(replay(random_week(seed), world)))]
