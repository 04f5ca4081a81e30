"""The QEMU driver: the embedded default, needs nothing but QEMU itself.

A VM is a folder and, while it runs, one QEMU in the background that belongs to nobody: it lives on when the client is
killed, and the next client finds it by its pid file. Before each step that cannot be taken back the folder's record
says which one it is, so that whoever comes next can finish it or undo it:

    starting   a process may be there; if it answers, the VM runs
    restoring  a process loads the saved state; it is ended and started again, for its guest has not executed yet
    running    a saved state that is still there is removed before the guest executes
    saving     the guest is held; either its state is whole, or that is thrown away and the guest goes on
"""

import asyncio
import contextlib
import shutil
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from client import filenames
from client.clock import Clock, SystemClock
from client.errors import BadInput, ToolMissing
from client.hypervisor.driver import (
    DriverReport,
    Exchange,
    Feature,
    LiveControl,
    Route,
    Snapshots,
    Traffic,
    VmInfo,
    VmSpec,
)
from client.hypervisor.errors import OTHER_ROUTES, InvalidVmState, LinkUnavailable, NotSupportedByDriver
from client.hypervisor.files import check_media, disk_full_or
from client.hypervisor.qemu import accel, console, exchange, saved
from client.hypervisor.qemu.disk import check_kept, make_scratch, scratch_template, what_is_gone
from client.hypervisor.qemu.exchange import QemuExchange
from client.hypervisor.qemu.find import Qemu
from client.hypervisor.qemu.fleet import ALIVE, Fleet
from client.hypervisor.qemu.folder import RESTORING, RUNNING, SAVING, STARTING, VmFolder
from client.hypervisor.qemu.launch import Launcher
from client.hypervisor.qemu.live import QemuLiveControl
from client.hypervisor.qemu.machine import Machine
from client.hypervisor.qemu.qmp import Monitor, MonitorGone, MonitorRefused
from client.hypervisor.qemu.snapshots import QemuSnapshots
from client.hypervisor.qemu.traffic import read_traffic
from client.hypervisor.saving import note_of, size_of
from client.hypervisor.spec_file import is_valid_route_name, is_valid_vm_id, without_targets
from client.hypervisor.verdicts import Verdicts
from client.process import wait_gone
from client.snapshot import VmState


