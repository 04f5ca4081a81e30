"""A real driver without a hypervisor: VMs are folders and coroutines. For demonstrations, work on the window, tests.

It passes the same contract test as the others. `--driver fake` runs the demo guest; tests give guests of their own.
"""

import asyncio
import shutil
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from client.clock import Clock, SystemClock
from client.errors import BadInput, ClientError
from client.hypervisor import fake_live
from client.hypervisor.demo_guest import demo_guest
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
from client.hypervisor.errors import OTHER_ROUTES, InvalidVmState, LinkUnavailable, MediumMissing
from client.hypervisor.fake_exchange import FakeExchange, make_exchange
from client.hypervisor.fake_link import FakeGuest, Guest
from client.hypervisor.fake_live import FakeLiveControl
from client.hypervisor.fake_shelf import RUNS, FakeShelf
from client.hypervisor.fake_snapshots import FakeSnapshots
from client.hypervisor.spec_file import is_valid_vm_id, without_targets
from client.snapshot import VmState


@dataclass
class _Machine:
    guest: FakeGuest | None = None
    runs_since: float | None = None
    console: str = ""
    lives: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    reviving: asyncio.Lock = field(default_factory=asyncio.Lock)


class FakeDriver:
    """VMs in memory and a folder.

    Args:
        folder: of all VMs.
        guest: what every VM runs; the demo guest if None. When it returns, its VM is off.
        clock: for `runs_since`.

    Attributes:
        failures: verb -> error that it raises the next time; taken out when raised. For tests.
        lives: how often `saw_life` was called, by vm_id.
    """

    name = "fake"

    def __init__(self, folder: Path, guest: Guest | None = None, *, clock: Clock | None = None) -> None:
        self.failures: dict[str, ClientError] = {}
        self.lives: dict[str, int] = {}
        self._shelf = FakeShelf(folder)
        self._guest = guest or demo_guest()
        self._clock = clock or SystemClock()
        self._machines: dict[str, _Machine] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self.snapshots: Snapshots | None = FakeSnapshots(self._shelf, self._forget_memory)
        self.live: LiveControl | None = FakeLiveControl(self._shelf)
        self.exchange: Exchange | None = FakeExchange(self._shelf)

    async def probe(self) -> DriverReport:
        """Always available."""
        features = frozenset(Feature)
        return DriverReport(self.name, True, "1.0.0", accelerators=("none",), speed=1, features=features)

    async def define(self, spec: VmSpec) -> None:
        """See `Lifecycle.define`."""
        if not is_valid_vm_id(spec.vm_id):
            remedy = "use lower-case letters, digits and dashes"
            raise BadInput("vm_id", f"{spec.vm_id!r} cannot name a folder", remedy)
        self._may_fail("define")
        before = self._shelf.spec(spec.vm_id)
        if before == spec:
            return
        same = before is not None and without_targets(before) == without_targets(spec)
        if before is not None and not same and self._shelf.kept(spec.vm_id).state in RUNS:
            raise InvalidVmState(spec.vm_id, "define", self._shelf.kept(spec.vm_id).state)
        _check_media(spec)
        path = self._shelf.path(spec.vm_id)
        path.mkdir(parents=True, exist_ok=True)
        if not same:
            fake_live.forget(path)
            make_exchange(path, spec)
            self._shelf.keep(spec.vm_id, state=VmState.DEFINED)
        self._shelf.write_spec(spec)

    async def start(self, vm_id: str) -> None:
        """See `Lifecycle.start`."""
        async with self._known(vm_id).lock:
            self._may_fail("start")
            state, spec = self._shelf.kept(vm_id).state, self._shelf.spec(vm_id)
            if state is VmState.RUNNING:
                return
            if state is VmState.PAUSED or spec is None:
                raise InvalidVmState(vm_id, "start", state)
            _check_media(spec)
            await self._execute(vm_id, afresh=state is not VmState.SAVED)
        self._changed(vm_id)

    async def pause(self, vm_id: str) -> None:
        """See `Lifecycle.pause`."""
        await self._in_state(vm_id, "pause", RUNS)
        await self._hold(vm_id, VmState.PAUSED)

    async def resume(self, vm_id: str) -> None:
        """See `Lifecycle.resume`."""
        await self._in_state(vm_id, "resume", RUNS)
        await self._execute(vm_id, afresh=False)
        self._changed(vm_id)

    async def reset(self, vm_id: str) -> None:
        """See `Lifecycle.reset`."""
        state = await self._in_state(vm_id, "reset", RUNS)
        await self._execute(vm_id, afresh=True)
        if state is VmState.PAUSED:
            await self._hold(vm_id, state)
        self._changed(vm_id)

    async def shut_down(self, vm_id: str, timeout_s: float) -> bool:
        """See `Lifecycle.shut_down`. A fake guest hears no ACPI; it is off at once."""
        was_on = self._known(vm_id) is not None and self._shelf.kept(vm_id).state in RUNS
        await self.power_off(vm_id)
        return not was_on

    async def power_off(self, vm_id: str) -> None:
        """See `Lifecycle.power_off`."""
        machine = self._known(vm_id)
        self._may_fail("power_off")
        if self._shelf.kept(vm_id).state is not VmState.SAVED:
            await self._stop(machine)
            self._shelf.keep(vm_id, state=VmState.DEFINED, cause="")
            self._changed(vm_id)

    async def save(self, vm_id: str) -> None:
        """See `Lifecycle.save`. The guest goes on from there only within one run of the program."""
        if self._known(vm_id) and self._shelf.kept(vm_id).state is VmState.SAVED:
            return
        await self._in_state(vm_id, "save", RUNS)
        self._may_fail("save")
        await self._hold(vm_id, VmState.SAVED)

    async def discard_saved(self, vm_id: str) -> None:
        """See `Lifecycle.discard_saved`."""
        machine = self._known(vm_id)
        if self._shelf.kept(vm_id).state is VmState.SAVED:
            await self._stop(machine)
            self._shelf.keep(vm_id, state=VmState.DEFINED)

    async def destroy(self, vm_id: str) -> None:
        """See `Lifecycle.destroy`."""
        if self._shelf.has(vm_id):
            await self._stop(self._known(vm_id))
            self._machines.pop(vm_id, None)
            shutil.rmtree(self._shelf.path(vm_id))

    async def info(self, vm_id: str) -> VmInfo:
        """See `Lifecycle.info`."""
        if not self._shelf.has(vm_id):
            return VmInfo(vm_id, VmState.ABSENT)
        if self._shelf.spec(vm_id) is None:
            return VmInfo(vm_id, VmState.FAILED, cause="its folder is not complete")
        kept, machine = self._shelf.kept(vm_id), self._known(vm_id)
        await self._revive(vm_id)
        runs_since = machine.runs_since if kept.state in RUNS else None
        return VmInfo(vm_id, accelerator="none", runs_since=runs_since, **asdict(kept))

    async def list_vms(self) -> tuple[VmInfo, ...]:
        """See `Lifecycle.list_vms`."""
        names = (
            sorted(path.name for path in self._shelf.folder.iterdir() if path.is_dir())
            if self._shelf.folder.is_dir()
            else []
        )
        return tuple([await self.info(name) for name in names if is_valid_vm_id(name)])

    async def plan_routes(self, vm_id: str, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """Any guest address can be had; see `Driver.plan_routes`."""
        return routes

    def on_change(self, callback: Callable[[str], None]) -> None:
        """See `Lifecycle.on_change`."""
        self._callbacks.append(callback)

    async def open_link(self, vm_id: str) -> tuple[StreamReader, StreamWriter]:
        """See `GuestChannel.open_link`."""
        machine = self._known(vm_id)
        if self._shelf.kept(vm_id).state not in RUNS:
            raise LinkUnavailable(vm_id, "it does not run")
        await self._revive(vm_id)
        if machine.guest is None:
            raise LinkUnavailable(vm_id, "its guest is gone")
        return await machine.guest.open_link()

    async def console_tail(self, vm_id: str, limit_bytes: int = 8192) -> str:
        """See `GuestChannel.console_tail`."""
        return self._known(vm_id).console[-limit_bytes:]

    async def saw_life(self, vm_id: str) -> None:
        """See `GuestChannel.saw_life`."""
        self._known(vm_id)
        self.lives[vm_id] = self.lives.get(vm_id, 0) + 1

    async def set_routes(self, vm_id: str, routes: tuple[Route, ...]) -> None:
        """See `ResourceControl.set_routes`."""
        self._may_fail("set_routes")
        before = self._shelf.require_spec(vm_id, "set_routes")
        after = replace(before, routes=routes)
        if without_targets(after) != without_targets(before):
            raise InvalidVmState(vm_id, "set_routes", OTHER_ROUTES)
        self._shelf.write_spec(after)

    async def traffic(self, vm_id: str) -> Traffic:
        """See `ResourceControl.traffic`. A fake guest has no network."""
        self._known(vm_id)
        return Traffic()

    async def close(self) -> None:
        """Let go: the VMs stay what they are in the folder, and another driver makes their guests go on."""
        for machine in self._machines.values():
            await self._stop(machine)
        self._machines.clear()

    async def crash(self, vm_id: str, cause: str = "its process ended unexpectedly") -> None:
        """For tests: the VM ends as when its process is killed."""
        await self._stop(self._known(vm_id))
        self._shelf.keep(vm_id, state=VmState.FAILED, cause=cause)
        self._changed(vm_id)

    async def reset_by_guest(self, vm_id: str) -> None:
        """For tests: the guest reboots by itself."""
        self._shelf.keep(vm_id, guest_resets=self._shelf.kept(vm_id).guest_resets + 1)
        await self.reset(vm_id)

    async def _execute(self, vm_id: str, *, afresh: bool) -> None:
        machine = self._known(vm_id)
        if afresh:
            await self._stop(machine)
        if machine.guest is None:
            guest = FakeGuest(self._guest, lambda: self._ended(vm_id, guest))
            machine.guest = guest
            machine.runs_since = self._clock.monotonic()
            await guest.boot()
        machine.guest.let_go()
        self._shelf.keep(vm_id, state=VmState.RUNNING, cause="")

    async def _hold(self, vm_id: str, state: VmState) -> None:
        await self._revive(vm_id)
        guest = self._known(vm_id).guest
        if guest is not None:
            guest.hold()
        self._shelf.keep(vm_id, state=state)
        self._changed(vm_id)

    async def _revive(self, vm_id: str) -> None:
        """Give a VM that runs according to its folder the guest that an earlier driver took with it."""
        machine = self._known(vm_id)
        async with machine.reviving:  # two who look at once get one guest
            state = self._shelf.kept(vm_id).state
            if state not in RUNS or machine.guest is not None:
                return
            await self._execute(vm_id, afresh=True)
        if state is VmState.PAUSED:
            await self._hold(vm_id, state)

    def _ended(self, vm_id: str, guest: FakeGuest) -> None:
        machine = self._machines.get(vm_id)
        if machine is not None and machine.guest is guest:
            machine.guest = None
            self._shelf.keep(vm_id, state=VmState.DEFINED)
            self._changed(vm_id)

    async def _stop(self, machine: _Machine) -> None:
        guest, machine.guest = machine.guest, None
        machine.runs_since = None
        if guest is not None:
            await guest.stop()

    async def _in_state(self, vm_id: str, verb: str, allowed: tuple[VmState, ...]) -> VmState:
        self._known(vm_id)
        self._may_fail(verb)
        state = self._shelf.kept(vm_id).state
        if state not in allowed:
            raise InvalidVmState(vm_id, verb, state)
        return state

    async def _forget_memory(self, vm_id: str) -> None:
        await self._stop(self._known(vm_id))
        self._changed(vm_id)

    def _may_fail(self, verb: str) -> None:
        error = self.failures.pop(verb, None)
        if error is not None:
            raise error

    def _known(self, vm_id: str) -> _Machine:
        self._shelf.require(vm_id)
        return self._machines.setdefault(vm_id, _Machine())

    def _changed(self, vm_id: str) -> None:
        for callback in self._callbacks:
            callback(vm_id)


def _check_media(spec: VmSpec) -> None:
    files = [medium.path for medium in spec.media]
    if spec.direct_boot is not None:
        files += [spec.direct_boot.kernel, spec.direct_boot.initrd]
    for file in files:
        if not file.is_file():
            raise MediumMissing(spec.vm_id, str(file))
