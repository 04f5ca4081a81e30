"""The services of a bus as one part of the sensors: each is asked when it comes, and when it says something."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

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
    """

    name: str
    rules: tuple[str, ...]
    again_s: float | None

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
            await together(link.ended(), *(self._follow(service, link, tell) for service in self._services))
        finally:
            for service in self._services:
                service.gone()
            await link.close()

    async def _follow(self, service: Service, link: Link, tell: Tell) -> None:
        changed, here = asyncio.Event(), [False]

        def note(facts: Facts) -> None:
            before = merged(self._facts.values())
            self._facts[service.name] = {**self._facts[service.name], **facts} if facts else {}
            after = merged(self._facts.values())
            tell({**dict.fromkeys(before), **after})  # type: ignore[typeddict-item]

        def hear(signal: Signal) -> None:
            try:
                facts = service.hear(signal)
            except FAILURES:
                # A signal that is not as its service's description has it; asking will tell.
                facts = {}
            if facts:
                note(facts)
            changed.set()

        def on_owner(is_here: bool) -> None:
            # Another owner is another service, which knows nothing of what the former was asked.
            service.gone()
            here[0] = is_here
            note({})
            changed.set()

        await link.follow(service.name, service.rules, hear, on_owner)
        said = False
        again_s: float | None = None
        while True:
            await _wait(changed, again_s if here[0] else None)
            changed.clear()
            if not here[0]:
                continue
            try:
                note(await service.ask(link))
                said, again_s = False, service.again_s
            except FAILURES as error:
                note({})
                if not said and here[0]:
                    logger("core").info("%s does not answer, and is asked again: %s", service.name, error)
                said, again_s = True, _AGAIN_S
            await asyncio.sleep(_REST_S)


async def _wait(event: asyncio.Event, limit_s: float | None) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        pass
