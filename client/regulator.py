"""What the rules say to the core: sensors and what others use -> policy -> allowance; and the governor that keeps it.

sensors, sampler ── sample ──> decide ──> Allowance ──> the VMs' keepers
                                  └──────> governor ──> the VMs' processes
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from client.clock import Clock
from client.cpu_cap import CpuCap
from client.host.computer import processors, total_memory_mib
from client.host.part import Wanted as WantedFacts
from client.host.sample import Sample
from client.host.sensors import Sensors
from client.hypervisor.driver import LiveControl
from client.log import logger
from client.preferences.limits import limits_of
from client.preferences.store import Preferences
from client.preferences.types import Disk, Limits, Network
from client.reconcile import MAY_RUN, Want, Wanted
from client.snapshot import PolicyView, Reason, VmState
from client.throttle import budget
from client.throttle.decision import Decision, Rung
from client.throttle.governor import Steering
from client.throttle.local_time import moment_of
from client.throttle.pace import Pace
from client.throttle.past import Past
from client.throttle.policy import decide
from client.throttle.rule import Computer
from client.throttle.sampler import Measured
from client.throttle.view import policy_view

#: that a system grants before it sleeps or shuts down, where it does not say.
#: Source: logind.conf(5), InhibitDelayMaxSec
GRANTED_S: Final = 5.0
#: what is kept back of them, and how much longer than the last time saving may take
RESERVE_S: Final = 1.0
SAFETY: Final = 1.5

#: in which the system's services have said what they know
ASKING_S: Final = 10.0
#: a guest that gets less of the processor than this is not believed to be that slow
LEAST_SHARE: Final = 0.02

_WANTS: Final = {Rung.RUN: Want.RUN, Rung.HOLD: Want.HOLD, Rung.SAVE: Want.SAVED, Rung.OFF: Want.OFF}
AT_REST: Final = frozenset({VmState.ABSENT, VmState.DEFINED, VmState.SAVED, VmState.FAILED})


class Steers(Protocol):
    """The governor, as the regulator uses it."""

    measured: Measured
    steering: Steering
    lowers: bool

    async def steer(
        self,
        target_percent: float,
        vms: Mapping[str, tuple[int, ...]],
        cpus: int,
        beside: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Measured:
        """See `client.throttle.governor.Governor.steer`."""

    def unhindered(self, vm_id: str) -> AbstractAsyncContextManager[None]:
        """Let a VM be as fast as any other program meanwhile."""

    async def close(self) -> None:
        """Leave no limit behind."""


@dataclass(frozen=True)
class Guest:
    """A VM, as the rules see it.

    Attributes:
        pids: processes that run it.
        memory_mib: that it may take.
        save_s: how long saving its state took the last time; None when that is not known.
        obeys: the rules hold for it; of others only what they use is known.
    """

    state: VmState
    pids: tuple[int, ...]
    cpus: int
    memory_mib: int
    save_s: float | None = None
    obeys: bool = True


@dataclass(frozen=True)
class Allowance:
    """What the VMs may do now.

    Attributes:
        may: the most that those may do that obey the rules.
        others_may: the same of those that do not: they stop for a sleep of the computer only.
        share: of its processors' time that each of the former gets, above 0 and at most 1.
        room_mib: memory that all of the former may take before another one begins; None: no limit.
    """

    may: Wanted = MAY_RUN
    others_may: Wanted = MAY_RUN
    share: float = 1.0
    room_mib: int | None = None


class Regulator:
    """Looks, decides and steers whenever the core asks it to; wakes the core when something has changed.

    Attributes:
        allowance: as last decided.
    """

    def __init__(
        self,
        preferences: Preferences,
        clock: Clock,
        sensors: Sensors,
        governor: Steers,
        folder: Path,
        wake: Callable[[], None],
        limits: Callable[[Preferences, str], Limits] = limits_of,
        cap: CpuCap | None = None,
    ) -> None:
        """Build it; nothing is looked at.

        Args:
            folder: on the volume whose free space matters.
            wake: asks for another look soon.
            limits: what preferences mean for a project.
            cap: the hypervisor's own, that the governor may use; None: it does not.
        """
        self.allowance = Allowance()
        self._preferences = preferences
        self._clock = clock
        self._sensors = sensors
        self._governor = governor
        self._folder = folder
        self._wake = wake
        self._limits_of = limits
        self._cap = cap
        self._project = ""
        self._heeded: object = None
        self._limits: Limits | None = None
        self._computer = Computer(processors() or 1, total_memory_mib())
        self._past = Past.of_start(moment_of(clock))
        self._decision: Decision | None = None
        self._pace, self._pace_words = Pace(), ""
        self._sample = Sample()
        self._began = clock.monotonic()
        self._governs = False
        self._going_since: float | None = None
        self._target_percent = 100.0 * self._computer.processors
        self._has_slept = self._just_slept = False

    async def open(self) -> None:
        """Begin to look."""
        await self._sensors.open(self._wake, self._on_wake)

    async def close(self) -> None:
        """End all looking and steering."""
        await self._sensors.close()
        await self._governor.close()

    def heed(self, project: str) -> None:
        """Go by what the preferences say now, of all projects and of this one."""
        values = (project, self._preferences.values(), tuple(self._preferences.for_project(project)))
        if values != self._heeded:
            self._heeded, self._project, self._limits = values, project, None

    @property
    def on_battery(self) -> bool | None:
        """Whether the computer has no mains; None: not known. Shortly after the start it may be without."""
        if self._sample.on_battery is None and self._clock.monotonic() < self._began + ASKING_S:
            return True
        return self._sample.on_battery

    @property
    def next_change_s(self) -> float | None:
        """In how many seconds the clock alone may change what is allowed; None: it does not."""
        at = self._decision.changes_at if self._decision is not None else None
        return None if at is None else max(0.0, (at - self._clock.now()).total_seconds())

    @property
    def network(self) -> Network:
        """What may go over the network."""
        return self._limits_now().network

    @property
    def disk(self) -> Disk:
        """How much of the disk all of the program's files together get."""
        return self._limits_now().disk

    @property
    def disk_bytes_s(self) -> int:
        """Most reading and writing of all guests together now; 0: no limit."""
        return 1024 * self._decision.disk_kib_s if self._decision is not None else 0

    @property
    def no_transfers(self) -> Reason | None:
        """Why nothing may go over the network now; None: it may."""
        return self._decision.transfers_reason if self._decision is not None else None

    @property
    def unkept_percent(self) -> float | None:
        """The limit, of one processor, that nothing on this computer can keep; None: there is none such."""
        steering = self._governor.steering
        return steering.target_percent if self._governs and not steering.means else None

    def unhindered(self, vm_id: str) -> AbstractAsyncContextManager[None]:
        """Let a VM's hypervisor carry a verb out as fast as any other program."""
        return self._governor.unhindered(vm_id)

    def has_slept(self) -> bool:
        """Whether the computer slept since this was asked the last time."""
        slept, self._has_slept = self._has_slept, False
        return slept

    def look(self, guests: Mapping[str, Guest], need_mib: int = 0, spent_bytes: int = 0) -> Allowance:
        """Decide anew.

        Args:
            guests: vm_id -> VM, of all that there are.
            need_mib: memory of the first one to run; 0: none is to, or one is in memory that obeys the rules.
            spent_bytes: went over the network in this month.
        """
        limits = self._limits_now()
        self._sample = replace(self._sensors.look(), others_percent=self._governor.measured.others_percent)
        if self._just_slept:
            # Where nobody told before, it has been asleep until now: what waits after a sleep waits here, too.
            self._just_slept, self._sample = False, replace(self._sample, sleeping=True)
        in_memory = sum(guest.memory_mib for guest in guests.values() if guest.obeys and guest.state not in AT_REST)
        before = self._decision
        self._decision, self._past = decide(
            limits,
            self._sample,
            self._computer,
            moment_of(self._clock),
            self._past,
            guests_mib=in_memory,
            need_mib=need_mib,
            spent_bytes=spent_bytes,
        )
        if before is None or _code(before) != _code(self._decision):
            self._tell(self._decision)
        self._pace_words = self._pace.words(
            self._decision,
            limits,
            self._sample,
            moment_of(self._clock),
            processors=self._computer.processors,
            cpus=sum(guest.cpus for guest in guests.values() if guest.obeys and _executes(guest)),
        )
        room_mib = budget.room_mib(self._decision.memory_mib, self._sample, self._computer, in_memory)
        self.allowance = replace(self._allowance(self._decision, guests), room_mib=room_mib)
        return self.allowance

    async def detach(self) -> None:
        """Ask nothing more of the hypervisor of the last `steer`: it is going to be closed."""
        if self._cap is not None:
            await self._cap.close()

    async def steer(self, guests: Mapping[str, Guest], live: LiveControl | None = None) -> None:
        """Hold the VMs' processes to what was decided; and let the computer sleep once nothing executes any more.

        Args:
            live: what the hypervisor can change while they run.
        """
        decision = self._decision
        if decision is None:
            return
        if self._cap is not None:
            self._cap.use(live, {vm_id: guest.cpus for vm_id, guest in guests.items() if guest.pids})
        if decision.rung is Rung.RUN:
            self._target_percent = float(decision.cpu_percent)
        governed = {vm_id: guest.pids for vm_id, guest in guests.items() if guest.obeys and guest.pids}
        self._governs = bool(governed)
        beside = {vm_id: guest.pids for vm_id, guest in guests.items() if not guest.obeys and guest.pids}
        await self._governor.steer(self._target_percent, governed, decision.cpus, beside)
        if self._is_going() and self._is_safe(guests):
            self._sensors.let_go()

    def view(self) -> PolicyView | None:
        """For the snapshot; None before the first look."""
        if self._decision is None:
            return None
        steering = self._governor.steering
        used = steering.achieved_percent
        return policy_view(self._decision, used_percent=used, means=steering.means, pace=self._pace_words)

    def _limits_now(self) -> Limits:
        if self._limits is None:
            self._limits = limits = self._limits_of(self._preferences, self._project)
            when = limits.when
            heat = bool(when.most_temperature_c or when.most_fan_rpm)
            self._governor.lowers = limits.processor.low_priority
            self._sensors.want(WantedFacts(programs=bool(when.programs), heat=heat, folder=self._folder, hold=True))
        return self._limits

    def _allowance(self, decision: Decision, guests: Mapping[str, Guest]) -> Allowance:
        if self._is_going():
            may = Wanted(self._farewell(guests), decision.reason)
            return Allowance(may, may, self.allowance.share)
        self._going_since = None
        may = Wanted(_WANTS[decision.rung], decision.reason)
        cpus = sum(guest.cpus for guest in guests.values() if guest.obeys and guest.state not in AT_REST)
        share = decision.cpu_percent / (100 * max(1, cpus)) if decision.cpu_percent else 1.0
        # Whoever comes after all others gets what these leave.
        left = 1.0 - (self._sample.others_percent or 0.0) / 100.0
        return Allowance(may, MAY_RUN, max(LEAST_SHARE, min(1.0, share, left)))

    def _is_going(self) -> bool:
        return self._sample.sleeping or self._sample.leaving

    def _farewell(self, guests: Mapping[str, Guest]) -> Want:
        """Before the computer goes: held in any case; then saved, if that is known to fit into what time is left."""
        now = self._clock.monotonic()
        self._going_since = self._going_since if self._going_since is not None else now
        granted_s = GRANTED_S if self._sample.granted_s is None else self._sample.granted_s
        left_s = granted_s - RESERVE_S - (now - self._going_since)
        up = [guest for guest in guests.values() if guest.state not in AT_REST]
        if any(_executes(guest) for guest in up):
            return Want.HOLD
        if any(guest.state is VmState.SAVING for guest in up):
            return Want.SAVED
        needed = [guest.save_s for guest in up]
        fits = None not in needed and SAFETY * sum(needed_s or 0.0 for needed_s in needed) <= left_s
        return Want.SAVED if up and fits else Want.HOLD

    def _is_safe(self, guests: Mapping[str, Guest]) -> bool:
        """Whether nothing executes any more, and nothing more of it is to be saved."""
        up = [guest for guest in guests.values() if guest.state not in AT_REST]
        return not up or (not any(_executes(guest) for guest in up) and self._farewell(guests) is Want.HOLD)

    def _on_wake(self, slept_s: float) -> None:
        self._has_slept = self._just_slept = True
        logger("core").info("The computer slept for %.0f s", slept_s)
        self._wake()

    def _tell(self, decision: Decision) -> None:
        if decision.reason is not None:
            logger("core").info("Waiting: %s", decision.reason.text)
        else:
            logger("core").info("The rules let guests run with %d %% of a processor", decision.cpu_percent)


def _code(decision: Decision) -> str:
    return decision.reason.code if decision.reason is not None else ""


def _executes(guest: Guest) -> bool:
    return guest.state in {VmState.STARTING, VmState.RUNNING, VmState.UNKNOWN}
