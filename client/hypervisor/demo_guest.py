"""A guest for demonstrations and work on the window: speaks the guest link as the real agent does, computes nothing."""

import asyncio
import contextlib
import math
import os
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass, field

from client.hypervisor.fake_link import Guest
from client.link import LinkEnd, Message

_CHUNK_BYTES = 65536
_MEMORY_CYCLE_S = 60.0


@dataclass
class Pace:
    """How a demo guest behaves.

    Attributes:
        time_scale: 2.0 does everything twice as fast; heartbeats keep their interval.
        boot_s, job_s: how long booting and one job take at scale 1.
        events: units of one job.
        heartbeat_s: interval of heartbeats.
        jobs: after so many it powers itself off; None: goes on for ever.
    """

    time_scale: float = 1.0
    boot_s: float = 5.0
    job_s: float = 30.0
    events: int = 200
    heartbeat_s: float = 5.0
    jobs: int | None = None


def demo_guest(pace: Pace | None = None) -> Guest:
    """A guest that boots, does jobs one after the other, and obeys `finish` and `shutdown`."""
    chosen = pace or Pace()

    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        await _Demo(chosen, reader, writer).run()

    return play


@dataclass
class _Demo:
    pace: Pace
    reader: StreamReader
    writer: StreamWriter
    finishing: bool = False
    stopping: bool = False
    online: bool = False
    next_beat: float = 0.0
    begun: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    link: LinkEnd = field(default_factory=lambda: LinkEnd(os.urandom(8).hex()))

    async def run(self) -> None:
        self.writer.write(self.link.hello(version="demo", peer="guest"))
        await self._boot()
        await self._work()
        await self._say("bye", reason="shut down by the host" if self.stopping else "finished")

    async def _boot(self) -> None:
        for step in ("init", "python", "link", "xmpp"):
            await self._wait(self.pace.boot_s / 4)
            await self._say("boot", step=step, uptime_s=self.pace.boot_s)
        self.online = True

    async def _work(self) -> None:
        done = 0
        while not self.stopping and not self.finishing and done != self.pace.jobs:
            done += 1
            await self._job(f"demo-{done}")

    async def _job(self, job_id: str) -> None:
        title, events = "Demonstration: collisions of protons", self.pace.events
        for state in ("wanting", "getting input"):
            await self._say("job", job_id=job_id, state=state, title=title)
        for event in range(events + 1):
            state = "executing"
            await self._say("job", job_id=job_id, state=state, title=title, done=event, total=events, unit="events")
            await self._wait(self.pace.job_s / events)
            if self.stopping:
                return
        for state in ("validating", "wanting output place", "putting output", "done"):
            await self._say("job", job_id=job_id, state=state, title=title, done=events, total=events, unit="events")
        await self._say("verdict", job_id=job_id, accepted=True, reason="")

    async def _beat(self, now: float) -> None:
        uptime_s = now - self.begun
        used = 90 + round(20 * math.sin(uptime_s / _MEMORY_CYCLE_S))
        await self._say(
            "heartbeat",
            uptime_s=uptime_s,
            load_1min=1.0,
            memory_used_mib=used,
            memory_total_mib=256,
            scratch_free_mib=900,
            xmpp=self.online,
            interval_s=self.pace.heartbeat_s,
        )
        self.next_beat = now + self.pace.heartbeat_s

    def _obey(self, message: Message) -> None:
        match message.kind:
            case "hello":
                self.writer.write(self.link.hello(version="demo", peer="guest"))
            case "finish":
                self.finishing = not message.fields.get("undo", False)
            case "shutdown":
                self.stopping = True

    async def _say(self, kind: str, **fields: object) -> None:
        self.writer.write(self.link.send(kind, **fields))
        await self.writer.drain()

    async def _wait(self, seconds: float) -> None:
        """Let time pass, listening and sending heartbeats; all in one task, so that the guest can be held."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds / self.pace.time_scale
        while (now := loop.time()) < end and not self.stopping:
            if now >= self.next_beat:
                await self._beat(now)
            await self._listen(min(end, self.next_beat) - now)

    async def _listen(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                data = await self.reader.read(_CHUNK_BYTES)
                for message in self.link.receive(data):
                    self._obey(message)
                self.writer.write(self.link.acknowledge())
                self.stopping = self.stopping or not data
