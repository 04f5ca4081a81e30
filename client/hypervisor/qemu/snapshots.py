"""Snapshots under QEMU: copies of the overlay and of the saved state, whole or not at all.

A running guest is held, its state is written and its overlay copied, and it goes on in the same process: its link and
its connections stay. A point is a folder like the VM's own (see `client.hypervisor.points` for how it is made whole)
with these files of it: spec, overlay, saved state. The exchange's files are a way, not a disk, and no part of it.
"""

import asyncio
from pathlib import Path

from client.errors import DiskFull
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import InvalidVmState, NoSuchSnapshot, SaveFailed
from client.hypervisor.files import disk_full_or
from client.hypervisor.points import Points, check_name
from client.hypervisor.qemu import saved
from client.hypervisor.qemu.copying import copy_file
from client.hypervisor.qemu.fleet import Fleet
from client.hypervisor.qemu.folder import RUNNING, SAVING, STOPPED, VmFolder
from client.hypervisor.qemu.machine import Machine
from client.hypervisor.qemu.qmp import Monitor, MonitorGone, MonitorRefused
from client.hypervisor.spec_file import without_targets
from client.snapshot import VmState


class QemuSnapshots:
    """See `Snapshots`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def take(self, vm_id: str, name: str) -> None:
        """Keep a point; see `Snapshots.take`."""
        check_name(name)
        async with self._fleet.verb(vm_id) as machine:
            spec = _spec(machine.folder, "take a snapshot of")
            points = Points(machine.folder.snapshots)
            try:
                part = VmFolder(await asyncio.to_thread(points.begin))
                if machine.folder.running() is None:
                    await asyncio.to_thread(_copy_point, machine.folder, part)
                else:
                    await self._take_running(machine, part)
                part.write_spec(spec)
                await asyncio.to_thread(points.commit, name)
            except OSError as error:
                raise _as_error(error, machine.folder) from error
            finally:
                points.drop()

    async def restore(self, vm_id: str, name: str) -> None:
        """Go back to a point; see `Snapshots.restore`."""
        check_name(name)
        async with self._fleet.verb(vm_id) as machine:
            folder = machine.folder
            point = Points(folder.snapshots).find(name)
            if point is None:
                raise NoSuchSnapshot(vm_id, name)
            if folder.running() is not None:
                raise InvalidVmState(vm_id, "restore a snapshot of", (await machine.info()).state)
            spec = _spec(folder, "restore a snapshot of")
            try:
                await asyncio.to_thread(_bring_back, VmFolder(point), folder, spec)
            except OSError as error:
                raise _as_error(error, folder) from error
            folder.pidfile.unlink(missing_ok=True)
            folder.write_record(phase=STOPPED, pid=0, started_at="", note="")
        self._fleet.changed(vm_id)

    async def delete(self, vm_id: str, name: str) -> None:
        """Forget a point; see `Snapshots.delete`."""
        check_name(name)
        async with self._fleet.verb(vm_id) as machine:
            await asyncio.to_thread(Points(machine.folder.snapshots).remove, name)

    async def names(self, vm_id: str) -> tuple[str, ...]:
        """The points, oldest first; see `Snapshots.names`."""
        return Points(self._fleet.known(vm_id).folder.snapshots).names()

    async def _take_running(self, machine: Machine, part: VmFolder) -> None:
        monitor = await self._fleet.monitor_for(machine, "take a snapshot of")
        machine.verb = SAVING
        try:
            await self._hold_and_copy(machine, monitor, part)
        finally:
            machine.verb = ""
            self._fleet.changed(machine.vm_id)

    async def _hold_and_copy(self, machine: Machine, monitor: Monitor, part: VmFolder) -> None:
        folder = machine.folder
        qemu = await self._fleet.find()
        # Of a save that a killed client began nothing is of use any more: the guest will have executed.
        folder.forget_saved_state()
        folder.write_record(phase=SAVING)
        runs = False
        try:
            runs = await saved.hold(monitor)
            await saved.write_state(monitor, part, folder.record().accelerator, qemu)
            await asyncio.to_thread(_copy_disk, folder, part)
        except (MonitorGone, MonitorRefused) as error:
            raise SaveFailed(machine.vm_id, error.said) from error
        finally:
            await self._let_go(machine, runs=runs)

    async def _let_go(self, machine: Machine, *, runs: bool) -> None:
        machine.folder.write_record(phase=RUNNING)

        async def go_on(monitor: Monitor) -> None:
            await monitor.execute("migrate_cancel")
            if runs:
                await monitor.execute("cont")

        await machine.attempt(go_on)


def _spec(folder: VmFolder, verb: str) -> VmSpec:
    spec = folder.spec()
    if spec is None:
        raise InvalidVmState(folder.vm_id, verb, VmState.FAILED)
    return spec


def _copy_point(folder: VmFolder, part: VmFolder) -> None:
    _copy_disk(folder, part)
    if folder.has_saved_state():
        copy_file(folder.saved_state, part.saved_state)
        copy_file(folder.saved_facts, part.saved_facts)


def _copy_disk(folder: VmFolder, part: VmFolder) -> None:
    if folder.scratch.exists():
        copy_file(folder.scratch, part.scratch)


def _bring_back(point: VmFolder, folder: VmFolder, spec: VmSpec) -> None:
    """Copy everything first, so that a full disk changes nothing; then put it into place.

    A kill in between leaves the disk without memory: either the old one or that of the point.
    """
    then = point.spec()
    # The memory of another machine is of no use to this one.
    has_memory = point.has_saved_state() and then is not None and without_targets(then) == without_targets(spec)
    pairs = [(point.scratch, folder.scratch)] if point.scratch.exists() else []
    if has_memory:
        pairs += [(point.saved_state, folder.saved_state), (point.saved_facts, folder.saved_facts)]
    parts = [(_part_of(there), there) for _, there in pairs]
    try:
        for (source, _), (part, _) in zip(pairs, parts, strict=True):
            copy_file(source, part)
        for file in (folder.saved_facts, folder.saved_state):
            file.unlink(missing_ok=True)
        for part, there in parts:
            part.replace(there)
    finally:
        for part, _ in parts:
            part.unlink(missing_ok=True)


def _part_of(path: Path) -> Path:
    return path.with_name(f".restoring-{path.name}")


def _as_error(error: OSError, folder: VmFolder) -> Exception:
    known = disk_full_or(error, folder.path)
    return known if isinstance(known, DiskFull) else SaveFailed(folder.vm_id, str(error))
