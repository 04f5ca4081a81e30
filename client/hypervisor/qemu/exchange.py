"""The way for large files under QEMU: two raw files that the guest has as disks `inbox` and `outbox`."""

import asyncio
from pathlib import Path

from client.hypervisor import exchange_file
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import InvalidVmState
from client.hypervisor.files import disk_full_or
from client.hypervisor.qemu.fleet import Fleet
from client.hypervisor.qemu.folder import VmFolder


class QemuExchange:
    """See `Exchange`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def insert(self, vm_id: str, path: Path | None) -> None:
        """Copy a file into the inbox or empty it; see `Exchange.insert`."""
        async with self._fleet.verb(vm_id) as machine:
            spec = _spec(machine.folder, "put a file into")
            await self._fleet.monitor_for(machine, "put a file into")
            inbox = machine.folder.inbox
            try:
                if path is None:
                    await asyncio.to_thread(exchange_file.clear, inbox)
                    return
                exchange_file.check_file(vm_id, path, spec.exchange_mib)
                await asyncio.to_thread(exchange_file.fill, inbox, path)
            except OSError as error:
                raise disk_full_or(error, machine.folder.path) from error

    async def outbox(self, vm_id: str) -> Path:
        """The outbox's file; see `Exchange.outbox`."""
        folder = self._fleet.known(vm_id).folder
        _spec(folder, "take a file out of")
        return folder.outbox


def is_made(folder: VmFolder, spec: VmSpec) -> bool:
    """Whether the files that the spec asks for are there."""
    return not spec.exchange_mib or (folder.inbox.exists() and folder.outbox.exists())


def make(folder: VmFolder, spec: VmSpec) -> None:
    """Make the files anew, or remove them if the spec has no exchange.

    Raises:
        OSError: they cannot be made.
    """
    if not spec.exchange_mib:
        folder.inbox.unlink(missing_ok=True)
        folder.outbox.unlink(missing_ok=True)
        return
    exchange_file.make_inbox(folder.inbox, spec.exchange_mib)
    exchange_file.make_outbox(folder.outbox, spec.exchange_mib)


def _spec(folder: VmFolder, verb: str) -> VmSpec:
    spec = folder.spec()
    if spec is None or not spec.exchange_mib:
        raise InvalidVmState(folder.vm_id, verb, "without an exchange")
    return spec
