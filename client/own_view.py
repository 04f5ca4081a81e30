"""Own VMs as faces show them: pure."""

from typing import Final

from client.messages import fill
from client.own_vm import Boots, Network, OwnVm
from client.snapshot import Reason, VmKind, VmState, VmView

NOT_READY: Final = Reason("own-not-ready", "It waits until a hypervisor is found.")
_NETWORKS: Final = {Network.NONE: "no network", Network.NAT: "with network"}
REMOVING: Final = Reason("own-removing", "It is being removed.")


def view_of(vm: OwnVm) -> VmView:
    """The VM as it is kept, when no hypervisor has said anything of it."""
    return VmView(
        vm_id=vm.vm_id,
        name=vm.name,
        state=VmState.ABSENT,
        hypervisor=vm.hypervisor,
        kind=VmKind.OWN,
        wish="removed" if vm.removing else vm.wish.value,
        about=about(vm),
        reason=REMOVING if vm.removing else None,
    )


def about(vm: OwnVm) -> str:
    """What it is, in one line."""
    parts = [vm.image_name, f"{vm.cpus} processor" + ("s" if vm.cpus > 1 else ""), f"{vm.memory_mib:,} MiB"]
    if vm.boots is Boots.CD and vm.disk_gib:
        parts.append(f"disk of {vm.disk_gib:,} GiB")
    parts.append(_NETWORKS[vm.network])
    if vm.template:
        parts.append(f"set up by \u201c{vm.template}\u201d")
    return ", ".join(parts)


def unreadable_view(vm_id: str) -> VmView:
    """One whose file cannot be read; nothing is done to it but what its owner asks for."""
    said = fill("own-vm-unreadable", {"name": vm_id})
    reason = Reason("own-vm-unreadable", said.text)
    return VmView(vm_id, vm_id, VmState.UNKNOWN, "", kind=VmKind.OWN, wish="unreadable", reason=reason)


def elsewhere(vm: OwnVm) -> Reason:
    """Why one whose disk is with another hypervisor waits."""
    text = (
        f"Its disk is with {vm.hypervisor}, which is not in use now; --set hypervisor.driver={vm.hypervisor} uses it."
    )
    return Reason("own-elsewhere", text)
