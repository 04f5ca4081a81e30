"""The network card's cable: in or out, as the VM's folder has it, also over starts and restores."""

from client.hypervisor.qemu.cmdline import NETWORK
from client.hypervisor.qemu.folder import VmFolder
from client.hypervisor.qemu.qmp import Monitor


def is_in(folder: VmFolder) -> bool:
    """Whether the cable is to be in: as last asked for, else as the spec begins."""
    asked = folder.record().network
    if asked is not None:
        return asked
    spec = folder.spec()
    return spec is None or spec.network


async def apply(monitor: Monitor, folder: VmFolder) -> None:
    """Have it so in a QEMU that runs; to be done before its guest executes.

    Set at the host's end of the cable, which is not part of a saved state: a restored guest cannot bring it back.

    Raises:
        MonitorGone, MonitorRefused: it is not so.
    """
    await monitor.execute("set_link", name=NETWORK, up=is_in(folder))
