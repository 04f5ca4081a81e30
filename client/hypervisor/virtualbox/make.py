"""Making, remaking and unmaking a VM: the folder and VirtualBox's books are brought to say the same.

At every moment in which the client may be killed, the folder says what VirtualBox may have of the VM: its UUID is in
the driver's list before VirtualBox hears it, and leaves the list after VirtualBox has forgotten it.
"""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from client import log
from client.errors import ClientError, DiskFull
from client.hypervisor.driver import MediumRole, VmSpec
from client.hypervisor.errors import HypervisorError, KeptDiskBroken, VmFolderUnreadable
from client.hypervisor.files import disk_full_or, free_bytes
from client.hypervisor.spec_file import without_targets
from client.hypervisor.virtualbox import link, shape
from client.hypervisor.virtualbox.books import Books
from client.hypervisor.virtualbox.folder import Ledger, used_media
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.machine import Machine
from client.hypervisor.virtualbox.media import (
    BASE_SUFFIX,
    DESCRIPTION_SUFFIX,
    boots_from_disk,
    forget_bases,
    inboxes,
    kept_bases,
    prepare_media,
    restore_bases,
)
from client.hypervisor.virtualbox.problems import (
    ObjectExists,
    ObjectNotFound,
    SessionLocked,
    VirtualBoxDiskFull,
    WrongState,
)
from client.snapshot import VmState

_log = log.logger("hypervisor")
_UNCLEAR: Final = "what was written down of it is damaged"


