"""What can be changed while a VM runs. It is written down, too, and given to the VM again at its next starts."""

from client.errors import BadInput
from client.hypervisor.virtualbox.machine import ONLINE, Machine, Verb
from client.hypervisor.virtualbox.problems import WrongState
from client.hypervisor.virtualbox.shape import Words
from client.snapshot import VmState


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
            word = _on(connected)
            await _change(machine, ("setlinkstate1", word), ("--cableconnected1", word))
            machine.folder.write_record(network=connected)

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        """Limit each of its processors; see `LiveControl.set_cpu_cap`."""
        if not 1 <= percent <= 100:
            raise BadInput("cpu cap", f"{percent} is no share of a processor", "give 1 to 100 percent")
        async with self._verb(vm_id) as machine:
            await _change(machine, ("cpuexecutioncap", str(percent)), ("--cpuexecutioncap", str(percent)))
            machine.folder.write_record(cpu_cap=percent)

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        """Ask the guest for memory; see `LiveControl.set_memory`. It helps if it has VirtualBox's additions."""
        async with self._verb(vm_id) as machine:
            spec = machine.folder.spec()
            most = spec.memory_mib if spec else memory_mib
            if not 1 <= memory_mib <= most:
                raise BadInput("memory", f"{memory_mib} MiB is not part of its {most}", f"give 1 to {most} MiB")
            await _change(machine, ("guestmemoryballoon", str(most - memory_mib)), ())
            machine.folder.write_record(memory_mib=memory_mib)


async def before_start(machine: Machine) -> None:
    """Give a VM that does not run what was changed while it ran."""
    record = machine.folder.record()
    words: Words = ()
    if record.network is not None:
        words += ("--cableconnected1", _on(record.network))
    if record.cpu_cap:
        words += ("--cpuexecutioncap", str(record.cpu_cap))
    if words and await machine.state() is not VmState.SAVED:
        await machine.change("modifyvm", machine.uuid, *words)


async def after_start(machine: Machine) -> None:
    """Give a VM that runs what it could not be given before, since it was restored."""
    record = machine.folder.record()
    spec = machine.folder.spec()
    calls: list[Words] = []
    if record.network is not None:
        calls.append(("setlinkstate1", _on(record.network)))
    if record.cpu_cap:
        calls.append(("cpuexecutioncap", str(record.cpu_cap)))
    if record.memory_mib and spec is not None:
        calls.append(("guestmemoryballoon", str(spec.memory_mib - record.memory_mib)))
    for words in calls:
        try:
            await machine.change("controlvm", machine.uuid, *words)
        except WrongState:
            # It has ended already; whoever looks next sees that.
            return


async def _change(machine: Machine, running: Words, otherwise: Words) -> None:
    state = await machine.state()
    if state in ONLINE:
        await machine.change("controlvm", machine.uuid, *running)
    elif otherwise and state is not VmState.SAVED:
        await machine.change("modifyvm", machine.uuid, *otherwise)


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"
