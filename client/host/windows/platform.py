"""The parts of a Windows computer."""

from client.clock import Clock
from client.host.looks import Look
from client.host.metered import Metered
from client.host.part import Part
from client.host.polled_input import PolledInput
from client.host.windows.system import input_idle_s, look_at_power, look_at_screen

#: ticks of 5 s
_SOON, _LATER = 1, 2


def parts(clock: Clock) -> list[Part]:
    """What runs by itself."""
    return [PolledInput(clock, input_idle_s), Metered()]


def looks() -> list[Look]:
    """What is looked at."""
    power: Look = Look(
        "power", _LATER, look_at_power, {"on_battery": None, "battery_percent": None, "power_saver": None}
    )
    screen = Look(
        "screen", _SOON, look_at_screen, {"locked": None, "full_screen": None, "awake": None, "foreground": ""}
    )
    return [power, screen]
