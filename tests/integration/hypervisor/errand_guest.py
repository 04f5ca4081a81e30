"""A VM whose guest is the real agent without a project, and a client's end of its errands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from client.actions import VmExchange
from client.appliance.agent import build_agent
from client.appliance.context import build_context_medium
from client.clock import SystemClock
from client.guest.channel import LinkChannel
from client.guest.commands import Command, Ended, Order
from client.guest.errands import Errands
from client.hypervisor.driver import Driver, Medium, MediumRole, VmSpec
from client.link import Message
from tests.integration.hypervisor.kit import Kit

EXCHANGE_MIB = 32


def agent_spec(kit: Kit, folder: Path, vm_id: str = "one") -> VmSpec:
    """The kit's speaking VM, with the real agent on its context medium instead of the tests' own."""
    spec = kit.speaking(vm_id)
    context = folder / f"{vm_id}-agent.iso"
    link = {"heartbeat_interval_s": 1, "host_silence_limit_s": 600}
    build_context_medium(context, {"version": 1, "vm_id": vm_id, "link": link}, build_agent("test"))
    others = tuple(medium for medium in spec.media if medium.role is not MediumRole.CONTEXT)
    return replace(spec, media=(*others, Medium(MediumRole.CONTEXT, context)), exchange_mib=EXCHANGE_MIB)


@dataclass
class Client:
    """One life of a client: a channel to the guest, and its errands."""

    errands: Errands
    channel: LinkChannel
    talk: "asyncio.Task[None]"

    @classmethod
    def start(cls, driver: Driver, folder: Path, vm_id: str = "one") -> "Client":
        clock = SystemClock()

        def hear(message: Message) -> None:
            errands.take(message, channel.peer)

        channel = LinkChannel(lambda: driver.open_link(vm_id), hear, clock)
        errands = Errands(folder, channel.send, clock, VmExchange(driver, vm_id, EXCHANGE_MIB))
        errands.load()
        return cls(errands, channel, asyncio.create_task(channel.run()))

    async def die(self) -> None:
        """As by SIGKILL: nothing is noted or said on the way."""
        self.talk.cancel()
        await asyncio.gather(self.talk, return_exceptions=True)
        await self.errands.close()

    async def run(self, *argv: str, given: bytes | None = None, **how: Any) -> tuple[bytes, bytes, Ended]:
        """Run a command to its end."""
        order = Order(argv, has_input=given is not None, **how)
        command = self.errands.commands.run(order)
        giving = None
        if given is not None:
            giving = asyncio.create_task(command.write(given))
            giving.add_done_callback(lambda _: None)
        said = {"stdout": b"", "stderr": b""}
        ending = asyncio.create_task(_end_input(command, giving)) if giving is not None else None
        while (piece := await command.read()) is not None:
            said[piece[0]] += piece[1]
        if ending is not None:
            await ending
        assert command.ended is not None
        return said["stdout"], said["stderr"], command.ended

    async def out(self, *argv: str, **how: Any) -> str:
        """Standard output of a command that must succeed."""
        out, err, ended = await self.run(*argv, **how)
        assert ended.status == 0, (ended, err)
        return out.decode().strip()


async def _end_input(command: Command, giving: "asyncio.Task[None]") -> None:
    await giving
    await command.end_input()


@asynccontextmanager
async def booted(kit: Kit, folder: Path, limit_s: float = 240) -> AsyncIterator[tuple[Driver, Client]]:
    """A guest that has run its first command."""
    driver = kit.make()
    # Beside the driver's folder: a kit that keeps its VM from test to test finds the same spec there.
    await driver.define(agent_spec(kit, kit.folder.parent))
    await driver.start("one")
    client = Client.start(driver, folder / "errands")
    try:
        async with asyncio.timeout(limit_s * kit.slowness):
            assert await client.out("/bin/echo", "up") == "up"
            yield driver, client
    finally:
        await client.die()