class Maker:
    """Makes VMs in one folder.

    Args:
        bases: of the base disks that VMs share.
        ledger: vm_id -> UUID of all machines that VirtualBox may have of this driver.
    """

    def __init__(self, installation: Installation, bases: Path, ledger: Ledger) -> None:
        self._abilities = installation.abilities
        self._books = Books(installation.manage)
        self._bases = bases
        self._ledger = ledger

    async def make(self, machine: Machine, before: VmSpec | None, spec: VmSpec) -> None:
        """Make a VM, or change one that does not run; nothing half-made stays of a new one.

        Raises:
            DiskFull, HypervisorError: it could not be made.
            KeptDiskBroken: its disks matter, and would have to be made anew.
        """
        folder = machine.folder
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            async with self._ledger.lock:
                await self._bring_about(machine, before, spec)
            folder.write_spec(spec)
        except VirtualBoxDiskFull as error:
            raise DiskFull(str(folder.path), 0, free_bytes(folder.path)) from error
        except OSError as error:
            raise disk_full_or(error, folder.path) from error
        finally:
            if folder.spec() is None and not (spec.keeps_disk and folder.holds_work()):
                await self._undo(machine)

    async def unmake(self, machine: Machine) -> None:
        """Have VirtualBox forget a VM that does not run, and remove its folder."""
        async with self._ledger.lock:
            await self._unmake(machine)

    async def forget_bases(self) -> None:
        """Remove base disks that no VM has a layer over; one that cannot be removed now goes the next time."""
        async with self._ledger.lock:
            for path in await asyncio.to_thread(forget_bases, self._bases, used_media(self._bases.parent)):
                if await self._books.close_medium(path):
                    try:
                        path.unlink(missing_ok=True)
                    except OSError as error:
                        # Windows keeps what another program has open.
                        _log.warning("%s stays for now: %s", path, error)

    async def _bring_about(self, machine: Machine, before: VmSpec | None, spec: VmSpec) -> None:
        folder = machine.folder
        had = folder.record().media
        keeps = spec.keeps_disk or (before is not None and before.keeps_disk)
        if before is not None:
            # A base disk that is gone comes back as it was, if its template is still there.
            await asyncio.to_thread(restore_bases, self._bases, before, had)
            if not had and keeps:
                had = _media_now(machine)
            elif not had:
                # The record was damaged; the same media lead to the same files.
                with contextlib.suppress(FileNotFoundError):
                    had = await asyncio.to_thread(prepare_media, folder.path, self._bases, before)
        if before is not None and not is_whole(machine):
            await self._hold_still(machine)
            folder.take_former_settings(disks=_count_disks(had))
            # Only when it lists its machines does VirtualBox look again at one whose settings it could not read.
            await self._books.has(machine.uuid)
        is_broken_off = folder.record().changing
        is_unsure = before is not None and bool(before.media) and not had
        is_broken = before is None or is_unsure or not is_whole(machine)
        # A disk that goes in takes several calls; how far they came nobody knows.
        if before is None or is_broken or (is_broken_off and not _has_disks_of(machine, had)):
            if keeps and folder.holds_work():
                raise KeptDiskBroken(machine.vm_id, str(folder.path), what_is_gone(machine) or _UNCLEAR)
            await self._make_anew(machine, spec)
            return
        if is_broken_off:
            # It never came to the disks, so what they hold stays: all the rest is set once more.
            had = _media_now(machine)
        if is_broken_off or without_targets(before) != without_targets(spec):
            kept = kept_bases(folder.path, before, spec, had) if keeps else {}
            await self._change(machine, spec, had, kept)

    async def _hold_still(self, machine: Machine) -> None:
        """Power off whatever VirtualBox runs under the VM's name: its settings may have gone from under it."""
        for known in self._known(machine):
            with contextlib.suppress(HypervisorError):
                await machine.change("controlvm", known, "poweroff")
        await machine.ended()

    def _known(self, machine: Machine) -> tuple[str, ...]:
        listed = self._ledger.all().get(machine.vm_id, "")
        return tuple(dict.fromkeys(one for one in (machine.uuid, listed) if one))

    async def _unmake(self, machine: Machine) -> None:
        folder = machine.folder
        is_plain = _is_plain(machine)
        for known in self._known(machine):
            await self._unregister(machine, known)
        media = _cds(folder.record().media)
        if is_plain:
            # Its disks went with it; the CDs are known, so the lists of all media, each a call, need not be read.
            await self._books.close_cds(media - self._used_by_others(machine))
        else:
            await self._books.close_media(folder.path, shared=media)
        if folder.record().link:
            link.forget(folder.path, folder.record().link)
        await asyncio.to_thread(folder.remove)
        self._ledger.put(folder.vm_id, None)

    async def _undo(self, machine: Machine) -> None:
        try:
            await self.unmake(machine)
        except ClientError as error:
            # What made it fail keeps it from being undone, too; the folder still says what there is to undo.
            _log.warning("%s stays half-made: %s", machine.vm_id, error)

    async def _make_anew(self, machine: Machine, spec: VmSpec) -> None:
        known = self._known(machine)
        if known or machine.folder.spec() is not None:
            if known:
                await self._hold_still(machine)
            # With it goes the spec: from now on the folder is half-made.
            await self._unmake(machine)
            machine.folder.path.mkdir(parents=True)
        record = machine.folder.christen()
        self._ledger.put(machine.vm_id, record.uuid)
        naming, media = await self._prepare(machine, spec)
        machine.folder.write_record(media=media)
        drives = shape.plan_drives(media, boots_from_disk(spec))
        for words in (
            shape.build_create(naming),
            shape.build_mark(naming),
            shape.build_modify(spec, naming, self._abilities),
            *shape.build_controllers(naming, drives, self._abilities),
        ):
            await machine.change(*words)
        for drive in drives:
            await self._attach(machine, naming, drive)
        machine.assume(VmState.DEFINED)

    async def _change(self, machine: Machine, spec: VmSpec, had: dict[str, str], kept: dict[str, str]) -> None:
        folder = machine.folder
        old = _drives(had)
        if await machine.state() is VmState.SAVED:
            # A saved state of another machine is of no use.
            await machine.change("discardstate", machine.uuid)
        naming, media = await self._prepare(machine, spec, kept)
        drives = shape.plan_drives(media, boots_from_disk(spec))
        folder.write_record(changing=True)
        await machine.change(*shape.build_modify(spec, naming, self._abilities))
        folder.write_record(network=None, pending={})
        with_controller = {drive.controller for drive in old}
        new = tuple(drive for drive in drives if drive.controller not in with_controller)
        for words in shape.build_controllers(naming, new, self._abilities):
            with contextlib.suppress(ObjectExists):
                await machine.change(*words)
        for drive in shape.changed_drives(old, drives):
            await self._attach(machine, naming, drive)
        folder.write_record(media=media, changing=False)
        # From here on the two agree, should this client be killed now.
        folder.write_spec(spec)
        await self._books.close_media(folder.path, unused_only=True)
        machine.assume(VmState.DEFINED)

    async def _prepare(
        self, machine: Machine, spec: VmSpec, kept: dict[str, str] | None = None
    ) -> tuple[shape.Naming, dict[str, str]]:
        folder = machine.folder
        media = await asyncio.to_thread(prepare_media, folder.path, self._bases, spec, kept)
        record = folder.record()
        address = link.link_address(folder.path, record.uuid)
        folder.write_record(link=address)
        return shape.Naming(record.uuid, record.name, str(folder.path), str(folder.console), address), media

    async def _attach(self, machine: Machine, naming: shape.Naming, drive: shape.Drive) -> None:
        """Put a medium into its drive.

        VirtualBox decides on the use of a disk only once a machine has it in its own list: a new one goes in and out,
        and then in as it is meant. One that nobody has stands in VirtualBox's general list, and is forgotten before.
        """
        bare = replace(drive, use="")
        first = (bare, replace(bare, medium=shape.NOTHING), drive)
        is_new = drive.use == shape.LAYERED and drive.medium not in self._used_by_others(machine)
        try:
            for trial in first if is_new else (drive,):
                await machine.change(*shape.build_attach(naming, trial))
        except WrongState:
            if not drive.use:
                raise
            await self._books.close_medium(Path(drive.medium))
            for trial in first:
                await machine.change(*shape.build_attach(naming, trial))

    def _used_by_others(self, machine: Machine) -> set[str]:
        return used_media(self._bases.parent, but=machine.vm_id)

    async def _unregister(self, machine: Machine, uuid: str) -> None:
        try:
            try:
                await machine.change("unregistervm", uuid)
            except (WrongState, SessionLocked):
                # It runs, unknown to the folder, whose record was lost.
                await machine.change("controlvm", uuid, "poweroff")
                await machine.change("unregistervm", uuid)
        except ObjectNotFound:
            return


