"""Starting a VM: which accelerator, from the saved state or afresh, and the proof that its guest lives."""

import asyncio
from pathlib import Path
from typing import Final

from client import process
from client.errors import ClientError, CommandFailed
from client.host.starving import starved_s
from client.hypervisor.driver import MediumRole, VmSpec
from client.hypervisor.errors import SlowHypervisor, StartFailed
from client.hypervisor.qemu import accel, cable, console, saved
from client.hypervisor.qemu.cmdline import TCG, Launch, build_command
from client.hypervisor.qemu.find import Qemu
from client.hypervisor.qemu.folder import RESTORING, RUNNING, STARTING, VmFolder
from client.hypervisor.qemu.machine import Machine
from client.hypervisor.qemu.qmp import Monitor, MonitorGone, MonitorRefused
from client.hypervisor.verdicts import Verdicts, host_identity

START_LIMIT_S: Final = 30.0
_WATCH_INTERVAL_S: Final = 0.25
_TEND_INTERVAL_S: Final = 10.0
_READ_BY_KERNEL: Final = frozenset({MediumRole.CONTEXT, MediumRole.SOFTWARE, MediumRole.SCRATCH})
_SLOW: Final = "so it runs without hardware acceleration, many times slower."
_STALE: Final = "{why}, so the virtual machine was started afresh."


