"""The VirtualBox driver: what volunteers have on Windows, macOS and Linux.

VirtualBox keeps books of its own, and a VM's process belongs to them; the driver keeps a folder. Neither is believed
alone: the folder says which machines are ours (by a UUID chosen before VirtualBox hears of it, and by where the
settings file lies), VirtualBox says what they do. What differs after a kill or an accident is brought together again.
"""

import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from client import log, process
from client.clock import Clock, SystemClock
from client.errors import BadInput, ClientError, ToolMissing
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
from client.hypervisor.errors import (
    OTHER_ROUTES,
    HypervisorError,
    InvalidVmState,
    LinkUnavailable,
    NoSuchVm,
    NotSupportedByDriver,
    VmFolderUnreadable,
)
from client.hypervisor.files import check_media
from client.hypervisor.saving import limit_of_stillness, note_of
from client.hypervisor.spec_file import is_valid_route_name, is_valid_vm_id, without_targets
from client.hypervisor.virtualbox import console, full_disk, live, points, quick
from client.hypervisor.virtualbox.exchange import VirtualBoxExchange
from client.hypervisor.virtualbox.folder import BASES, LEDGER_FILE, Ledger, VmFolder, vm_names
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.live import VirtualBoxLive
from client.hypervisor.virtualbox.machine import ONLINE, Machine, end_process
from client.hypervisor.virtualbox.make import Maker, is_whole, what_is_gone
from client.hypervisor.virtualbox.ports import Ports
from client.hypervisor.virtualbox.power_off import POWER_OFF_LIMIT_S, power_off
from client.hypervisor.virtualbox.problems import VirtualBoxBroken, VirtualBoxSilent, VirtualBoxTooOld, WrongState
from client.hypervisor.virtualbox.prospect import Prospect
from client.hypervisor.virtualbox.revival import Revivals
from client.hypervisor.virtualbox.save import save
from client.hypervisor.virtualbox.session import SessionHelper
from client.hypervisor.virtualbox.snapshots import VirtualBoxSnapshots
from client.hypervisor.virtualbox.start import LASTING, start
from client.hypervisor.virtualbox.sweep import leave_to_sweep, sweep
from client.meter import Meter
from client.snapshot import VmState

_log = log.logger("hypervisor")
FEATURES: Final = frozenset({Feature.SAVE_STATE, Feature.ROUTES, Feature.LIVE_ROUTES, Feature.TRAFFIC_LIMIT})
_MADE_ANEW: Final = "A part of the virtual machine was gone, so it was made anew; what its disk held is lost."
_HELD: Final = (VmState.STARTING, VmState.RUNNING, VmState.PAUSED)


