"""Mains and battery as the kernel or the system tells without any service."""

import psutil

from client.host.part import Facts


def look() -> Facts:
    """Whether it has no mains, and the charge.

    Raises:
        OSError: the system does not say.
    """
    battery = psutil.sensors_battery()
    if battery is None:
        # A computer without a battery has mains as long as it runs.
        return {"on_battery": False, "battery_percent": None}
    plugged = battery.power_plugged
    return {"on_battery": None if plugged is None else not plugged, "battery_percent": round(float(battery.percent))}
