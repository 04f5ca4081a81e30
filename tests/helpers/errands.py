"""Both ends of the guest's errands joined in memory, over a link that can lose bytes, pause, and change its ends."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from client.clock import Clock
from client.copilot.guest_commands import Ways
from client.copilot.guest_errands import Errands as GuestErrands
from client.guest.errands import Errands
from client.guest.files import Exchange
from client.link import LinkEnd
from tests.helpers.clock import FakeClock


class FakeGuestEnd:
    """A guest: real errands, no agent. Its commands run on this computer."""

    def __init__(self, rig: "ErrandRig") -> None:
        self.end = LinkEnd(os.urandom(4).hex())
        self._rig = rig
        self.errands = GuestErrands(self._say, Ways(users=False, network=True, software=Path("/usr")), self.end.boot_id)

    def _say(self, kind: str, **fields: Any) -> None:
        self._rig.up(self, self.end.send(kind, **fields))

    def hear(self, data: bytes) -> None:
        for message in self.end.receive(data):
            self.errands.take(message)
        self._rig.up(self, self.end.replies())


class FakeHostEnd:
    """A client: real errands on the rig's folder."""

    def __init__(self, rig: "ErrandRig") -> None:
        self.end = LinkEnd(os.urandom(4).hex())
        self._rig = rig
        self.alive = True
        self.errands = Errands(rig.folder, self._say, rig.clock, rig.exchange)
        self.errands.load()

    def _say(self, kind: str, **fields: Any) -> None:
        if self.alive:
            self._rig.down(self, self.end.send(kind, **fields))

    def hear(self, data: bytes) -> None:
        for message in self.end.receive(data):
            self.errands.take(message, self.end.peer_boot_id)
        self._rig.down(self, self.end.replies())


class ErrandRig:
    """The wire. loss: share of lines that vanish; held: the guest takes no step."""

    def __init__(self, folder: Path, exchange: Exchange | None = None, loss: float = 0.0, seed: int = 1) -> None:
        self.folder = folder
        self.exchange = exchange
        self.clock: Clock = FakeClock()
        self.held = False
        self.loss = loss
        self._random = random.Random(seed)
        self._lines: list[tuple[object, bytes]] = []
        self.lines_up = 0
        self.guest = FakeGuestEnd(self)
        self.host = FakeHostEnd(self)

    def up(self, sender: FakeGuestEnd, data: bytes) -> None:
        self._put(sender, data)

    def down(self, sender: FakeHostEnd, data: bytes) -> None:
        self._put(sender, data)

    def _put(self, sender: object, data: bytes) -> None:
        if data and self._random.random() >= self.loss:
            self._lines.append((sender, data))

    async def run(self) -> None:
        """Carry lines, and have each end insist now and then, as the real ones do."""
        turn = 0
        self.greet()
        while True:
            await asyncio.sleep(0.001)
            turn += 1
            lines, self._lines = self._lines, []
            for sender, data in lines:
                if self.held:
                    self._lines.append((sender, data))
                elif sender is self.guest:
                    self.lines_up += 1
                    self.host.hear(data)
                elif sender is self.host:
                    self.guest.hear(data)
            if turn % 50 == 0 and not self.held:
                self._put(self.guest, self.guest.end.resend())
                self._put(self.host, self.host.end.resend())

    def greet(self) -> None:
        self._lines.append((self.guest, self.guest.end.hello()))
        self._lines.append((self.host, self.host.end.hello()))

    async def restart_client(self) -> FakeHostEnd:
        """As by SIGKILL: nothing is said or noted on the way."""
        self.host.alive = False
        for task in self.host.errands.files._inherited:
            task.cancel()
        self.host = FakeHostEnd(self)
        self.greet()
        return self.host

    async def reset_guest(self) -> None:
        """As by the reset button: the old guest says nothing more, also not that it ends."""
        old, self.guest = self.guest, FakeGuestEnd(self)
        await old.errands.close(5)
        self.greet()


@asynccontextmanager
async def errand_rig(folder: Path, limit_s: float = 30, **how: Any) -> AsyncIterator[ErrandRig]:
    rig = ErrandRig(folder, **how)
    running = asyncio.create_task(rig.run())
    try:
        async with asyncio.timeout(limit_s):
            yield rig
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await rig.host.errands.close()
        await rig.guest.errands.close(5)
