"""Orphans: machines and media of ours that VirtualBox still has although their folder, or a file in it, is gone."""

import asyncio
import shutil
from pathlib import Path

from client import filenames, log
from client.errors import ClientError
from client.hypervisor.virtualbox.books import Books
from client.hypervisor.virtualbox.folder import BASES, Ledger, VmFolder, vm_names
from client.hypervisor.virtualbox.installation import Manage
from client.hypervisor.virtualbox.machine import end_process

_log = log.logger("hypervisor")


async def sweep(manage: Manage, folder: Path, ledger: Ledger) -> None:
    """Have VirtualBox forget what belongs to no VM of the folder any more.

    What is ours is known by the list of machines and by each VM's own record: one of them may be unreadable.

    Raises:
        ClientError: VirtualBox does not answer, or what is known cannot be read; the rest is done the next time.
    """
    books = Books(manage)
    async with ledger.lock:
        # The list first: a machine made after it is not in it, one made before is known by now.
        found = await books.named_like_ours()
        listed: dict[str, str] = ledger.all()
        records = {vm_id: VmFolder(folder / vm_id).record().uuid for vm_id in vm_names(folder)}
        gone = [vm_id for vm_id, uuid in listed.items() if _is_gone(folder, vm_id, uuid, records.get(vm_id, ""))]
        for vm_id in gone:
            if await _forget(books, listed[vm_id]):
                ledger.put(vm_id, None)
        known = {*listed.values(), *records.values()}
        doubtful = [vm_id for vm_id in records if _is_unreadable(folder, vm_id) and vm_id not in listed]
        strangers = [uuid for uuid in found if uuid not in known and await books.lies_below(uuid, folder)]
        for uuid in strangers:
            if doubtful:
                _log.warning("A machine %s may be that of %s; it stays", uuid, ", ".join(doubtful))
            else:
                await _forget(books, uuid)
        await books.close_lost_media(folder)


async def leave_to_sweep(folder: Path, vm_id: str, ledger: Ledger) -> None:
    """Remove a VM without VirtualBox, which cannot be used; the sweep has it forgotten, should it ever be back.

    Until then its UUID waits in the list of machines: VirtualBox may be gone for a moment only, while it is renewed.

    Raises:
        VmFolderUnreadable: its UUID cannot be read now; it stays.
    """
    vm = VmFolder(folder / vm_id)
    uuid = vm.record().uuid
    if uuid:
        ledger.put(vm_id, uuid)
    await end_process(vm)
    await asyncio.to_thread(vm.remove)
    if not vm_names(folder):
        await asyncio.to_thread(shutil.rmtree, folder / BASES, ignore_errors=True)


def _is_gone(folder: Path, vm_id: str, listed: str, recorded: str) -> bool:
    """Whether a VM has another machine now, or none; a record that cannot be read says neither."""
    return recorded != listed and (bool(recorded) or not _is_unreadable(folder, vm_id))


def _is_unreadable(folder: Path, vm_id: str) -> bool:
    path = folder / vm_id / filenames.VM_RECORD
    return path.exists() and not VmFolder(path.parent).record().uuid


async def _forget(books: Books, uuid: str) -> bool:
    _log.info("VirtualBox has a machine %s of ours that is no more; having it forgotten", uuid)
    try:
        await books.forget(uuid)
    except ClientError as error:
        _log.warning("It cannot be forgotten now: %s", error)
        return False
    return True
