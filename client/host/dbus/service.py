"""The services of a bus as one part of the sensors: each is asked when it comes, and when it says something."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from client.host.board import merged
from client.host.dbus.link import Link, Signal
from client.host.keep import FAILURES
from client.host.part import Facts, Tell
from client.host.together import together
from client.log import logger

#: A service that has failed is asked again after this time, or when it says something.
_AGAIN_S: Final = 30.0
#: A service that says much is asked this often at most; what a signal tells by itself is told at once.
_REST_S: Final = 0.2


class Service(Protocol):
    """What is known of one service.

    Attributes:
        name: on the bus.
        rules: of its signals, see `Link.follow`.
        again_s: ask again after this time even without a signal; None: never. Read after each asking.
        wake: asks for another asking; set by whoever follows it.
    """

    name: str
    rules: tuple[str, ...]
    again_s: float | None
    wake: Callable[[], None]

    async def ask(self, link: Link) -> Facts:
        """All that it knows now.

        Raises:
            OSError, ValueError, LookupError: it does not say.
        """

    def hear(self, signal: Signal) -> Facts:
        """What a signal tells by itself; it is asked as well after each."""

    def gone(self) -> None:
        """It has left the bus, or the bus has ended."""


class AskedService:
    """A service that has to be asked to know anything, and of which nothing is kept."""

    rules: tuple[str, ...] = ()
    again_s: float | None = None

    def __init__(self) -> None:
        self.wake: Callable[[], None] = _nothing

    def hear(self, signal: Signal) -> Facts:
        """See `Service`."""
        return {}

    def gone(self) -> None:
        """See `Service`."""


class BusPart:
    """The services of one bus.

    Args:
        address: says where the bus is; empty: there is none now.
    """

    def __init__(self, name: str, address: Callable[[], str], services: Sequence[Service]) -> None:
        self.name = name
        self._address, self._services = address, services
        self._facts: dict[str, Facts] = {}

    async def run(self, tell: Tell) -> None:
        """Tell what the services know; see `Part`."""
        address = self._address()
        if not address:
            return
        self._facts = {service.name: {} for service in self._services}
        link = await Link.connect(address)
        try:
            follow = [_Follower(service, link, self._teller(service.name, tell)).run() for service in self._services]
            await together(link.ended(), *follow)
        finally:
            for service in self._services:
                service.gone()
            await link.close()

    def _teller(self, name: str, tell: Tell) -> Tell:
        """Tells what all services know together whenever one knows something else; nothing: it knows nothing."""

        def note(facts: Facts) -> None:
            before = merged(self._facts.values())
            self._facts[name] = {**self._facts[name], **facts} if facts else {}
            after = merged(self._facts.values())
            tell(cast(Facts, {**dict.fromkeys(before), **after}))

        return note


class _Follower:
    """Asks one service when it comes, when it says something, and when its time has come."""

    def __init__(self, service: Service, link: Link, note: Tell) -> None:
        self._service, self._link, self._note = service, link, note
        self._changed = asyncio.Event()
        self._is_here = self._has_failed = False

    async def run(self) -> None:
        service, again_s = self._service, None
        service.wake = self._changed.set
        await self._link.follow(service.name, service.rules, self._hear, self._on_owner)
        while True:
            await _wait(self._changed, again_s)
            self._changed.clear()
            again_s = await self._ask() if self._is_here else None
            await asyncio.sleep(_REST_S)

    async def _ask(self) -> float | None:
        try:
            facts = await self._service.ask(self._link)
        except FAILURES as error:
            self._note({})
            if not self._has_failed and self._is_here:
                logger("core").info("%s does not answer, and is asked again: %s", self._service.name, error)
            self._has_failed = True
            return _AGAIN_S
        # What was said while it was asked is newer than the answer; the next one comes at once.
        if not self._changed.is_set():
            self._note(facts)
        self._has_failed = False
        return self._service.again_s

    def _hear(self, signal: Signal) -> None:
        try:
            facts = self._service.hear(signal)
        except FAILURES:
            # A signal that is not as its service's description has it; asking will tell.
            facts = {}
        if facts:
            self._note(facts)
        self._changed.set()

    def _on_owner(self, is_here: bool) -> None:
        # Another owner is another service, which knows nothing of what the former was asked.
        self._service.gone()
        self._is_here = is_here
        self._note({})
        self._changed.set()


async def _wait(event: asyncio.Event, limit_s: float | None) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        pass


def _nothing() -> None:
    """Nobody follows it yet."""