class Launcher:
    """Starts VMs with one QEMU and keeps watch over the accelerator's proof.

    Args:
        present: accelerators to choose from, fastest first.
        life_limit_s: how long a guest under a hardware accelerator may be silent.
    """

    def __init__(
        self,
        qemu: Qemu,
        relay_command: tuple[str, ...],
        verdicts: Verdicts,
        present: tuple[str, ...],
        life_limit_s: float,
    ) -> None:
        self._qemu = qemu
        self._relay_command = relay_command
        self._verdicts = verdicts
        self._present = present
        self._life_limit_s = life_limit_s
        self._host = host_identity("qemu", qemu.version_text)

    @property
    def usable(self) -> tuple[str, ...]:
        """Accelerators that have not failed here, fastest first."""
        return accel.usable(self._verdicts, self._present, self._host)

    @property
    def is_proven(self) -> bool:
        """Whether a guest has lived under the fastest of them; TCG needs no proof."""
        fastest = self.usable[0]
        return fastest == TCG or bool(self._verdicts.works(fastest, self._host))

    @property
    def slowness(self) -> SlowHypervisor | None:
        """What the volunteer should know of the speed; None when there is nothing."""
        return accel.slowness(self._verdicts, self._present, self._host)

    async def start(self, machine: Machine, spec: VmSpec) -> None:
        """Start a VM that has no process; the caller holds its lock.

        Raises:
            StartFailed: QEMU did not come up.
        """
        accelerator = self.usable[0] if spec.accelerator == "auto" else spec.accelerator
        note = self._note(spec, accelerator)
        if machine.folder.has_saved_state():
            why = await self._restore(machine, spec, accelerator, note)
            if not why:
                return
            note = _STALE.format(why=why)
        machine.folder.forget_saved_state()
        await self._boot(machine, spec, accelerator, note)

    def tend(self, machine: Machine) -> None:
        """Have somebody look after a running VM: the accelerator's proof, and its console."""
        if machine.tender is None or machine.tender.done():
            machine.tender = asyncio.create_task(self._tend(machine))

    def _note(self, spec: VmSpec, accelerator: str) -> str:
        failed = [one for one in self._present if one not in self.usable]
        if spec.accelerator != "auto" or accelerator != TCG or not failed:
            return ""
        return f"A virtual machine under {failed[0]} showed no sign of life on this computer, {_SLOW}"

    async def _boot(self, machine: Machine, spec: VmSpec, accelerator: str, note: str) -> None:
        is_held = not cable.is_in(machine.folder)
        await self._launch(machine, spec, accelerator, is_held=is_held)
        if is_held:
            await self._let_go_unplugged(machine)
        machine.folder.write_record(phase=RUNNING, note=note)
        self.tend(machine)

    async def _let_go_unplugged(self, machine: Machine) -> None:
        try:
            monitor = await machine.connect()
            await cable.apply(monitor, machine.folder)
            await monitor.execute("cont")
        except (MonitorGone, MonitorRefused) as error:
            await machine.end_process()
            raise StartFailed(machine.vm_id, (self._qemu.system,), None, error.said) from error

    async def _restore(self, machine: Machine, spec: VmSpec, accelerator: str, note: str) -> str:
        """Go on from the saved state; returns why that was not possible, or nothing."""
        folder = machine.folder
        facts = await saved.check_state(folder)
        if facts is None:
            return "The saved state was damaged"
        if facts.qemu_version != self._qemu.version_text:
            return f"The saved state was made by QEMU {facts.qemu_version}"
        if facts.accelerator not in (accelerator, *(self.usable if spec.accelerator == "auto" else ())):
            return f"The saved state was made under {facts.accelerator}"
        try:
            await self._launch(machine, spec, facts.accelerator, is_restore=True)
            monitor = await machine.connect()
            await saved.load_state(monitor, folder, self._qemu)
            # From here on the state is used up; being killed between these lines leaves a held VM that `resume` or
            # the next `start` lets go on.
            folder.write_record(phase=RUNNING, note=note)
            folder.forget_saved_state()
            await cable.apply(monitor, folder)
            await monitor.execute("cont")
        except (StartFailed, MonitorGone, MonitorRefused, OSError) as error:
            await machine.end_process()
            said = getattr(error, "said", str(error)) or str(error)
            return f"The saved state could not be used ({said.strip().splitlines()[-1][:200]})"
        self.tend(machine)
        return ""

    async def _launch(
        self, machine: Machine, spec: VmSpec, accelerator: str, *, is_restore: bool = False, is_held: bool = False
    ) -> None:
        folder = machine.folder
        folder.traffic.mkdir(exist_ok=True)
        folder.write_routes(spec.routes)
        machine.saw_life.clear()
        phase = RESTORING if is_restore else STARTING
        folder.write_record(phase=phase, pid=0, started_at="", accelerator=accelerator, proven=False, guest_resets=0)
        command = build_command(spec, self._plan(accelerator, folder.path, is_restore, is_held))
        try:
            await process.run(command, timeout_s=START_LIMIT_S, cwd=folder.path)
            await machine.connect()
        except (CommandFailed, MonitorGone) as error:
            await machine.end_process()
            raise _start_failed(machine.vm_id, command, error) from error
        who = folder.running()
        if who is not None:
            folder.write_record(pid=who.pid, started_at=who.started_at)

    def _plan(self, accelerator: str, folder: Path, is_restore: bool, is_held: bool) -> Launch:
        return Launch(
            system=self._qemu.system,
            accelerator=accelerator,
            folder=folder,
            relay_command=self._relay_command,
            has_sandbox=self._qemu.has_sandbox,
            is_restore=is_restore,
            is_held=is_held,
        )

    async def _tend(self, machine: Machine) -> None:
        record = machine.folder.record()
        try:
            if record.accelerator != TCG and not record.proven and not await self._is_alive(machine):
                await self._fall_back(machine)
                return
            while True:
                await console.drain(await machine.connect(), machine.folder)
                await asyncio.sleep(_TEND_INTERVAL_S)
        except (MonitorGone, MonitorRefused):
            return

    async def _is_alive(self, machine: Machine) -> bool:
        """Wait for a sign of life under a hardware accelerator; False when there is none in time."""
        spec = machine.folder.spec()
        watch = accel.LifeWatch(self._life_limit_s)
        waited_s = _starved_s(machine)
        while not machine.saw_life.is_set() and not await _shows_life(await machine.connect(), machine.folder):
            runs = await machine.status() == "running"
            before, waited_s = waited_s, _starved_s(machine)
            # What others took of the processor is no silence of the guest's.
            elapsed_s = max(0.0, _WATCH_INTERVAL_S - max(0.0, waited_s - before))
            if spec is not None and spec.accelerator == "auto" and watch.tick(elapsed_s, runs=runs):
                return False
            await asyncio.sleep(_WATCH_INTERVAL_S)
        record = machine.folder.write_record(proven=True)
        self._verdicts.remember(record.accelerator, self._host, works=True)
        machine.changed(machine.vm_id)
        return True

    async def _fall_back(self, machine: Machine) -> None:
        """Put the accelerator aside and start the VM under the next one, on the same disks."""
        async with machine.lock:
            spec, record = machine.folder.spec(), machine.folder.record()
            if spec is None or record.phase != RUNNING or machine.saw_life.is_set():
                return
            self._verdicts.remember(record.accelerator, self._host, works=False, cause="no-sign-of-life")
            machine.verb = STARTING
            try:
                await machine.end_process()
                machine.tender = None
                await self.start(machine, spec)
            except ClientError as error:
                machine.folder.write_record(note=f"It could not be started without {record.accelerator}: {error.code}.")
            finally:
                machine.verb = ""
        machine.changed(machine.vm_id)


def _starved_s(machine: Machine) -> float:
    who = machine.folder.running()
    return starved_s(who.pid) if who is not None else 0.0


async def _shows_life(monitor: Monitor, folder: VmFolder) -> bool:
    """Whether the guest has printed something, or its kernel has got as far as reading a disk.

    That its instruction pointer moves proves nothing: where KVM hangs guests, it moves as well.
    """
    if await console.drain(monitor, folder):
        return True
    counts = await monitor.execute("query-blockstats")
    # The firmware reads the CD that it boots from; only a kernel's driver reads the others.
    kernels = [one["stats"] for one in counts if one.get("device") in _READ_BY_KERNEL]
    return any(stats["rd_operations"] > 0 for stats in kernels)


def _start_failed(vm_id: str, command: tuple[str, ...], error: CommandFailed | MonitorGone) -> StartFailed:
    if isinstance(error, CommandFailed):
        return StartFailed(vm_id, command, error.exit_code, error.stderr)
    return StartFailed(vm_id, command, None, error.said)
