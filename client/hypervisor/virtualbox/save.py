"""Writing a VM's state to disk: it is either saved, or as it was before."""

from typing import Final

from client.errors import DiskFull
from client.hypervisor.errors import HypervisorError, SaveFailed
from client.hypervisor.files import free_bytes
from client.hypervisor.virtualbox.machine import ONLINE, Machine
from client.hypervisor.virtualbox.problems import VirtualBoxDiskFull
from client.snapshot import VmState

SAVE_LIMIT_S: Final = 300.0


async def save(machine: Machine) -> None:
    """Save a VM that runs or is held; the caller holds its lock.

    Raises:
        DiskFull, SaveFailed: it goes on as before.
    """
    before = await machine.state()
    try:
        await machine.change("controlvm", machine.uuid, "savestate", timeout_s=SAVE_LIMIT_S)
    except HypervisorError as error:
        machine.verb = None
        after = (await machine.ask()).state
        if after is not VmState.SAVED:
            await _go_on(machine, before, after)
            if isinstance(error, VirtualBoxDiskFull):
                raise disk_full(machine) from error
            raise SaveFailed(machine.vm_id, str(error.details().get("said", error))) from error
    await machine.ended()
    machine.assume(VmState.SAVED)


def disk_full(machine: Machine) -> DiskFull:
    """There is no space where the VM lies."""
    return DiskFull(str(machine.folder.path), 0, free_bytes(machine.folder.path))


async def _go_on(machine: Machine, before: VmState, after: VmState) -> None:
    """VirtualBox holds a VM before it saves it: have it go on if it did."""
    if after is VmState.PAUSED and before in ONLINE and before is not VmState.PAUSED:
        await machine.change("controlvm", machine.uuid, "resume")
        machine.assume(VmState.RUNNING)
