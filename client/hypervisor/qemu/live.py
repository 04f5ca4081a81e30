"""What can be changed of a running VM under QEMU: the network card's cable, and how fast its disks are."""

from typing import Any

from client.hypervisor.errors import InvalidVmState, NotSupportedByDriver
from client.hypervisor.qemu import cable
from client.hypervisor.qemu.fleet import Fleet
from client.snapshot import VmState


class QemuLiveControl:
    """See `LiveControl`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def set_network(self, vm_id: str, connected: bool) -> None:
        """Plug the cable in or out; see `LiveControl.set_network`."""
        async with self._fleet.verb(vm_id) as machine:
            folder = machine.folder
            if folder.spec() is None:
                raise InvalidVmState(vm_id, "change the network of", VmState.FAILED)
            # Written first: whoever comes after a kill has it as it was asked for, at the guest's next step at the
            # latest.
            folder.write_record(network=connected)
            if folder.running() is not None:
                await cable.apply(await machine.connect(), folder)

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        """QEMU has no such setting; the governor holds its process instead."""
        self._fleet.known(vm_id)
        raise NotSupportedByDriver("QEMU", "set a limit on the processor of")

    async def set_disk_rate(self, vm_id: str, bytes_s: int) -> None:
        """Limit its disks, all in one group; see `LiveControl.set_disk_rate`."""
        async with self._fleet.verb(vm_id) as machine:
            if machine.folder.running() is None:
                raise InvalidVmState(vm_id, "limit the disks of", VmState.DEFINED)
            monitor = await machine.connect()
            # A limit has to be said in full. Reading and writing share what `bps` gives.
            limits: dict[str, Any] = dict.fromkeys(("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
            limits |= {"bps": bytes_s} | ({"group": "disks"} if bytes_s else {})
            for drive in await monitor.execute("query-block"):
                if "inserted" in drive:
                    await monitor.execute("block_set_io_throttle", device=drive["device"], **limits)

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        """The appliance's first program loads no balloon driver, so a balloon would be a device for nothing."""
        self._fleet.known(vm_id)
        raise NotSupportedByDriver("QEMU", "change the memory of")