class QemuDriver:
    """VMs under QEMU.

    Args:
        folder: of all VMs, one folder each.
        relay_command: program and first arguments of the relay (`client/guest/relay.py`).
        clock: for verdicts and `runs_since`.
        life_limit_s: how long a guest under a hardware accelerator may be silent.
        accelerators: to choose from instead of those that seem to be present.
        search_path: where to look for QEMU instead of the usual places.
    """

    name = "qemu"

    def __init__(
        self,
        folder: Path,
        relay_command: tuple[str, ...],
        *,
        clock: Clock | None = None,
        life_limit_s: float = accel.LIFE_LIMIT_S,
        accelerators: tuple[str, ...] | None = None,
        search_path: str | None = None,
    ) -> None:
        self._folder = folder
        self._relay_command = relay_command
        self._clock = clock or SystemClock()
        self._life_limit_s = life_limit_s
        self._accelerators = accelerators
        self._fleet = Fleet(folder, self._clock, search_path)
        self.snapshots: Snapshots | None = QemuSnapshots(self._fleet)
        self.live: LiveControl | None = QemuLiveControl(self._fleet)
        self.exchange: Exchange | None = QemuExchange(self._fleet)

    async def probe(self) -> DriverReport:
        """Look for QEMU; see `Driver.probe`."""
        if sys.platform == "win32":
            # Its control sockets, descriptor passing and relays are those of Unix here.
            missing = NotSupportedByDriver("QEMU under Windows", "run")
            return DriverReport(self.name, available=False, problem=missing.code, reasons=(missing,))
        try:
            qemu = await self._fleet.find()
        except ToolMissing as error:
            return DriverReport(self.name, available=False, problem=error.code, reasons=(error,))
        launcher = self._launcher(qemu)
        usable, slowness = launcher.usable, launcher.slowness
        return DriverReport(
            name=self.name,
            available=True,
            version=qemu.version_text,
            accelerators=usable,
            speed=accel.SPEED[usable[0]],
            is_proven=launcher.is_proven,
            features=frozenset(Feature),
            reasons=(slowness,) if slowness else (),
        )

    async def define(self, spec: VmSpec) -> None:
        """Make folder and overlay; see `Lifecycle.define`."""
        _check_spec(spec)
        machine = self._machine(spec.vm_id)
        async with machine.lock:
            folder = machine.folder
            before = folder.spec()
            if before == spec and _has_its_disks(folder, spec):
                return
            if before is not None and without_targets(before) == without_targets(spec) and folder.running():
                self._retarget(folder, spec)
                return
            if folder.running():
                raise InvalidVmState(spec.vm_id, "define", (await machine.info()).state)
            check_media(spec)
            await self._make(folder, before, spec)

    async def start(self, vm_id: str) -> None:
        """Start or restore; see `Lifecycle.start`."""
        async with self._fleet.verb(vm_id) as machine:
            if await self._goes_on(machine):
                return
            spec = machine.folder.spec()
            if spec is None:
                raise InvalidVmState(vm_id, "start", VmState.FAILED)
            check_media(spec)
            machine.verb = STARTING
            try:
                await self._launcher(await self._fleet.find()).start(machine, spec)
            finally:
                machine.verb = ""
        self._fleet.changed(vm_id)

    async def pause(self, vm_id: str) -> None:
        """Hold the guest; see `Lifecycle.pause`."""
        async with self._fleet.verb(vm_id) as machine:
            monitor = await self._fleet.monitor_for(machine, "pause")
            await monitor.execute("stop")

    async def resume(self, vm_id: str) -> None:
        """Let the guest go on; see `Lifecycle.resume`."""
        async with self._fleet.verb(vm_id) as machine:
            monitor = await self._fleet.monitor_for(machine, "resume", (*ALIVE, VmState.SAVING))
            await self._fleet.go_on(machine, monitor)

    async def reset(self, vm_id: str) -> None:
        """Press the reset button; see `Lifecycle.reset`."""
        async with self._fleet.verb(vm_id) as machine:
            monitor = await self._fleet.monitor_for(machine, "reset")
            await console.drain(monitor, machine.folder)
            await monitor.execute("system_reset")

    async def shut_down(self, vm_id: str, timeout_s: float) -> bool:
        """Ask, then power off; see `Lifecycle.shut_down`."""
        async with self._fleet.verb(vm_id) as machine:
            who = machine.folder.running()
            if who is None:
                return True
            by_itself = False
            if await machine.attempt(lambda monitor: monitor.execute("system_powerdown")):
                by_itself = await wait_gone(who, timeout_s)
            await self._end(machine)
            return by_itself

    async def power_off(self, vm_id: str) -> None:
        """Pull the plug; see `Lifecycle.power_off`."""
        async with self._fleet.verb(vm_id) as machine:
            await self._end(machine)

    async def save(self, vm_id: str) -> None:
        """Write the state and end; see `Lifecycle.save`."""
        async with self._fleet.verb(vm_id) as machine:
            if machine.folder.running() is None and machine.folder.has_saved_state():
                return
            monitor = await self._fleet.monitor_for(machine, "save", (*ALIVE, VmState.SAVING))
            machine.verb = SAVING
            try:
                await self._save(machine, monitor)
            finally:
                machine.verb = ""
        self._fleet.changed(vm_id)

    async def discard_saved(self, vm_id: str) -> None:
        """Throw the saved state away; see `Lifecycle.discard_saved`."""
        async with self._fleet.verb(vm_id) as machine:
            if machine.folder.running() is None:
                machine.folder.forget_saved_state()

    async def destroy(self, vm_id: str) -> None:
        """Remove everything of the VM; see `Lifecycle.destroy`."""
        machine = self._machine(vm_id)
        if not is_valid_vm_id(vm_id) or not machine.folder.path.is_dir():
            return
        async with machine.lock:
            await machine.end_process()
            await asyncio.to_thread(machine.folder.remove)
            self._fleet.forget(vm_id)

    async def info(self, vm_id: str) -> VmInfo:
        """Its state now; see `Lifecycle.info`."""
        if not is_valid_vm_id(vm_id):
            return VmInfo(vm_id, VmState.ABSENT)
        machine = self._machine(vm_id)
        said = await machine.info()
        if said.pids and not machine.verb and self._fleet.qemu is not None:
            self._launcher(self._fleet.qemu).tend(machine)
        return _with_progress(machine, _with_damage(machine, said))

    async def list_vms(self) -> tuple[VmInfo, ...]:
        """All VMs here; see `Lifecycle.list_vms`."""
        if self._fleet.qemu is None:
            with contextlib.suppress(ToolMissing):
                await self._fleet.find()
        names = [path.name for path in self._folder.iterdir() if path.is_dir()] if self._folder.is_dir() else []
        return tuple([await self.info(name) for name in sorted(names) if is_valid_vm_id(name)])

    async def plan_routes(self, vm_id: str, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """Any guest address can be had; see `Driver.plan_routes`."""
        return routes

    def on_change(self, callback: Callable[[str], None]) -> None:
        """See `Lifecycle.on_change`."""
        self._fleet.on_change(callback)

    async def open_link(self, vm_id: str) -> tuple[StreamReader, StreamWriter]:
        """A stream to the guest; see `GuestChannel.open_link`."""
        machine = self._fleet.known(vm_id)
        if machine.folder.running() is None:
            raise LinkUnavailable(vm_id, "it does not run")
        return await machine.open_link()

    async def console_tail(self, vm_id: str, limit_bytes: int = 8192) -> str:
        """What the guest printed last; see `GuestChannel.console_tail`."""
        machine = self._fleet.known(vm_id)
        if machine.folder.running() is not None:
            await machine.attempt(lambda monitor: console.drain(monitor, machine.folder))
        return console.tail(machine.folder, limit_bytes)

    async def saw_life(self, vm_id: str) -> None:
        """The guest spoke; see `GuestChannel.saw_life`."""
        self._fleet.known(vm_id).saw_life.set()

    async def set_routes(self, vm_id: str, routes: tuple[Route, ...]) -> None:
        """New targets for new connections; see `ResourceControl.set_routes`."""
        async with self._fleet.verb(vm_id) as machine:
            before = machine.folder.spec()
            if before is None:
                raise InvalidVmState(vm_id, "set_routes", VmState.FAILED)
            after = VmSpec(**{**vars(before), "routes": routes})
            _check_spec(after)
            if without_targets(after) != without_targets(before):
                raise InvalidVmState(vm_id, "set_routes", OTHER_ROUTES)
            self._retarget(machine.folder, after)

    async def traffic(self, vm_id: str) -> Traffic:
        """Bytes through the routes; see `ResourceControl.traffic`."""
        return await asyncio.to_thread(read_traffic, self._fleet.known(vm_id).folder.traffic)

    async def close(self) -> None:
        """Let go; VMs run on."""
        await self._fleet.release()

    def _launcher(self, qemu: Qemu) -> Launcher:
        verdicts = Verdicts(self._folder / filenames.ACCELERATORS, self._clock)
        present = self._accelerators if self._accelerators is not None else accel.present()
        return Launcher(qemu, self._relay_command, verdicts, present, self._life_limit_s)

    def _machine(self, vm_id: str) -> Machine:
        return self._fleet.machine(vm_id)

    async def _make(self, folder: VmFolder, before: VmSpec | None, spec: VmSpec) -> None:
        """Make or remake what belongs to the spec; nothing half-made stays of a new VM."""
        template = scratch_template(spec)
        check_kept(folder, before, spec)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            if before is not None and without_targets(before) != without_targets(spec):
                folder.forget_saved_state()
                folder.write_record(network=None)
            if before is not None and template != scratch_template(before):
                # They are overlays over the former template.
                await asyncio.to_thread(shutil.rmtree, folder.snapshots, ignore_errors=True)
            if before is None or before.exchange_mib != spec.exchange_mib or not exchange.is_made(folder, spec):
                exchange.make(folder, spec)
            if template and (before is None or template != scratch_template(before) or not folder.scratch.exists()):
                folder.forget_saved_state()
                await make_scratch(await self._fleet.find(), folder, template)
            self._retarget(folder, spec)
        except OSError as error:
            raise disk_full_or(error, folder.path) from error
        finally:
            if folder.spec() is None:
                folder.remove()

    def _retarget(self, folder: VmFolder, spec: VmSpec) -> None:
        folder.write_routes(spec.routes)
        folder.write_spec(spec)

    async def _goes_on(self, machine: Machine) -> bool:
        """Whether there is a process that already does, or now does, what `start` is for; another is ended."""
        folder = machine.folder
        if folder.running() is None:
            return False
        phase = folder.record().phase
        word = ""
        with contextlib.suppress(MonitorGone, MonitorRefused):
            word = await machine.status()
        if phase == RESTORING or word in ("", "internal-error") or (phase == SAVING and folder.has_saved_state()):
            await machine.end_process()
            return False
        if phase == SAVING:
            await self._fleet.go_on(machine, await machine.connect())
        elif word in ("paused", "postmigrate") and not folder.has_saved_state():
            raise InvalidVmState(machine.vm_id, "start", VmState.PAUSED)
        elif word != "running":
            await self._fleet.go_on(machine, await machine.connect())
        self._adopt(machine)
        return True

    def _adopt(self, machine: Machine) -> None:
        who = machine.folder.running()
        if who is not None:
            machine.folder.write_record(phase=RUNNING, pid=who.pid, started_at=who.started_at)

    async def _end(self, machine: Machine) -> None:
        await machine.end_process()
        machine.folder.partial_state.unlink(missing_ok=True)

    async def _save(self, machine: Machine, monitor: Monitor) -> None:
        folder = machine.folder
        accelerator = folder.record().accelerator
        qemu = await self._fleet.find()
        is_begun = folder.record().phase == SAVING and await machine.status() == "postmigrate"
        if is_begun and await self._finish_save(machine, monitor, accelerator, qemu):
            return
        folder.write_record(phase=SAVING)
        runs = await saved.hold(monitor)
        is_saved = False
        try:
            await saved.write_state(monitor, folder, accelerator, qemu)
            is_saved = True
        finally:
            if not is_saved:
                await self._undo_save(machine, goes_on=runs)
        await machine.end_process()

    async def _finish_save(self, machine: Machine, monitor: Monitor, accelerator: str, qemu: Qemu) -> bool:
        """Finish what a client that was killed had begun; False: the guest goes on and can be saved anew."""
        folder = machine.folder
        if folder.partial_state.exists() and await saved.is_written(monitor):
            await saved.keep_state(folder, accelerator, qemu.version_text)
        if folder.has_saved_state():
            await machine.end_process()
            return True
        await self._fleet.go_on(machine, monitor)
        return False

    async def _undo_save(self, machine: Machine, *, goes_on: bool) -> None:
        machine.folder.forget_saved_state()
        machine.folder.write_record(phase=RUNNING)

        async def go_on(monitor: Monitor) -> None:
            await monitor.execute("migrate_cancel")
            if goes_on:
                await monitor.execute("cont")

        await machine.attempt(go_on)


def _with_damage(machine: Machine, info: VmInfo) -> VmInfo:
    """A VM at rest whose disk matters and is gone has failed: it is not made anew."""
    if info.state not in (VmState.DEFINED, VmState.SAVED) or machine.lock.locked():
        return info
    spec = machine.folder.spec()
    gone = what_is_gone(machine.folder, spec) if spec is not None and spec.keeps_disk else ""
    return replace(info, state=VmState.FAILED, cause=gone) if gone else info


def _with_progress(machine: Machine, info: VmInfo) -> VmInfo:
    if info.state is not VmState.SAVING:
        return info
    written = size_of(machine.folder.partial_state)
    return replace(info, written_bytes=written, note=info.note or note_of(written))


def _has_its_disks(folder: VmFolder, spec: VmSpec) -> bool:
    return (folder.scratch.exists() or scratch_template(spec) is None) and exchange.is_made(folder, spec)


def _check_spec(spec: VmSpec) -> None:
    if not is_valid_vm_id(spec.vm_id):
        raise BadInput("vm_id", f"{spec.vm_id!r} cannot name a folder", "use lower-case letters, digits and dashes")
    for route in spec.routes:
        if not is_valid_route_name(route.name) or any(mark in route.host for mark in "\t\n"):
            raise BadInput("routes", f"{route.name!r} cannot be a route", "use lower-case letters, digits and dashes")
