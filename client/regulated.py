"""What the core has of the rules: the VMs as they see them, and what they say of these; nothing without a regulator."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from client.appliances import Appliances
from client.board import Board
from client.clock import Clock
from client.disk_rate import DiskRate, InMemory
from client.disk_room import DiskWarden, Shrinks
from client.hypervisor.driver import LiveControl
from client.keeper import VmKeeper
from client.log import logger
from client.messages import fill
from client.own_keeper import OwnKeeper
from client.own_share import Size, wants_room
from client.own_vm import PROJECTS_NAME
from client.own_vms import OwnVms
from client.paths import Paths
from client.preferences.store import Preferences, reload, stamp
from client.reconcile import Wanted
from client.regulator import AT_REST, Allowance, Guest, Regulator
from client.snapshot import VmState
from client.traffic import TrafficWarden

#: what problems with its limit are about
_PROCESSOR: Final = "processor"
_IN_MEMORY: Final = frozenset({VmState.RUNNING, VmState.PAUSED})


class Rules:
    """The rules, by the preferences as they are now."""

    def __init__(
        self,
        regulator: Regulator | None,
        paths: Paths,
        preferences: Preferences,
        board: Board,
        clock: Clock,
        appliances: Appliances,
    ) -> None:
        """Build it; nothing is looked at.

        Args:
            regulator: None: everything may be done.
            appliances: are fetched as the rules let them, and take the room that they leave.
        """
        self._regulator = regulator
        self._appliances = appliances
        self._traffic = TrafficWarden(paths, clock)
        self._disk_rate = DiskRate()
        self._disk = DiskWarden(paths, preferences, clock, appliances)
        self._was_closed = False
        self._paths = paths
        self._preferences = preferences
        self._board = board
        self._allowance = Allowance()
        self._stamp = stamp(paths.preferences)

    async def open(self) -> None:
        """Begin to look at the computer."""
        if self._regulator is not None:
            await self._regulator.open()

    async def close(self) -> None:
        """End that; no limit of the processor stays behind."""
        if self._regulator is not None:
            await self._regulator.close()
            self._traffic.close()
        await self._disk_rate.close()
        await self._disk.close()

    def unhindered(self, vm_id: str) -> AbstractAsyncContextManager[None]:
        """While its hypervisor carries a verb out: on a busy computer one that waits for all others does not answer."""
        return self._regulator.unhindered(vm_id) if self._regulator is not None else nullcontext()

    @property
    def may_transfer(self) -> bool:
        """Whether anything may go over the network, as last seen."""
        return self._regulator is None or self._regulator.no_transfers is None

    @property
    def may(self) -> Wanted:
        """The most that the project's VM may do, as last seen."""
        return self._allowance.may

    @property
    def may_own(self) -> Wanted:
        """The same of the volunteer's own ones."""
        obey = self._preferences.flag("guest.own_obey")
        return self._allowance.may if obey else self._allowance.others_may

    @property
    def room_mib(self) -> int | None:
        """Memory that all VMs may take before another own one begins; None: they do not obey, or there are no rules."""
        return self._allowance.room_mib if self._preferences.flag("guest.own_obey") else None

    @property
    def on_battery(self) -> bool | None:
        """Whether the computer has no mains; None: not known."""
        return self._regulator.on_battery if self._regulator is not None else None

    def sleep_s(self, longest_s: float) -> float:
        """How long nothing has to be looked at, unless something happens."""
        change_s = self._regulator.next_change_s if self._regulator is not None else None
        return longest_s if change_s is None else max(0.01, min(longest_s, change_s))

    def was_cut_off(self) -> bool:
        """Whether the computer slept, or the network was closed for long, since this was asked the last time."""
        was_closed, self._was_closed = self._was_closed, False
        return (self._regulator is not None and self._regulator.has_slept()) or was_closed

    def look(self, guests: Mapping[str, Guest], need_mib: int = 0, project: str = "") -> tuple[Wanted, float]:
        """Look anew. Returns what the project's VM may do, and its share of its processors' time.

        Args:
            need_mib: memory of the VM that is to start; 0: none is.
            project: its name; empty: none is attached.
        """
        self._read()
        if self._regulator is not None:
            self._regulator.heed(project)
            self._allowance = self._regulator.look(guests, need_mib, self._traffic.spent_bytes())
            self._board.facts.policy = self._regulator.view()
            reason = self._regulator.no_transfers
            self._was_closed |= self._traffic.obey(self._regulator.network, allowed=reason is None)
            self._appliances.note_rules(reason)
        return self._allowance.may, self._allowance.share

    def attend_disk(self, cache: Shrinks | None = None) -> None:
        """Have all files keep to their room; at each turn. cache: for guests' software; None: there is none."""
        if self._regulator is not None:
            self._disk.attend(self._regulator.disk, cache)

    async def detach(self) -> None:
        """Ask nothing more of the hypervisor of the last `steer`: it is going to be closed."""
        if self._regulator is not None:
            await self._regulator.detach()
        await self._disk_rate.close()

    async def attend_alone(self) -> None:
        """Keep them as long as there is no hypervisor, so that the computer is not kept from its sleep for nothing."""
        self.look({})
        await self.steer({})

    async def steer(self, guests: Mapping[str, Guest], live: LiveControl | None = None) -> None:
        """Hold the VMs to it. live: what the hypervisor can change while they run."""
        if self._regulator is None:
            return
        await self._regulator.steer(guests, live)
        up = {vm_id: guest for vm_id, guest in guests.items() if guest.state in _IN_MEMORY}
        vms = {vm_id: InMemory(guest.pids, guest.obeys) for vm_id, guest in up.items()}
        self._disk_rate.hold(live, self._regulator.disk_bytes_s, vms)
        percent = self._regulator.unkept_percent
        if percent is None:
            self._board.settle("limit-not-kept", about=_PROCESSOR)
        else:
            said = fill("limit-not-kept", {"percent": round(percent)})
            self._board.raise_problem("limit-not-kept", _PROCESSOR, said.text, said.doing, said.severity)

    def _read(self) -> None:
        now = stamp(self._paths.preferences)
        if now == self._stamp:
            return
        self._stamp = now
        if keys := self._preferences.adopt(reload(self._preferences, self._paths.preferences)):
            logger("core").info("Preferences changed: %s", ", ".join(keys))
            self._appliances.heed(keys)


