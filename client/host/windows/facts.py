"""What the numbers of Windows mean. Pure, so that it is tested everywhere."""

from dataclasses import dataclass
from typing import Final

from client.host.part import Facts

_TICKS: Final = 1 << 32
#: Source: SYSTEM_POWER_STATUS (winbase.h)
_ON_BATTERY, _UNKNOWN = 0, 255
_NO_BATTERY: Final = 128
_SAVING: Final = 1
#: Source: QUERY_USER_NOTIFICATION_STATE (shellapi.h)
_NOT_PRESENT, _BUSY, _GAME, _PRESENTATION = 1, 2, 3, 4

#: left, top, right, bottom in pixels
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Power:
    """SYSTEM_POWER_STATUS, the members that are used."""

    line: int
    battery: int
    percent: int
    system: int


def idle_s(now: int, last: int) -> float:
    """Seconds between two counts of milliseconds, of 32 bits, which begin anew after 49.7 days."""
    return (now - last) % _TICKS / 1000


def power_facts(power: Power) -> Facts:
    """Mains, charge, and whether power is saved."""
    has_battery = power.battery != _UNKNOWN and not power.battery & _NO_BATTERY
    known = has_battery and power.percent != _UNKNOWN
    return {
        "on_battery": None if power.line == _UNKNOWN else power.line == _ON_BATTERY,
        "battery_percent": float(min(100, power.percent)) if known else None,
        "power_saver": bool(power.system & _SAVING),
    }


def notification_facts(state: int, front: Box | None, monitor: Box | None) -> Facts:
    """Lock, full screen and presentation.

    Args:
        state: what SHQueryUserNotificationState says. It calls the user busy also because of invisible overlays, so
            that is believed only of a window that covers its monitor.
        front: of the window in front.
        monitor: that it is on.
    """
    fills = front is not None and monitor is not None and covers(front, monitor)
    return {
        "locked": state == _NOT_PRESENT,
        "full_screen": state == _GAME or (state == _BUSY and fills),
        "awake": state == _PRESENTATION,
    }


def covers(front: Box, monitor: Box) -> bool:
    """Whether the one box has all of the other."""
    return front[0] <= monitor[0] and front[1] <= monitor[1] and front[2] >= monitor[2] and front[3] >= monitor[3]