def _count_disks(media: dict[str, str]) -> int:
    return sum(drive.kind == "hdd" for drive in _drives(media))


def _drives(media: dict[str, str]) -> tuple[shape.Drive, ...]:
    """The drives of a VM that was made of these files."""
    return shape.plan_drives(media, media.get(MediumRole.SYSTEM, "").endswith(BASE_SUFFIX))


def _media_now(machine: Machine) -> dict[str, str]:
    """What is in a VM's drives by its settings."""
    settings = machine.folder.settings()
    return shape.media_in(settings.drives) if settings else {}


def _has_disks_of(machine: Machine, media: dict[str, str]) -> bool:
    """Whether the disks in a VM's drives are those that it was made with, each in its place."""
    now, made = ({drive for drive in _drives(one) if drive.kind == "hdd"} for one in (_media_now(machine), media))
    return now == made


def _is_plain(machine: Machine) -> bool:
    """Whether VirtualBox has of a VM just what its spec and its record say: it is whole, and nothing came to it."""
    spec, settings = machine.folder.spec(), machine.folder.settings()
    has_more = spec is None or settings is None or settings.snapshots
    shown = Path(machine.folder.record().media.get(shape.INBOX, ""))
    return not has_more and is_whole(machine) and set(inboxes(machine.folder.path)) <= {shown}


def _cds(media: dict[str, str]) -> set[str]:
    """The files in a VM's CD drives."""
    disks = (BASE_SUFFIX, DESCRIPTION_SUFFIX)
    return {file for file in media.values() if file != shape.EMPTY and not file.endswith(disks)}


def is_whole(machine: Machine) -> bool:
    """Whether VirtualBox's part of a VM is there: its settings, and its disks down to the bases.

    Raises:
        VmFolderUnreadable: that cannot be seen now.
    """
    return not what_is_gone(machine)


def what_is_gone(machine: Machine) -> str:
    """Which part of VirtualBox's a VM lacks, as a sentence without its end; empty: none.

    Raises:
        VmFolderUnreadable: that cannot be seen now.
    """
    settings = machine.folder.settings()
    if settings is None or settings.uuid != machine.uuid:
        return f"its settings file {machine.folder.settings_file} is gone or damaged"
    folder = machine.folder.machine_folder
    try:
        gone = next((folder / disk for disk in settings.disks if not (folder / disk).exists()), None)
        return f"its disk {gone} is gone" if gone else ""
    except OSError as error:
        raise VmFolderUnreadable(machine.vm_id, str(folder), error.strerror or str(error)) from error
