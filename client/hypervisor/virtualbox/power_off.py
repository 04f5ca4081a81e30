"""Ending a VM at once: by VirtualBox, and by its process where VirtualBox does not do it in time."""

from typing import Final

from client import log
from client.errors import ClientError
from client.hypervisor.virtualbox.folder import RUNNING
from client.hypervisor.virtualbox.machine import Machine, end_process
from client.hypervisor.virtualbox.problems import VirtualBoxSilent
from client.hypervisor.virtualbox.save import settled
from client.snapshot import VmState

#: For the verb as a whole, whoever else has the VM or stands in VirtualBox's queue; then its process is ended. It
#: begins anew while a state is being written.
POWER_OFF_LIMIT_S: Final = 40.0
#: For VirtualBox's part of it.
_CALL_LIMIT_S: Final = 20.0

_log = log.logger("hypervisor")


async def power_off(machine: Machine) -> None:
    """Power off a VM, whatever it does; the caller holds its lock. A save that makes progress is waited for."""
    state = await machine.state()
    if state is VmState.SAVING:
        # VirtualBox refuses to power it off now, and ending its process would lose its memory.
        state = await settled(machine)
    if state in (VmState.DEFINED, VmState.SAVED):
        if machine.folder.record().phase == RUNNING:
            await machine.ended()
        return
    if not machine.folder.settings_file.exists() and machine.running() is None:
        await machine.ended()
        return
    try:
        await machine.change("controlvm", machine.uuid, "poweroff", timeout_s=_CALL_LIMIT_S)
    except ClientError as error:
        # Not running, or VirtualBox cannot, or is gone: its process is ended below.
        _log.info("%s: %s", machine.vm_id, error)
        if isinstance(error, VirtualBoxSilent):
            await end_process(machine.folder)
        await machine.ended()
        await machine.ask()
        return
    await machine.ended()
    machine.assume(VmState.DEFINED)
