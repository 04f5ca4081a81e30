"""Orphans: machines and media of ours that VirtualBox still has although their folder, or a file in it, is gone."""

from pathlib import Path

from client import log
from client.errors import ClientError
from client.hypervisor.virtualbox.books import Books
from client.hypervisor.virtualbox.folder import Ledger, VmFolder
from client.hypervisor.virtualbox.installation import Manage

_log = log.logger("hypervisor")


async def sweep(manage: Manage, folder: Path, ledger: Ledger) -> None:
    """Have VirtualBox forget what belongs to no VM of the folder any more.

    Raises:
        ClientError: VirtualBox does not answer; the rest is done the next time.
    """
    books = Books(manage)
    listed: dict[str, str] = ledger.all()
    kept = {vm_id for vm_id, uuid in listed.items() if VmFolder(folder / vm_id).record().uuid == uuid}
    known = {listed[vm_id] for vm_id in kept}
    for vm_id in listed.keys() - kept:
        await _forget(books, listed[vm_id])
        ledger.put(vm_id, None)
    for uuid in await books.strangers(folder, known):
        await _forget(books, uuid)
    await books.close_lost_media(folder)


async def _forget(books: Books, uuid: str) -> None:
    _log.info("VirtualBox has a machine %s of ours that is no more; having it forgotten", uuid)
    try:
        await books.forget(uuid)
    except ClientError as error:
        _log.warning("It cannot be forgotten now: %s", error)
