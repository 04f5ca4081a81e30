"""Own VMs as faces show them: pure."""

from collections.abc import Mapping
from typing import Any, Final

from client.messages import fill
from client.own_vm import Boots, Network, OwnVm
from client.snapshot import Reason, VmKind, VmState, VmView

#: what problems are about: all of them, or one that could not be made; its name follows
ALL: Final = "own virtual machines"
MAKING: Final = "the virtual machine "
NOT_READY: Final = Reason("own-not-ready", "It waits until a hypervisor is found.")
_NETWORKS: Final = {Network.NONE: "no network", Network.NAT: "with network"}
_STEPS: Final = {
    "reading": "reading its image",
    "unpacking": "unpacking its image",
    "verifying": "checking its image",
    "converting": "bringing its image into another form",
}
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


def making_view(vm_id: str, name: str, said: Mapping[str, Any]) -> VmView:
    """One that is being made. said: what a worker tells of its step, empty before it begins."""
    step, done, total = (said.get(key) for key in ("step", "done_bytes", "total_bytes"))
    what = _STEPS.get(str(step), "")
    if what and done and total:
        what += f", {100 * int(done) // int(total)} % of {int(total) / 1e6:,.0f} MB"
    reason = Reason("own-making", f"It is being made: {what}." if what else "It is being made.")
    return VmView(vm_id, name, VmState.ABSENT, "", kind=VmKind.OWN, wish="making", reason=reason)


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
