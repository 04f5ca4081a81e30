"""The VMs of one folder and how a verb gets at one: found, locked, and in a state in which the verb makes sense."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from client.clock import Clock
from client.hypervisor.errors import InvalidVmState, NoSuchVm
from client.hypervisor.qemu import cable
from client.hypervisor.qemu.find import Qemu, find_qemu
from client.hypervisor.qemu.folder import RUNNING, VmFolder
from client.hypervisor.qemu.machine import Machine
from client.hypervisor.qemu.qmp import Monitor, MonitorGone
from client.hypervisor.spec_file import is_valid_vm_id
from client.snapshot import VmState

ALIVE = (VmState.STARTING, VmState.RUNNING, VmState.PAUSED)


class Fleet:
    """All VMs of one folder, as this run of the client sees them.

    Args:
        folder: of all VMs, one folder each.
        search_path: where to look for QEMU instead of the usual places.

    Attributes:
        qemu: once it has been found.
    """

    def __init__(self, folder: Path, clock: Clock, search_path: str | None = None) -> None:
        self.folder = folder
        self.qemu: Qemu | None = None
        self._clock = clock
        self._search_path = search_path
        self._machines: dict[str, Machine] = {}
        self._callbacks: list[Callable[[str], None]] = []

    async def find(self) -> Qemu:
        """QEMU itself.

        Raises:
            ToolMissing: it is not there.
        """
        if self.qemu is None:
            self.qemu = await find_qemu(self._search_path)
        return self.qemu

    def machine(self, vm_id: str) -> Machine:
        """A VM, whether anything of it exists or not."""
        if vm_id not in self._machines:
            self._machines[vm_id] = Machine(VmFolder(self.folder / vm_id), self._clock, self.changed)
        return self._machines[vm_id]

    def known(self, vm_id: str) -> Machine:
        """A VM of which there is a folder at least.

        Raises:
            NoSuchVm: there is none.
        """
        if not is_valid_vm_id(vm_id) or not (self.folder / vm_id).is_dir():
            raise NoSuchVm(vm_id)
        return self.machine(vm_id)

    @contextlib.asynccontextmanager
    async def verb(self, vm_id: str) -> AsyncIterator[Machine]:
        """A known VM for one verb; verbs on one VM come one after the other."""
        machine = self.known(vm_id)
        async with machine.lock:
            yield machine

    async def monitor_for(self, machine: Machine, verb: str, allowed: tuple[VmState, ...] = ALIVE) -> Monitor:
        """The control connection of a VM that is in one of these states.

        Raises:
            InvalidVmState: it is in another.
        """
        state = (await machine.info()).state
        if state not in allowed:
            raise InvalidVmState(machine.vm_id, verb, state)
        try:
            return await machine.connect()
        except MonitorGone as error:
            raise InvalidVmState(machine.vm_id, verb, (await machine.info()).state) from error

    async def go_on(self, machine: Machine, monitor: Monitor) -> None:
        """Let the guest execute; from now on no saved state of it may be left."""
        machine.folder.forget_saved_state()
        machine.folder.write_record(phase=RUNNING)
        await cable.apply(monitor, machine.folder)
        await monitor.execute("cont")

    def forget(self, vm_id: str) -> None:
        """A VM is gone."""
        self._machines.pop(vm_id, None)

    async def release(self) -> None:
        """Let go of connections and tasks; the VMs run on."""
        for machine in list(self._machines.values()):
            await machine.release()
        self._machines.clear()

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Have `callback(vm_id)` called when a VM may have changed."""
        self._callbacks.append(callback)

    def changed(self, vm_id: str) -> None:
        """A VM may have changed."""
        for callback in self._callbacks:
            callback(vm_id)
