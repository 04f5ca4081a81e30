"""A StatusNotifierWatcher and host for tests: what KDE, and GNOME with its extension, are to a tray icon."""

import asyncio
from typing import Any

from dbus_fast import Message, MessageType, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

NAME = "org.kde.StatusNotifierWatcher"


class Watcher(ServiceInterface):
    """Takes registrations; whether a host draws them is up to the test."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.items: list[str] = []
        self.has_host = False

    @dbus_method()
    def RegisterStatusNotifierItem(self, service: "s") -> None:  # type: ignore[name-defined]  # noqa: F821
        self.items.append(service)

    @dbus_method()
    def RegisterStatusNotifierHost(self, service: "s") -> None:  # type: ignore[name-defined]  # noqa: F821
        self.has_host = True

    @dbus_property(access=PropertyAccess.READ)
    def RegisteredStatusNotifierItems(self) -> "as":  # type: ignore[valid-type]  # noqa: F722
        return self.items

    @dbus_property(access=PropertyAccess.READ)
    def IsStatusNotifierHostRegistered(self) -> "b":  # type: ignore[name-defined]  # noqa: F821
        return self.has_host

    @dbus_property(access=PropertyAccess.READ)
    def ProtocolVersion(self) -> "i":  # type: ignore[name-defined]  # noqa: F821
        return 0

    @dbus_signal()
    def StatusNotifierHostRegistered(self) -> None:
        pass


class SniHost:
    """A desktop's tray on a bus."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.watcher = Watcher()

    @classmethod
    async def connect(cls, address: str) -> "SniHost":
        """Connect, without showing itself yet."""
        return cls(await MessageBus(bus_address=address).connect())

    async def appear(self, *, draws: bool) -> None:
        """Become the watcher; draws: with a host behind it."""
        self.watcher.has_host = draws
        self._bus.export("/StatusNotifierWatcher", self.watcher)
        await self._bus.request_name(NAME)

    def begin_to_draw(self) -> None:
        """The host comes after the watcher."""
        self.watcher.has_host = True
        self.watcher.StatusNotifierHostRegistered()

    async def go_away(self) -> None:
        """The panel is closed."""
        await self._bus.release_name(NAME)
        self._bus.unexport("/StatusNotifierWatcher")
        self.watcher.items.clear()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.disconnect()

    async def call(self, path: str, interface: str, member: str, signature: str, *body: Any) -> list[Any]:
        """Call a method of the newest item."""
        question = Message(
            destination=self.watcher.items[-1],
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        async with asyncio.timeout(60):
            reply = await self._bus.call(question)
        assert reply is not None
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        return list(reply.body)

    async def tooltip(self) -> str:
        """What the item's tooltip says."""
        get, item = "org.freedesktop.DBus.Properties", "org.kde.StatusNotifierItem"
        (value,) = await self.call("/StatusNotifierItem", get, "Get", "ss", item, "ToolTip")
        return str(value.value[2])

    async def menu(self) -> dict[str, int]:
        """The menu's labels without mnemonics, and their ids."""
        await self.call("/MenuBar", "com.canonical.dbusmenu", "AboutToShow", "i", 0)
        layout = await self.call("/MenuBar", "com.canonical.dbusmenu", "GetLayout", "iias", 0, -1, [])
        entries = [child.value for child in layout[1][2]]
        return {entry[1]["label"].value.replace("_", ""): entry[0] for entry in entries if "label" in entry[1]}

    async def choose(self, entry: int) -> None:
        """Click on a menu entry."""
        event = "isvu", entry, "clicked", Variant("i", 0), 0
        await self.call("/MenuBar", "com.canonical.dbusmenu", "Event", *event)

    async def click(self) -> None:
        """Click on the icon."""
        await self.call("/StatusNotifierItem", "org.kde.StatusNotifierItem", "Activate", "ii", 5, 5)
