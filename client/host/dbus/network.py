"""NetworkManager: is the network paid by the byte, and which networks are in use?"""

from collections.abc import Iterable
from typing import Any, Final

from client.host.dbus.link import BusRefused, Link
from client.host.dbus.service import AskedService
from client.host.part import Facts

_PATH: Final = "/org/freedesktop/NetworkManager"
#: Source: NetworkManager's D-Bus reference, NMMetered: 1 yes, 2 no, 3 and 4 the same as a guess; 0 not known
_METERED: Final = {1: True, 2: False, 3: True, 4: False}
_WIRELESS: Final = "802-11-wireless"
#: Connections of the computer with itself or its guests.
_INNER: Final = frozenset({"loopback", "bridge", "dummy", "tun", "veth"})
_MOST: Final = 32


class NetworkManager(AskedService):
    """What it says of the connections that are up."""

    name = "org.freedesktop.NetworkManager"
    rules: tuple[str, ...] = (
        f"path='{_PATH}',interface='org.freedesktop.DBus.Properties'",
        f"path_namespace='{_PATH}/ActiveConnection',interface='org.freedesktop.DBus.Properties'",
    )

    async def ask(self, link: Link) -> Facts:
        """See `Service`."""
        manager = await link.properties(self.name, _PATH, self.name)
        names = [await self._name(link, path) for path in manager["ActiveConnections"][:_MOST]]
        return {"metered": _METERED.get(manager.get("Metered", 0)), "networks": _known(names)}

    async def _name(self, link: Link, path: str) -> str:
        try:
            connection = await link.properties(self.name, path, f"{self.name}.Connection.Active")
            if connection.get("Type") == _WIRELESS:
                ssid = await self._ssid(link, connection.get("SpecificObject", "/"))
                return ssid or str(connection["Id"])
        except BusRefused:
            # It has gone down since it was listed.
            return ""
        return "" if connection.get("Type") in _INNER else str(connection["Id"])

    async def _ssid(self, link: Link, path: Any) -> str:
        if path == "/":
            return ""
        point = await link.properties(self.name, path, f"{self.name}.AccessPoint")
        return bytes(point.get("Ssid", b"")).decode(errors="replace")


def _known(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))
