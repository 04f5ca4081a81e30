"""The client's end of its guard: a child process that throttles by duty cycle and outlives the client."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import client
from client import process
from client.log import logger
from client.process import Identity

_END_S: Final = 2.0
#: so many starts in so long; then it is left for a while
_MOST_STARTS: Final = 5
_BACK_OFF_S: Final = 60.0
_MOST_LINE_BYTES: Final = 4096
Vms = Mapping[str, Sequence[Identity]]


@dataclass(frozen=True)
class Order:
    """All that a guard has to know; each order replaces the one before.

    Attributes:
        vms: vm_id -> processes.
        percent: of one processor, all VMs together, by duty cycle; None: no duty cycle; 0: all are stopped.
        free: vm_ids of those that are only watched over, whatever the others are held to.
        lift: files and what to write into them when the client is gone.
        grace_s: when the client is gone, the guests have so long to save their jobs and turn themselves off.
    """

    vms: Vms = field(default_factory=dict)
    percent: float | None = None
    free: frozenset[str] = frozenset()
    lift: tuple[tuple[str, str], ...] = ()
    grace_s: float = 180.0


class Guard:
    """Keeps a child that has the last order; starts another when it was killed. Who makes one must call `close`.

    Args:
        owner: file that names the guard in charge, so that the next client finds one that was left.
        command: how the child is started, if not as usual.
    """

    def __init__(self, owner: Path, command: Sequence[str] = ()) -> None:
        self._owner = owner
        self._command = tuple(command) or guard_command()
        self._child: process.Dialogue | None = None
        self._listening: asyncio.Task[None] | None = None
        self._order = Order()
        self._begun: list[float] = []
        self._busy = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Of the child; 0 when there is none."""
        return self._child.pid if self._child is not None else 0

    async def obey(self, order: Order) -> None:
        """Have the child act by this order; without VMs there is no child.

        Raises:
            ToolMissing: this program cannot be started again.
        """
        async with self._busy:
            if not order.vms:
                await self._end()
            elif self._child is None or self._has_gone():
                await self._end()
                if self._may_begin():
                    await self._begin(order)
            elif order != self._order:
                await self._child.say(self._line(order))
            self._order = order

    async def take_over(self) -> None:
        """End the guard of a client that is gone: its VMs are ours now. What it has stopped goes on."""
        try:
            said = json.loads(self._owner.read_text())
            left = Identity(int(said["pid"]), str(said["started_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return
        if left.pid != self.pid and process.alive(left.pid, left.started_at):
            logger("core").info("A guard of an earlier run hands over its virtual machines")
            await process.terminate(left)

    async def close(self) -> None:
        """Let all go on, and end the child; it does nothing more to the VMs."""
        async with self._busy:
            await self._end()

    def _may_begin(self) -> bool:
        """Whether another start makes sense: one that ends at once, again and again, would cost more than it guards."""
        now = asyncio.get_running_loop().time()
        self._begun = [at for at in self._begun if now - at < _BACK_OFF_S]
        if len(self._begun) >= _MOST_STARTS:
            return False
        self._begun.append(now)
        return True

    async def _begin(self, order: Order) -> None:
        await self.take_over()
        self._child = await process.talk(self._command, most_line_bytes=_MOST_LINE_BYTES)
        who = process.identity(self._child.pid)
        said = json.dumps({"pid": self.pid, "started_at": who.started_at if who else ""})
        # On a full disk no later client finds it; it does its work all the same.
        with contextlib.suppress(OSError):
            self._owner.parent.mkdir(parents=True, exist_ok=True)
            self._owner.unlink(missing_ok=True)
            self._owner.write_text(said)
        await self._child.say(self._line(order))
        self._listening = asyncio.create_task(self._listen(self._child))

    async def _listen(self, child: process.Dialogue) -> None:
        with contextlib.suppress(ValueError):
            async for _ in child.lines():
                pass
        # It has ended, and nobody has asked it to: it may have left processes stopped.
        for processes in self._order.vms.values():
            for who in processes:
                process.wake(who)

    def _has_gone(self) -> bool:
        return self._listening is None or self._listening.done()

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if not self._has_gone():
            await child.say(json.dumps({"bye": True}).encode())
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if code := await child.end(_END_S):
            logger("core").warning("The guard of the virtual machines ended with %s: %s", code, child.last_words)
        with contextlib.suppress(OSError):
            self._owner.unlink(missing_ok=True)

    def _line(self, order: Order) -> bytes:
        vms: dict[str, Any] = {
            vm_id: [(who.pid, who.started_at) for who in processes] for vm_id, processes in order.vms.items()
        }
        said = {
            "vms": vms,
            "percent": order.percent,
            "free": sorted(order.free),
            "lift": order.lift,
            "grace_s": order.grace_s,
            "owner": str(self._owner),
        }
        return json.dumps(said).encode()


def guard_command() -> tuple[str, ...]:
    """How the child is started: isolated and without site packages, so in milliseconds; from a bundle: the bundle."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "guard")
    top = str(Path(client.__file__).resolve().parent.parent)
    call = f"import sys; sys.path.insert(0, {top!r}); from client.throttle.guard_child import main; sys.exit(main([]))"
    return (sys.executable, "-I", "-S", "-c", call)
