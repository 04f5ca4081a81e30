"""What can be changed while a VM runs. VirtualBox keeps it for the next starts, the VM's record the cable for sure."""

from client import log
from client.errors import BadInput
from client.hypervisor.errors import HypervisorError, NotSupportedByDriver
from client.hypervisor.virtualbox.machine import ONLINE, Machine, Verb
from client.snapshot import VmState

_log = log.logger("hypervisor")


class VirtualBoxLive:
    """See `client.hypervisor.driver.LiveControl`.

    Args:
        verb: locks a VM by its id.
    """

    def __init__(self, verb: Verb) -> None:
        self._verb = verb

    async def set_network(self, vm_id: str, connected: bool) -> None:
        """Plug the cable in or out; see `LiveControl.set_network`."""
        async with self._verb(vm_id) as machine:
            # First written down: should this client be killed now, the next start sees to it.
            machine.folder.write_record(network=connected)
            if await machine.state() in ONLINE:
                await machine.insist("controlvm", machine.uuid, "setlinkstate1", _on(connected))
            else:
                await before_start(machine)

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        """Limit each of its processors; see `LiveControl.set_cpu_cap`."""
        if not 1 <= percent <= 100:
            raise BadInput("cpu cap", f"{percent} is no share of a processor", "give 1 to 100 percent")
        async with self._verb(vm_id) as machine:
            await _change(machine, "cpuexecutioncap", percent)

    async def set_disk_rate(self, vm_id: str, bytes_s: int) -> None:
        """VirtualBox limits only what goes past the host's cache, and no disk here does: see `shape`."""
        async with self._verb(vm_id):
            raise NotSupportedByDriver("VirtualBox", "limit the disks of")

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        """Ask the guest for memory; see `LiveControl.set_memory`. It helps if it has VirtualBox's additions."""
        async with self._verb(vm_id) as machine:
            spec = machine.folder.spec()
            most = spec.memory_mib if spec else memory_mib
            if not 1 <= memory_mib <= most:
                raise BadInput("memory", f"{memory_mib} MiB is not part of its {most}", f"give 1 to {most} MiB")
            await _change(machine, "guestmemoryballoon", most - memory_mib)


async def before_start(machine: Machine) -> None:
    """Have the cable as it was last asked for before the guest executes; its process may have been killed since."""
    connected = machine.folder.record().network
    if connected is not None:
        await machine.insist("modifyvm", machine.uuid, "--cableconnected1", _on(connected))


async def after_start(machine: Machine) -> None:
    """Give a VM that runs what VirtualBox does not change in a saved one."""
    for word, value in machine.folder.record().pending.items():
        try:
            await machine.insist("controlvm", machine.uuid, word, value)
        except HypervisorError as error:
            # It has ended already, or VirtualBox does not do it now: the VM runs, and the next start is as good.
            _log.warning("%s of %s is not as it was asked for: %s", word, machine.vm_id, error)
            return
    machine.folder.write_record(pending={})


async def _change(machine: Machine, word: str, value: int) -> None:
    pending = {name: one for name, one in machine.folder.record().pending.items() if name != word}
    state = await machine.state()
    if state in ONLINE:
        await machine.insist("controlvm", machine.uuid, word, str(value))
    elif state is VmState.SAVED:
        pending[word] = str(value)
    else:
        await machine.insist("modifyvm", machine.uuid, f"--{word}", str(value))
    machine.folder.write_record(pending=pending)


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"
