"""Holds VMs to what the volunteer allows, by the best means that proves itself: a loop closed by measuring.

Nothing runs here between two calls of `steer`; the caller makes one a second or so.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from client import process
from client.errors import ClientError
from client.log import logger
from client.process import Identity
from client.throttle.feedback import Feedback, Trial
from client.throttle.guard import Guard, Order
from client.throttle.means import Budget, DutyMeans, Kept, Means, Vms
from client.throttle.means_cap import CapMeans, SetCap
from client.throttle.means_cgroup import CgroupMeans
from client.throttle.means_systemd import SystemdMeans
from client.throttle.means_windows import JobMeans
from client.throttle.priority import LowPriority, Priority, can_pin
from client.throttle.sampler import Measured, Sampler

#: Beyond what a guest itself waits for its host: to save a job and to turn itself off on a busy computer.
MARGIN_S: Final = 120.0


@dataclass(frozen=True)
class Steering:
    """How it goes.

    Attributes:
        target_percent: of one processor, all VMs together; None: no limit.
        achieved_percent: since the look before; None: not known yet.
        means: name of the one in use; empty: there is none that works, or none is needed.
        holds: whether the means has been seen to hold a target; None: not yet, or nothing to hold.
    """

    target_percent: float | None = None
    achieved_percent: float | None = None
    means: str = ""
    holds: bool | None = None


class Governor:
    """Steers all VMs of this client. Who makes one must call `close`.

    Args:
        guard: sees to it that nothing is left stopped or behind.
        means: in the order in which they are tried.
        silence_s: how long a guest waits for its host before it saves its job and turns itself off.

    Attributes:
        measured: the last look, with what other programs use.
        steering: how it goes.
        lowers: VMs that are new come after all other programs.
    """

    def __init__(
        self,
        guard: Guard,
        means: Sequence[Means] = (),
        *,
        silence_s: float = 60.0,
        sampler: Sampler | None = None,
        processors: int | None = None,
        priority: Priority | None = None,
    ) -> None:
        self.measured = Measured()
        self.steering = Steering()
        self.lowers = True
        self._guard = guard
        self._means = list(means) or system_means()
        self._silence_s = silence_s
        self._sampler = sampler or Sampler()
        self._processors = processors or os.cpu_count() or 1
        self._priority = priority or LowPriority()
        self._feedback = Feedback()
        self._trial = Trial()
        self._chosen: Means | None = None
        self._known: dict[int, Identity] = {}
        self._free: frozenset[str] = frozenset()
        self._applied: tuple[float | None, Vms] = (None, {})
        self._lift: tuple[tuple[str, str], ...] = ()
        # A verb may begin while the core is just steering.
        self._applying = asyncio.Lock()
        self._is_new = True

    @property
    def guard_pid(self) -> int:
        """Of the guard's process; 0 when there is none."""
        return self._guard.pid

    async def steer(
        self,
        target_percent: float,
        vms: Mapping[str, Sequence[int]],
        cpus: int,
        beside: Mapping[str, Sequence[int]] | None = None,
    ) -> Measured:
        """Measure, and hold the VMs to a target from now on. To be called about once a second.

        Args:
            target_percent: of one processor, all VMs together; 0: all stand still at once, and their monitors with
                them, so it is for the moment in which somebody comes back, not for long.
            vms: vm_id -> pids; they share the target fairly, and what one does not use is the others'.
            cpus: most processors that they may use side by side.
            beside: VMs that are ours, and not held to anything.
        """
        if self._is_new:
            await self._guard.take_over()
            self._is_new = False
        before, self.measured = self.measured, self._sampler.measure({**(beside or {}), **vms})
        known = self._identified(vms)
        target = self._limit(target_percent, cpus)
        achieved = _sum(self.measured, vms)
        await self._judge(target or None, known, achieved, self.measured.at - before.at)
        asked = self._feedback.ask(target, achieved) if target else target
        await self._apply(asked, known)
        if self.lowers:
            ranked = {vm_id: those for vm_id, those in known.items() if vm_id not in self._free}
            by_session = self._chosen is None or not self._chosen.ranks
            await self._priority.apply(ranked, cpus, by_session=by_session)
        self.steering = Steering(target, achieved, self._chosen.name if self._chosen else "", self._trial.holds)
        return self.measured

    @contextlib.asynccontextmanager
    async def unhindered(self, vm_id: str) -> AsyncIterator[None]:
        """Let a VM be as fast as any other program meanwhile: for a verb that its hypervisor carries out.

        A save under a limit of 10 % takes ten times as long, and on a busy computer a VM that waits for all others
        does not answer. The next `steer` holds it again.
        """
        self._free = self._free | {vm_id}
        self._priority.lift(self._applied[1].get(vm_id, ()))
        await self._apply(*self._applied)
        try:
            yield
        finally:
            self._free = self._free - {vm_id}

    async def _apply(self, percent: float | None, vms: Vms) -> None:
        """Have means and guard hold these VMs, without those that are unhindered."""
        async with self._applying:
            self._applied = (percent, vms)
            held = {vm_id: those for vm_id, those in vms.items() if vm_id not in self._free}
            # A standstill is the guard's, whatever the means: no other is that quick.
            kept = Kept(0.0, self._lift) if percent == 0.0 else await self._keep(Budget(percent, held, self.lowers))
            self._lift = kept.lift
            free = frozenset(vms.keys() - held.keys())
            order = Order(vms, kept.duty_percent, free, kept.lift, self._silence_s + MARGIN_S)
            try:
                await self._guard.obey(order)
            except (ClientError, OSError) as error:
                logger("core").warning("The virtual machines have no guard: %s", error)

    async def close(self) -> None:
        """Leave no limit and nothing of ours behind; the VMs go on as they are."""
        await self._guard.close()
        await self._drop()

    def _limit(self, target_percent: float, cpus: int) -> float | None:
        """The target, 0 for a standstill; None when there is nothing to hold back."""
        most = 100.0 * (min(cpus, self._processors) if self.lowers and can_pin() else self._processors)
        return None if target_percent >= most else max(0.0, target_percent)

    def _identified(self, vms: Mapping[str, Sequence[int]]) -> Vms:
        pids = {pid for those in vms.values() for pid in those}
        self._known = {
            pid: who for pid, who in self._known.items() if pid in pids and process.alive(pid, who.started_at)
        }
        for pid in pids - self._known.keys():
            who = process.identity(pid)
            if who is not None:
                self._known[pid] = who
        found = {vm_id: tuple(self._known[pid] for pid in those if pid in self._known) for vm_id, those in vms.items()}
        return {vm_id: those for vm_id, those in found.items() if those}

    async def _judge(self, target: float | None, vms: Vms, achieved: float | None, passed_s: float) -> None:
        if target is None or self._chosen is None:
            self._trial.note(None, 0.0, None, 0.0)
        elif self._trial.note((target, vms), target, achieved, passed_s):
            logger("core").warning("Limiting the processor by %s does not work here", self._chosen.name)
            await self._next()

    async def _keep(self, budget: Budget) -> Kept:
        """By the first means that takes it."""
        if not budget.vms or (budget.percent is None and not budget.idle):
            await self._drop()
            return Kept()
        while self._means:
            try:
                if self._chosen is None:
                    if not await self._means[0].is_offered():
                        self._means.pop(0)
                        continue
                    self._chosen = self._means[0]
                return await self._chosen.keep(budget)
            except (ClientError, OSError) as error:
                logger("core").info("Limiting the processor by %s is refused: %s", self._means[0].name, error)
                await self._next()
        return Kept()

    async def _next(self) -> None:
        """Leave the present means for the rest of the session."""
        self._means.pop(0)
        await self._drop()

    async def _drop(self) -> None:
        chosen, self._chosen = self._chosen, None
        self._feedback, self._trial = Feedback(), Trial()
        if chosen is None:
            return
        try:
            await chosen.release()
        except (ClientError, OSError) as error:
            logger("core").info("A limit by %s could not be taken away: %s", chosen.name, error)


def system_means(set_cap: SetCap | None = None) -> list[Means]:
    """What this system may have, the best first: what the kernel does is exact and costs nothing."""
    if sys.platform == "win32":
        return [JobMeans(), CapMeans(set_cap)]
    duty = DutyMeans(has_signals=True)
    return [SystemdMeans(), CgroupMeans(), CapMeans(set_cap), duty] if sys.platform == "linux" else [duty]


def _sum(measured: Measured, vms: Mapping[str, Sequence[int]]) -> float | None:
    known = [use.cpu_percent for vm_id in vms if (use := measured.vms.get(vm_id)) and use.cpu_percent is not None]
    return sum(known) if known else None