class VirtualBoxDriver:
    """VMs under VirtualBox.

    Args:
        folder: of all VMs, one folder each.
        clock: for verdicts and `runs_since`.
        search_path: where to look for VBoxManage instead of the usual places.
        installation: what to drive instead of what is found; for tests.
        needs_driver: False for a VirtualBox whose VMs run without the kernel module, interpreted; for tests.
        helper: does some verbs faster; one that looks for pyvbox if None.
        meter: file that all traffic obeys and is counted in; none if None.
    """

    name = "virtualbox"
    snapshots: Snapshots | None
    live: LiveControl | None
    exchange: Exchange | None

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        search_path: str | None = None,
        installation: Installation | None = None,
        needs_driver: bool = True,
        helper: SessionHelper | None = None,
        meter: Path | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._helper = helper or SessionHelper()
        self._clock = clock or SystemClock()
        self._prospect = Prospect(self._folder, self._clock, search_path, installation, needs_driver=needs_driver)
        self._ledger = Ledger(self._folder / LEDGER_FILE)
        self._ports = Ports(Ledger(self._folder / "ports.json"))
        self._meter = Meter(str(meter)) if meter is not None else None
        self._machines: dict[str, Machine] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._is_swept = False
        self._revivals = Revivals(self._verb, self._restart)
        self.snapshots = VirtualBoxSnapshots(self._verb, self._adapt)
        self.live = VirtualBoxLive(self._verb)
        self.exchange = VirtualBoxExchange(self._verb)

    async def probe(self) -> DriverReport:
        """Look for VirtualBox; see `Driver.probe`."""
        return await self._prospect.report(self.name, FEATURES)

    async def define(self, spec: VmSpec) -> None:
        """Make folder, disks and machine; see `Lifecycle.define`."""
        _check_spec(spec)
        installation = await self._prospect.installation()
        machine = self._machine(spec.vm_id, installation)
        async with machine.lock:
            await points.settle(machine, self._adapt)
            before = machine.folder.spec()
            if before == spec and is_whole(machine) and not machine.folder.record().changing:
                return
            runs = before is not None and is_whole(machine) and await machine.state() in ONLINE
            if runs and before is not None and without_targets(before) == without_targets(spec):
                machine.folder.write_spec(spec)
                machine.relays.set_routes(spec.routes)
                return
            if runs:
                raise InvalidVmState(spec.vm_id, "define", await machine.state())
            check_media(spec)
            await self._maker(installation).make(machine, before, spec)
        self._changed(spec.vm_id)

    async def start(self, vm_id: str) -> None:
        """Start or restore; see `Lifecycle.start`."""
        async with self._verb(vm_id) as machine:
            state = await machine.state()
            if state is VmState.UNKNOWN:
                state = (await machine.ask()).state
            # While it is not known what the VM does, nothing of it may be taken for left over.
            if state in (VmState.PAUSED, VmState.UNKNOWN):
                raise InvalidVmState(vm_id, "start", state)
            if state in ONLINE:
                return
            if state is VmState.FAILED and (machine.running() or machine.find_process(is_certain=True)):
                await power_off(machine)
            await points.settle(machine, self._adapt)
            spec = machine.folder.spec()
            if spec is None:
                raise InvalidVmState(vm_id, "start", VmState.FAILED)
            check_media(spec)
            machine.verb = VmState.STARTING
            try:
                await self._start(machine, spec)
            finally:
                machine.verb = None

    async def pause(self, vm_id: str) -> None:
        """Hold the guest; see `Lifecycle.pause`."""
        async with self._verb(vm_id) as machine:
            if await self._in_state(machine, "pause", _HELD) is VmState.PAUSED:
                return
            await self._control(machine, "pause", VmState.PAUSED)

    async def resume(self, vm_id: str) -> None:
        """Let the guest go on; see `Lifecycle.resume`."""
        async with self._verb(vm_id) as machine:
            if await self._in_state(machine, "resume", _HELD) is VmState.PAUSED:
                if full_disk.holds(machine.log):
                    full_disk.check_space(machine.folder)
                await self._control(machine, "resume", VmState.RUNNING)

    async def reset(self, vm_id: str) -> None:
        """Press the reset button; see `Lifecycle.reset`."""
        async with self._verb(vm_id) as machine:
            state = await self._in_state(machine, "reset", _HELD)
            try:
                if machine.folder.record().restored:
                    await self._restart(machine)
                else:
                    await self._reset(machine, state)
            except VirtualBoxSilent as error:
                # It stands still, which is what a reset is pressed for.
                _log.warning("%s cannot be reset (%s); giving it a new process", vm_id, error)
                await self._restart(machine)
            if state is VmState.PAUSED:
                await self._control(machine, "pause", VmState.PAUSED)

    async def shut_down(self, vm_id: str, timeout_s: float) -> bool:
        """Ask, then power off; see `Lifecycle.shut_down`."""
        async with self._verb(vm_id) as machine:
            state = await machine.state()
            who = machine.running() or machine.find_process(is_certain=state not in ONLINE)
            if state not in ONLINE or who is None:
                await power_off(machine)
                return True
            by_itself = False
            with contextlib.suppress(ClientError):
                await machine.change("controlvm", machine.uuid, "acpipowerbutton")
                by_itself = await process.wait_gone(who, timeout_s)
            await power_off(machine)
            return by_itself

    async def power_off(self, vm_id: str) -> None:
        """Pull the plug; see `Lifecycle.power_off`. After `POWER_OFF_LIMIT_S` its process is ended."""
        try:
            written = VmFolder(self._folder / vm_id).state_bytes
            async with limit_of_stillness(POWER_OFF_LIMIT_S, written), self._verb(vm_id) as machine:
                await power_off(machine)
        except (ToolMissing, VirtualBoxBroken, VirtualBoxTooOld, TimeoutError) as error:
            # What VirtualBox left running when it went away is not to run beside another hypervisor's VM.
            _log.warning("VirtualBox does not power off %s (%r); ending its process", vm_id, error)
            known = self._machines.get(vm_id)
            await end_process(known.folder if known else VmFolder(self._folder / vm_id))
            if known is not None:
                await known.ended()
            self._changed(vm_id)

    async def save(self, vm_id: str) -> None:
        """Write the state and end; see `Lifecycle.save`."""
        async with self._verb(vm_id) as machine:
            state = await machine.state()
            if state is VmState.SAVED:
                return
            if state not in _HELD:
                raise InvalidVmState(vm_id, "save", state)
            machine.verb = VmState.SAVING
            try:
                await save(machine, self._helper)
            finally:
                machine.verb = None

    async def discard_saved(self, vm_id: str) -> None:
        """Throw the saved state away; see `Lifecycle.discard_saved`."""
        async with self._verb(vm_id) as machine:
            if await machine.state() is VmState.SAVED:
                await machine.change("discardstate", machine.uuid)
                machine.assume(VmState.DEFINED)

    async def destroy(self, vm_id: str) -> None:
        """Remove everything of the VM; see `Lifecycle.destroy`. A VirtualBox that is gone is told when it is back."""
        if not is_valid_vm_id(vm_id) or not (self._folder / vm_id).is_dir():
            return
        try:
            installation = await self._prospect.installation()
        except (ToolMissing, VirtualBoxBroken, VirtualBoxTooOld):
            await leave_to_sweep(self._folder, vm_id, self._ledger)
            return
        machine = self._machine(vm_id, installation)
        async with machine.lock:
            if machine.uuid and machine.folder.path.is_dir():
                await power_off(machine)
            maker = self._maker(installation)
            await maker.unmake(machine)
            self._machines.pop(vm_id, None)
            self._ports.forget(vm_id)
            await maker.forget_bases()

    async def info(self, vm_id: str) -> VmInfo:
        """Its state now; see `Lifecycle.info`."""
        if not is_valid_vm_id(vm_id) or not (self._folder / vm_id).is_dir():
            return VmInfo(vm_id, VmState.ABSENT)
        try:
            machine = self._machine(vm_id, await self._prospect.installation())
        except ClientError as error:
            return VmInfo(vm_id, VmState.FAILED, cause=f"VirtualBox cannot be used ({error.code})")
        try:
            info = _with_progress(machine, _with_damage(machine, await machine.info()))
            self._revivals.look(machine, info)
            return info
        except VmFolderUnreadable as error:
            return VmInfo(vm_id, VmState.UNKNOWN, note=f"A file of its folder cannot be read now: {error.said}.")

    async def list_vms(self) -> tuple[VmInfo, ...]:
        """All VMs here; see `Lifecycle.list_vms`."""
        if not self._is_swept and self._folder.is_dir():
            with contextlib.suppress(ClientError):
                installation = await self._prospect.installation()
                await sweep(installation.manage, self._folder, self._ledger)
                self._is_swept = True
                await self._maker(installation).forget_bases()
        return tuple([await self.info(name) for name in vm_names(self._folder)])

    async def plan_routes(self, vm_id: str, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """Each route at a loopback port of this computer; see `Driver.plan_routes`."""
        _check_routes(routes)
        machine = self._machines.get(vm_id)
        spec = VmFolder(self._folder / vm_id).spec() if is_valid_vm_id(vm_id) else None
        told = {route.name: route.guest_port for route in spec.routes} if spec else {}
        return self._ports.plan(vm_id, routes, machine.relays.ports if machine else frozenset(), told)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """See `Lifecycle.on_change`."""
        self._callbacks.append(callback)

    async def open_link(self, vm_id: str) -> tuple[StreamReader, StreamWriter]:
        """A stream to the guest; see `GuestChannel.open_link`."""
        machine = await self._known(vm_id)
        if await machine.state() not in ONLINE:
            raise LinkUnavailable(vm_id, "it does not run")
        try:
            return await machine.link.open(machine.folder.record().link)
        except HypervisorError as error:
            if isinstance(error, LinkUnavailable):
                raise
            raise LinkUnavailable(vm_id, error.code) from error

    async def console_tail(self, vm_id: str, limit_bytes: int = 8192) -> str:
        """What the guest printed last; see `GuestChannel.console_tail`."""
        return console.tail((await self._known(vm_id)).folder.console, limit_bytes)

    async def saw_life(self, vm_id: str) -> None:
        """The guest spoke; see `GuestChannel.saw_life`."""
        machine = await self._known(vm_id)
        await self._prospect.works(machine.folder.record().accelerator)

    async def set_routes(self, vm_id: str, routes: tuple[Route, ...]) -> None:
        """New targets for new connections; see `ResourceControl.set_routes`."""
        async with self._verb(vm_id) as machine:
            before = machine.folder.spec()
            if before is None:
                raise InvalidVmState(vm_id, "set_routes", VmState.FAILED)
            after = VmSpec(**{**vars(before), "routes": routes})
            _check_spec(after)
            if without_targets(after) != without_targets(before):
                raise InvalidVmState(vm_id, "set_routes", OTHER_ROUTES)
            machine.folder.write_spec(after)
            machine.relays.set_routes(routes)

    async def traffic(self, vm_id: str) -> Traffic:
        """Bytes through its routes; see `ResourceControl.traffic`."""
        return (await self._known(vm_id)).relays.traffic()

    async def close(self) -> None:
        """Let go of relays and connections; VMs keep running."""
        self._helper.close()
        await self._revivals.close()
        for machine in self._machines.values():
            await machine.release()
        self._machines.clear()
        if self._meter is not None:
            self._meter.close()

    async def _start(self, machine: Machine, spec: VmSpec) -> None:
        uuid = machine.uuid
        if not is_whole(machine) or machine.folder.record().changing:
            await self._maker(await self._prospect.installation()).make(machine, spec, spec)
        try:
            await live.before_start(machine)
            await start(machine, spec)
            await live.after_start(machine)
            self._helper.begin()
        except LASTING as error:
            await self._prospect.fails(error)
            raise
        if machine.uuid != uuid:
            machine.folder.write_record(note=_MADE_ANEW)

    async def _adapt(self, machine: Machine, before: VmSpec, spec: VmSpec) -> None:
        await self._maker(await self._prospect.installation()).make(machine, before, spec)

    async def _reset(self, machine: Machine, state: VmState) -> None:
        if state is VmState.PAUSED:
            # VirtualBox resets only what runs.
            await self._control(machine, "resume", VmState.RUNNING)
        machine.folder.write_record(own_resets=machine.folder.record().own_resets + 1)
        await self._control(machine, "reset", VmState.RUNNING)

    async def _restart(self, machine: Machine) -> None:
        """A reset by another process: after it the BIOS of one that was restored can wait for ever."""
        spec = machine.folder.spec()
        if spec is None:
            raise InvalidVmState(machine.vm_id, "reset", VmState.FAILED)
        check_media(spec)
        machine.verb = VmState.STARTING
        try:
            await power_off(machine)
            await self._start(machine, spec)
        finally:
            machine.verb = None

    async def _control(self, machine: Machine, word: str, after: VmState) -> None:
        """A verb on a running VM; if VirtualBox does not do it, its state may have changed meanwhile."""
        try:
            if not await quick.control(self._helper, machine, word):
                await machine.change("controlvm", machine.uuid, word)
        except (WrongState, VirtualBoxSilent) as error:
            state = (await machine.ask()).state
            if state is after and word != "reset":
                return
            if isinstance(error, VirtualBoxSilent):
                raise
            raise InvalidVmState(machine.vm_id, word, state) from error
        machine.assume(after)

    async def _in_state(self, machine: Machine, verb: str, allowed: tuple[VmState, ...]) -> VmState:
        state = await machine.state()
        if state not in allowed:
            raise InvalidVmState(machine.vm_id, verb, state)
        return state

    @contextlib.asynccontextmanager
    async def _verb(self, vm_id: str) -> AsyncIterator[Machine]:
        machine = await self._known(vm_id)
        async with machine.lock:
            # Destroyed while this verb waited.
            if not machine.folder.path.is_dir():
                raise NoSuchVm(vm_id)
            yield machine
        self._changed(vm_id)

    async def _known(self, vm_id: str) -> Machine:
        if not is_valid_vm_id(vm_id) or not (self._folder / vm_id).is_dir():
            raise NoSuchVm(vm_id)
        return self._machine(vm_id, await self._prospect.installation())

    def _machine(self, vm_id: str, installation: Installation) -> Machine:
        if vm_id not in self._machines:
            folder = VmFolder(self._folder / vm_id)
            self._machines[vm_id] = Machine(folder, installation.manage, self._clock, self._changed, self._meter)
        return self._machines[vm_id]

    def _maker(self, installation: Installation) -> Maker:
        return Maker(installation, self._folder / BASES, self._ledger)

    def _changed(self, vm_id: str) -> None:
        for callback in self._callbacks:
            callback(vm_id)


def _with_damage(machine: Machine, info: VmInfo) -> VmInfo:
    """A VM at rest whose disks matter and are not whole has failed: it is not made anew."""
    if info.state not in (VmState.DEFINED, VmState.SAVED) or machine.lock.locked():
        return info
    spec = machine.folder.spec()
    gone = what_is_gone(machine) if spec is not None and spec.keeps_disk else ""
    return replace(info, state=VmState.FAILED, cause=gone) if gone else info


def _with_progress(machine: Machine, info: VmInfo) -> VmInfo:
    if info.state is not VmState.SAVING:
        return info
    states = machine.folder.states()
    note = " ".join(filter(None, (info.note, note_of(states[-1] if states else 0))))
    return replace(info, written_bytes=sum(states), note=note)


def _check_spec(spec: VmSpec) -> None:
    if not is_valid_vm_id(spec.vm_id):
        raise BadInput("vm_id", f"{spec.vm_id!r} cannot name a folder", "use lower-case letters, digits and dashes")
    if spec.direct_boot is not None:
        raise NotSupportedByDriver(VirtualBoxDriver.name, "boot a kernel directly into")
    if spec.link_device not in ("auto", "uart"):
        raise NotSupportedByDriver(VirtualBoxDriver.name, f"link by {spec.link_device} to")
    _check_routes(spec.routes)


def _check_routes(routes: tuple[Route, ...]) -> None:
    for route in routes:
        if not is_valid_route_name(route.name):
            raise BadInput("routes", f"{route.name!r} cannot be a route", "use lower-case letters, digits and dashes")
