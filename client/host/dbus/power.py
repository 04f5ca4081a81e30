"""UPower, and the daemon of power profiles."""

from collections.abc import Mapping
from typing import Any, Final

from client.host.dbus.link import Link
from client.host.dbus.service import AskedService
from client.host.part import Facts

_PATH: Final = "/org/freedesktop/UPower"
_DISPLAY_DEVICE: Final = f"{_PATH}/devices/DisplayDevice"
#: Source: UPower's D-Bus reference, Device.Type
_BATTERY: Final = 2


class UPower(AskedService):
    """Mains or battery, and how full that is."""

    name = "org.freedesktop.UPower"
    rules: tuple[str, ...] = (f"path='{_PATH}'", f"path='{_DISPLAY_DEVICE}'")

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        power = await link.properties(self.name, _PATH, self.name)
        device = await link.properties(self.name, _DISPLAY_DEVICE, f"{self.name}.Device")
        return {"on_battery": bool(power["OnBattery"]), "battery_percent": charge_in(device)}


def charge_in(device: Mapping[str, Any]) -> float | None:
    """The charge of all batteries together, which the display device stands for; None without any."""
    if device.get("Type") != _BATTERY or not device.get("IsPresent"):
        return None
    return min(100.0, max(0.0, float(device["Percentage"])))


class PowerProfiles(AskedService):
    """Whether the system saves power on purpose.

    Args:
        name: of its two, the older or the newer.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._path = "/" + name.replace(".", "/")
        self.rules: tuple[str, ...] = (f"path='{self._path}'",)

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        profile = (await link.properties(self.name, self._path, self.name))["ActiveProfile"]
        return {"power_saver": profile == "power-saver"}


#: Source: power-profiles-daemon, NEWS: renamed in 0.20; the older name goes on
POWER_PROFILES: Final = ("org.freedesktop.UPower.PowerProfiles", "net.hadess.PowerProfiles")
