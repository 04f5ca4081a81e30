"""What a guest can reach under VirtualBox, tried from inside the guest. docs/security.md rests on this file."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from client.hypervisor.driver import Driver, Route, Traffic
from client.hypervisor.virtualbox.folder import VmFolder
from tests.integration.hypervisor.guests import Line
from tests.integration.hypervisor.kit import Kit
from tests.integration.hypervisor.test_contract_live import live_of
from tests.integration.hypervisor.test_reach import own_address
from tests.virtualbox.lane import Lane

pytestmark = pytest.mark.integration
NOTHING = "nothing"
#: Where VirtualBox's NAT shows a guest the loopback addresses of this computer.
GATEWAY, GATEWAY6 = "10.0.2.2", "fd17:625c:f037:2::2"
TFTP_PORT = 69


class Datagrams(asyncio.DatagramProtocol):
    """Answers every datagram as a TFTP server does that has a short file."""

    def __init__(self, said: str) -> None:
        self._said = said

    def connection_made(self, transport: asyncio.transports.BaseTransport) -> None:
        # In this version of Python the loop's own transports do not say by their class what they are.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(b"\0\3\0\1" + self._said.encode(), addr)


@asynccontextmanager
async def saying(word: str, host: str) -> AsyncIterator[int]:
    """A server that says a word to whoever connects; gives its port."""

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{word}\n".encode())
        writer.close()

    server = await asyncio.start_server(say, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Around:
    """What there is around a guest: services of this computer, each with a word of its own."""

    async def __aenter__(self) -> "Around":
        self._open = AsyncExitStack()
        self.lan_address = own_address()
        enter = self._open.enter_async_context
        self.project = await enter(saying("project", "127.0.0.1"))
        self.loopback = await enter(saying("loopback", "127.0.0.1"))
        self.loopback6 = await enter(saying("loopback6", "::1"))
        self.lan = await enter(saying("lan", self.lan_address))
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams("datagram"), ("127.0.0.1", 0))
        self._open.callback(transport.close)
        self.datagrams = transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()


async def going_on(kit: Kit, driver: Driver, **changes: object) -> Line:
    """A line to a guest that goes on from the session's state, once it has its addresses."""
    await driver.define(replace(kit.speaking("one"), **changes))  # type: ignore[arg-type]
    await driver.start("one")
    line = await kit.line(driver)
    for word in ("address", "address6"):
        for _ in range(60):
            if said := await line.value(word):
                break
        assert said, word
    return line


async def answered(line: Line, attempt: str, word: str) -> None:
    """A way that is open; the NAT can lose what comes first after a restore or a change of the cable."""
    for _ in range(20):
        if (said := await line.value(attempt)) != NOTHING:
            break
    assert said == word


async def test_with_routes_the_nat_is_no_wall_and_the_cable_is(kit: Kit) -> None:
    driver = kit.make()
    async with Around() as around:
        (route,) = await driver.plan_routes("one", (Route("project", "", 0, "127.0.0.1", around.project),))
        line = await going_on(kit, driver, routes=(route,), internet=False)
        to_project = f"reach {route.guest_host} {route.guest_port}"
        tries = {
            to_project: "project",
            f"reach {GATEWAY} {around.loopback}": "loopback",
            f"reach {GATEWAY6} {around.loopback6}": "loopback6",
            f"fetch {GATEWAY} {around.datagrams} any": "datagram",
            f"reach {around.lan_address} {around.lan}": "lan",
        }
        await answered(line, to_project, "project")
        before = await driver.traffic("one")
        assert {attempt: await line.value(attempt) for attempt in tries} == tries
        once = Traffic(0, before.received_bytes + len("project\n"))
        assert await driver.traffic("one") == once, "the other ways are nobody's to count"
        await live_of(driver).set_network("one", False)
        for attempt in (to_project, f"reach {around.lan_address} {around.lan}"):
            assert await line.value(attempt) == NOTHING
        await live_of(driver).set_network("one", True)
        await answered(line, to_project, "project")


async def test_without_routes_the_loopback_is_closed(kit: Kit, lane: Lane) -> None:
    served = lane.home / "TFTP"
    served.mkdir(exist_ok=True)
    (served / "file").write_text("served")
    driver = kit.make()
    async with Around() as around:
        line = await going_on(kit, driver, internet=True)
        tries = {
            f"reach {GATEWAY} {around.loopback}": NOTHING,
            f"reach {GATEWAY6} {around.loopback6}": NOTHING,
            f"fetch {GATEWAY} {around.datagrams} any": NOTHING,
            f"fetch {GATEWAY} {TFTP_PORT} file": NOTHING,
            f"reach {around.lan_address} {around.lan}": "lan",
        }
        assert {attempt: await line.value(attempt) for attempt in tries} == tries


async def test_without_either_the_card_leads_nowhere(kit: Kit, lane: Lane) -> None:
    """As the driver has it made; that such a card leads nowhere is shown from inside by a longer test."""
    driver = kit.make()
    await driver.define(kit.bare("one"))
    said = lane.manage("showvminfo", VmFolder(kit.folder / "one").record().uuid, "--machinereadable").splitlines()
    cards = [line for line in said if re.match(r"nic\d=", line)]
    assert cards == ['nic1="null"', *(f'nic{number}="none"' for number in range(2, 9))]


@pytest.mark.soak
async def test_a_card_that_leads_nowhere(kit: Kit, lane: Lane) -> None:
    """The guest goes on with the card that it has a driver for, but nothing at the other end; it gets very slow.

    The end is taken away under way: with a virtio card without one, VirtualBox 7.2 does not come to the end of a pause,
    and after a restore the driver needs one.
    """
    driver = kit.make()
    async with Around() as around:
        await driver.define(kit.speaking("one"))
        await driver.start("one")
        line = await kit.line(driver)
        lane.manage("controlvm", VmFolder(kit.folder / "one").record().uuid, "nic1", "null")
        assert await line.value("carrier") == "1"
        for attempt in (f"reach {GATEWAY} {around.loopback}", f"reach {around.lan_address} {around.lan}"):
            assert await line.value(attempt, 120) == NOTHING
