"""The way for large files: a CD put into the guest's drive, and a raw disk read out."""

import contextlib
from pathlib import Path
from typing import Final

from client.errors import BadInput
from client.hypervisor.driver import INBOX_BLOCK_BYTES
from client.hypervisor.errors import HypervisorError, InvalidVmState, MediumMissing
from client.hypervisor.virtualbox import media, shape
from client.hypervisor.virtualbox.books import Books
from client.hypervisor.virtualbox.machine import ONLINE, Machine, Verb
from client.hypervisor.virtualbox.parse import parse_info

_MIB: Final = 1 << 20


class VirtualBoxExchange:
    """See `client.hypervisor.driver.Exchange`.

    Args:
        verb: locks a VM by its id.
    """

    def __init__(self, verb: Verb) -> None:
        self._verb = verb
        self._count = 0

    async def insert(self, vm_id: str, path: Path | None) -> None:
        """Put a file into the inbox; see `Exchange.insert`."""
        async with self._verb(vm_id) as machine:
            exchange_mib = _size(machine, "insert")
            state = await machine.state()
            if state not in ONLINE:
                raise InvalidVmState(vm_id, "insert", state)
            shown = shape.EMPTY
            if path is not None:
                _check(vm_id, path, exchange_mib)
                shown = str(self._show(machine, path))
            await _put(machine, shown)
            await _forget_others(machine, shown)
            record = machine.folder.record()
            machine.folder.write_record(media={**record.media, shape.INBOX: shown})

    async def outbox(self, vm_id: str) -> Path:
        """The raw file behind the outbox; see `Exchange.outbox`."""
        async with self._verb(vm_id) as machine:
            return media.outbox_file(machine.folder.path, _size(machine, "outbox"))

    def _show(self, machine: Machine, path: Path) -> Path:
        # Each under a name of its own: of one that VirtualBox knows it would remember the former size.
        folder = media.inbox_folder(machine.folder.path)
        folder.mkdir(exist_ok=True)
        self._count += 1
        stamp = path.stat().st_mtime_ns
        return media.cd_file(path, folder / f"{stamp}-{self._count}", always_renamed=True)


async def _put(machine: Machine, shown: str) -> None:
    """Have a medium in the drive, or none. What a busy computer does not do in time is looked at, and done again."""

    async def is_done() -> bool:
        try:
            said = await machine.manage.read("showvminfo", machine.uuid, "--machinereadable")
        except HypervisorError:
            return False
        return parse_info(said).get(shape.INBOX_KEY) == shown

    naming = shape.Naming(machine.uuid, "", "", "", "")
    await machine.insist(*shape.build_insert(naming, shown), is_done=is_done)


async def _forget_others(machine: Machine, shown: str) -> None:
    """What VirtualBox does not let go of now, as what a saved state had in its drive, stays till the next time."""
    others = [one for one in media.inboxes(machine.folder.path) if str(one) != shown]
    if not others:
        return
    kept = await Books(machine.manage).close_media(media.inbox_folder(machine.folder.path), unused_only=True)
    for one in others:
        if str(one) not in kept:
            # Windows does not remove what is still open.
            with contextlib.suppress(OSError):
                one.unlink()


def _size(machine: Machine, verb: str) -> int:
    spec = machine.folder.spec()
    if spec is None or not spec.exchange_mib:
        raise InvalidVmState(machine.vm_id, verb, "without an exchange")
    return spec.exchange_mib


def _check(vm_id: str, path: Path, exchange_mib: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise MediumMissing(vm_id, str(path)) from error
    if size > exchange_mib * _MIB:
        raise BadInput(str(path), f"it is longer than the {exchange_mib} MiB of the inbox", "send it in parts")
    if size % INBOX_BLOCK_BYTES:
        raise BadInput(str(path), f"its size is no multiple of {INBOX_BLOCK_BYTES} bytes", "fill it up with zeros")