def guest_of(keeper: VmKeeper, size: Size) -> Guest:
    """The project's."""
    info = keeper.info
    return Guest(info.state, info.pids, size.cpus, size.memory_mib, keeper.save_s)


def guests_of(project: Guest | None, own: OwnVms, preferences: Preferences) -> Mapping[str, Guest]:
    """All there are, by vm_id. project: None: there is none."""
    obeys = preferences.flag("guest.own_obey")
    guests = {vm_id: _own(keeper, obeys) for vm_id, keeper in own.keepers.items()}
    return guests if project is None else {PROJECTS_NAME: project, **guests}


def need_mib(guests: Mapping[str, Guest], own: OwnVms, preferences: Preferences, project_mib: int = 0) -> int:
    """Memory of the first one to run that obeys the rules; 0 as long as one is in memory: it must not go for another.

    Args:
        project_mib: what the project's takes if it is to start; else 0.
    """
    if any(guest.obeys and guest.state not in AT_REST for guest in guests.values()):
        return 0
    vms = [keeper.vm for keeper in own.keepers.values()] if preferences.flag("guest.own_obey") else []
    return project_mib or min((vm.memory_mib for vm in vms if wants_room(vm)), default=0)


def _own(keeper: OwnKeeper, obeys: bool) -> Guest:
    info, vm = keeper.info, keeper.vm
    return Guest(info.state, info.pids, vm.cpus, vm.memory_mib, obeys=obeys)
