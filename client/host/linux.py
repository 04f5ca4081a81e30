"""The parts of a Linux computer, the more believed first."""

from collections.abc import Mapping

from client.clock import Clock
from client.host.part import Part
from client.host.sensors import Hold
from client.host.x11.part import X11


def parts_and_hold(clock: Clock, env: Mapping[str, str]) -> tuple[list[Part], Hold | None]:
    """Its parts, and what holds up its sleep."""
    return [X11(clock, env)], None
