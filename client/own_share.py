"""How own VMs share what the preferences let all virtual machines have, and what is wanted of each: pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from client.own_vm import OwnVm, Wish
from client.reconcile import MAY_RUN, Intent, Want, Wanted, stricter, wanted
from client.snapshot import Reason

NOT_STARTED: Final = Wanted(Want.SAVED, Reason("own-at-rest", "It does not run; start it when you want to."))
OFF: Final = Wanted(Want.POWERED_OFF, Reason("own-off", "It is off; start it when you want to."))
STOPPED: Final = Wanted(Want.SAVED, Reason("stopped-by-user", "Nothing runs until you press Start, or start it alone."))
HELD: Final = Wanted(Want.HOLD, Reason("paused-by-user", "Paused by you until you resume it."))


@dataclass(frozen=True)
class Size:
    """What a VM takes, or all may take together. Memory in MiB."""

    cpus: int
    memory_mib: int

    def __add__(self, other: "Size") -> "Size":
        return Size(self.cpus + other.cpus, self.memory_mib + other.memory_mib)

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.cpus - other.cpus, self.memory_mib - other.memory_mib)

    def holds(self, other: "Size") -> bool:
        """Whether the other one fits into it."""
        return other.cpus <= self.cpus and other.memory_mib <= self.memory_mib


NOTHING: Final = Size(0, 0)
#: VMs at once where nobody has said how many
MOST: Final = 1000
TOO_MANY: Final = (
    "It waits: at most {most} virtual machines may run at once. Stop another one, or allow more with the preference"
    " guest.most_vms."
)


@dataclass(frozen=True)
class Project:
    """The project's VM, and what the rules leave for it and own ones.

    Attributes:
        size: what it takes once it runs.
        claims: it is to run, so its room is kept for it.
        room_mib: memory that all may take together before another one begins; None: the rules do not mind own ones.
    """

    size: Size
    claims: bool = False
    is_up: bool = False
    room_mib: int | None = None


def size_of(vm: OwnVm) -> Size:
    """What an own VM takes."""
    return Size(vm.cpus, vm.memory_mib)


def wants_room(vm: OwnVm) -> bool:
    """Whether it is to be in memory."""
    return vm.wish in {Wish.RUN, Wish.HOLD} and not vm.stopped and not vm.removing


def share_out(
    vms: Iterable[OwnVm],
    up: Mapping[str, bool],
    limit: Size,
    project: Project,
    most: int = MOST,
    *,
    is_ruled: bool = False,
) -> dict[str, Reason]:
    """The own VMs that have to wait for room, each with why.

    The project's VM comes first, then those that are up, then the others by name. One that is up and no longer fits is
    among them too: it has to go.

    Args:
        up: vm_id -> whether it is in memory now; those that are missing are not.
        most: VMs at once, the project's included.
    """
    is_there = project.claims or project.is_up
    left = limit - (project.size if is_there else NOTHING)
    places = most - is_there
    in_order = sorted(vms, key=lambda vm: (not up.get(vm.vm_id, False), vm.name.casefold()))
    for vm in in_order:
        if up.get(vm.vm_id, False) and not wants_room(vm):
            # It is on its way out, and has its room until it is gone.
            left -= size_of(vm)
            places -= 1
    waiting: dict[str, Reason] = {}
    for vm in in_order:
        if not wants_room(vm):
            continue
        if places <= 0:
            waiting[vm.vm_id] = Reason("own-too-many", TOO_MANY.format(most=most))
        elif left.holds(size_of(vm)):
            left -= size_of(vm)
            places -= 1
        else:
            waiting[vm.vm_id] = no_memory(vm, limit, left) if is_ruled else no_room(vm, limit, left)
    return waiting


def no_memory(vm: OwnVm, limit: Size, left: Size) -> Reason:
    """Why a VM does not fit into what the rules give now."""
    rest = max(0, left.memory_mib)
    text = (
        f"It waits for memory: it needs {vm.memory_mib:,} MiB, and of the {limit.memory_mib:,} MiB that your limits and"
        f" other programs leave to virtual machines now {rest:,} MiB are free."
    )
    if vm.cpus > left.cpus:
        text = f"It waits for room: it needs {_cpus(vm.cpus)}, and {max(0, left.cpus)} of {limit.cpus} are free."
    return Reason("own-no-room", text)


def no_room(vm: OwnVm, limit: Size, left: Size) -> Reason:
    """Why a VM does not fit, and what to do."""
    rest = Size(max(0, left.cpus), max(0, left.memory_mib))
    more = limit - left + size_of(vm)
    settings = [
        f"--set {key}={needed}"
        for key, needed, most in (
            ("guest.cpus", more.cpus, limit.cpus),
            ("guest.memory_mib", more.memory_mib, limit.memory_mib),
        )
        if needed > most
    ]
    give = "Stop another one, or allow more" if limit.holds(size_of(vm)) else "Allow more"
    text = (
        f"It waits for room: it needs {_cpus(vm.cpus)} and {vm.memory_mib:,} MiB, and of the {_cpus(limit.cpus)} and"
        f" {limit.memory_mib:,} MiB for all virtual machines {rest.cpus} and {rest.memory_mib:,} MiB are free."
        f" {give}: start the program with {' '.join(settings)}, or write that into preferences.toml."
    )
    return Reason("own-no-room", text)


def project_waits(vms: Iterable[OwnVm], up: Mapping[str, bool], limit: Size, project: Project) -> bool:
    """Whether the project's VM must not start yet, as own ones that give way for it are not gone."""
    used = sum((size_of(vm) for vm in vms if up.get(vm.vm_id, False)), NOTHING)
    return used != NOTHING and not project.is_up and not limit.holds(used + project.size)


def wanted_of(vm: OwnVm, intent: Intent, obstacle: Reason | None, may: Wanted = MAY_RUN) -> Wanted:
    """What should become of an own VM, and why.

    Args:
        intent: for all VMs; of it, the end of the program and a pause hold for own ones.
        obstacle: what keeps it from running.
        may: the most that the rules allow.
    """
    return stricter(_asked_of(vm, intent, obstacle), may)


def _asked_of(vm: OwnVm, intent: Intent, obstacle: Reason | None) -> Wanted:
    if intent.leaving is not None:
        return wanted(intent)
    if vm.wish is Wish.OFF:
        return OFF
    if vm.stopped:
        return STOPPED
    if vm.wish is Wish.REST:
        return NOT_STARTED
    if obstacle is not None:
        return Wanted(Want.SAVED, obstacle)
    if intent.working and intent.paused:
        return wanted(intent)
    return HELD if vm.wish is Wish.HOLD else Wanted(Want.RUN)


def _cpus(count: int) -> str:
    return f"{count} processor" if count == 1 else f"{count} processors"
