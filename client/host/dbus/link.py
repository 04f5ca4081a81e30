"""A connection to a bus: calls within a limit, and the signals of named services."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dbus_fast import Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, InvalidAddressError
from dbus_fast.unpack import unpack_variants

#: A service that takes longer has hung.
ANSWER_S: Final = 2.0
_BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_SYSTEM: Final = "unix:path=/var/run/dbus/system_bus_socket"


class BusRefused(ConnectionError):
    """The bus or a service on it refuses, or there is none of that name."""


@dataclass(frozen=True)
class Signal:
    """A signal as it came.

    Attributes:
        body: its values, without variants.
    """

    path: str
    interface: str
    member: str
    body: tuple[Any, ...]


def system_address(env: Mapping[str, str]) -> str:
    """Where the computer's bus is. Source: D-Bus Specification, "Well-known Message Bus Instances"."""
    return env.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM


def session_address(env: Mapping[str, str]) -> str:
    """Where the bus of the user's session is; empty when there is none. None is started."""
    if "DBUS_SESSION_BUS_ADDRESS" in env:
        return env["DBUS_SESSION_BUS_ADDRESS"]
    socket = Path(env.get("XDG_RUNTIME_DIR") or "/nowhere") / "bus"
    return f"unix:path={socket}" if socket.is_socket() else ""


class Link:
    """A connection. Only the owner of a name is believed to speak for it."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._owners: dict[str, str] = {}
        self._hearers: dict[str, Callable[[Signal], None]] = {}
        self._on_owner: dict[str, Callable[[bool], None]] = {}
        bus.add_message_handler(self._hear)

    @classmethod
    async def connect(cls, address: str) -> "Link":
        """Connect.

        Raises:
            OSError, EOFError: nobody answers within the limit, or it refuses (BusRefused).
        """
        try:
            bus = MessageBus(bus_address=address, negotiate_unix_fd=True)
            async with asyncio.timeout(ANSWER_S):
                return cls(await bus.connect())
        except (AuthError, InvalidAddressError) as error:
            raise BusRefused(str(error)) from error

    async def call(
        self, service: str, path: str, interface: str, member: str, signature: str = "", *body: object
    ) -> tuple[Any, ...]:
        """Call a method. Services that do not run are not started for it.

        Raises:
            OSError: no answer within the limit, or an error for an answer (BusRefused).
        """
        return (await self._ask(service, path, interface, member, signature, *body))[0]

    async def call_for_file(
        self, service: str, path: str, interface: str, member: str, signature: str = "", *body: object
    ) -> int:
        """Call a method that hands over an open file. Returns its descriptor, to be closed by the caller.

        Raises:
            OSError: as for `call`, or no file came.
        """
        values, files = await self._ask(service, path, interface, member, signature, *body)
        if not files or not values:
            raise BusRefused(f"{member} of {service} handed over no file")
        return files[0]

    async def _ask(
        self, service: str, path: str, interface: str, member: str, signature: str, *body: object
    ) -> tuple[tuple[Any, ...], list[int]]:
        message = Message(
            destination=service,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.NO_AUTOSTART,
        )
        async with asyncio.timeout(ANSWER_S):
            reply = await self._bus.call(message)
        if reply.message_type is MessageType.ERROR:
            raise BusRefused(f"{member} of {service}: {reply.error_name} {reply.body}")
        return tuple(unpack_variants(reply.body)), list(reply.unix_fds or ())

    async def properties(self, service: str, path: str, interface: str) -> dict[str, Any]:
        """All properties of an interface.

        Raises:
            OSError: as for `call`.
        """
        (found,) = await self.call(service, path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)
        return dict(found)

    async def follow(
        self, service: str, rules: tuple[str, ...], hear: Callable[[Signal], None], on_owner: Callable[[bool], None]
    ) -> None:
        """Have signals of a service, and whether it is there, told from now on.

        Args:
            rules: which of its signals, each as in a match rule, without type and sender.
            on_owner: called with the state now, and with each change.

        Raises:
            OSError: as for `call`.
        """
        self._hearers[service], self._on_owner[service] = hear, on_owner
        await self._match(f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{service}'")
        for rule in rules:
            await self._match(f"type='signal',sender='{service}',{rule}")
        try:
            (owner,) = await self.call(_BUS, _BUS_PATH, _BUS, "GetNameOwner", "s", service)
        except BusRefused:
            owner = ""
        self._note_owner(service, owner)

    async def ended(self) -> None:
        """Wait until the connection ends.

        Raises:
            OSError, EOFError: it was the other side.
        """
        await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        raise BusRefused("the bus has ended")

    async def close(self) -> None:
        """End the connection."""
        self._bus.disconnect()
        with contextlib.suppress(OSError, EOFError):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _match(self, rule: str) -> None:
        await self.call(_BUS, _BUS_PATH, _BUS, "AddMatch", "s", rule)

    def _note_owner(self, service: str, owner: str) -> None:
        self._owners[service] = owner
        self._on_owner[service](bool(owner))

    def _hear(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        body = tuple(unpack_variants(message.body))
        if message.sender == _BUS and message.member == "NameOwnerChanged":
            name, _, owner = body
            if name in self._on_owner:
                self._note_owner(name, owner)
            return
        signal = Signal(message.path or "", message.interface or "", message.member or "", body)
        for service, owner in self._owners.items():
            if owner and owner == message.sender:
                self._hearers[service](signal)
