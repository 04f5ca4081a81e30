"""Writing a VM's state to disk: it is either saved, or as it was before."""

import asyncio
from typing import Final

from client.errors import ClientError, DiskFull
from client.hypervisor.errors import HypervisorError, SaveFailed
from client.hypervisor.files import free_bytes
from client.hypervisor.virtualbox import quick
from client.hypervisor.virtualbox.machine import ONLINE, Machine
from client.hypervisor.virtualbox.problems import StateNotSaved, VirtualBoxDiskFull, VirtualBoxFailed
from client.hypervisor.virtualbox.session import SessionHelper
from client.snapshot import VmState

SAVE_LIMIT_S: Final = 300.0
_FULL: Final = "VERR_DISK_FULL"
_LOG_LINES: Final = 60
_LOOK_PAUSE_S: Final = 0.5
_LOOKS: Final = 40


async def save(machine: Machine, helper: SessionHelper) -> None:
    """Save a VM that runs or is held; the caller holds its lock.

    Args:
        helper: which tells how far it is, where it serves.

    Raises:
        DiskFull, SaveFailed: it goes on as before.
    """
    before = await machine.state()
    try:
        if not await quick.save(helper, machine):
            await machine.change("controlvm", machine.uuid, "savestate", timeout_s=SAVE_LIMIT_S)
    except HypervisorError as error:
        machine.verb = None
        after = await settled(machine)
        if after is not VmState.SAVED:
            await _go_on(machine, before, after)
            raise named_save_error(machine, error) from error
    await machine.ended()
    machine.assume(VmState.SAVED)


def named_save_error(machine: Machine, error: HypervisorError) -> ClientError:
    """What to say of a state, or a snapshot with memory, that could not be written: VirtualBox does not tell why.

    It removes the part that it has written, so there may be space again; but never as much as the memory needs.
    """
    is_full = _FULL in machine.log.tail(_LOG_LINES) or free_bytes(machine.folder.path) < _needed_bytes(machine)
    if isinstance(error, VirtualBoxDiskFull) or (isinstance(error, StateNotSaved | VirtualBoxFailed) and is_full):
        return disk_full(machine)
    return SaveFailed(machine.vm_id, str(error.details().get("said", error)))


def disk_full(machine: Machine) -> DiskFull:
    """There is no space where the VM lies."""
    return DiskFull(str(machine.folder.path), _needed_bytes(machine), free_bytes(machine.folder.path))


def _needed_bytes(machine: Machine) -> int:
    spec = machine.folder.spec()
    return spec.memory_mib << 20 if spec else 0


async def settled(machine: Machine) -> VmState:
    """Its state, once VirtualBox no longer says that it is being saved: the word may come before the deed is done.

    SAVING only if the save stands still.
    """
    looks, most = 0, -1
    while (state := (await machine.ask()).state) is VmState.SAVING and looks < _LOOKS:
        written = machine.folder.state_bytes()
        looks = 0 if written > most else looks + 1
        most = max(most, written)
        await asyncio.sleep(_LOOK_PAUSE_S)
    return state


async def _go_on(machine: Machine, before: VmState, after: VmState) -> None:
    """VirtualBox holds a VM before it saves it: have it go on if it did."""
    if after is VmState.PAUSED and before in ONLINE and before is not VmState.PAUSED:
        await machine.change("controlvm", machine.uuid, "resume")
        machine.assume(VmState.RUNNING)
