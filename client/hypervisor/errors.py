"""Errors of hypervisor drivers."""

from dataclasses import dataclass
from typing import ClassVar, Final

from client.errors import ClientError


@dataclass(eq=False)
class HypervisorError(ClientError):
    """Root of the family."""

    code: ClassVar[str] = "hypervisor"


@dataclass(eq=False)
class NoHypervisor(HypervisorError):
    """No usable hypervisor on this computer.

    Attributes:
        looked_for: names of drivers tried.
        reasons: what stands in the way of each of them, as far as it is known; one or none per driver.
    """

    code: ClassVar[str] = "no-hypervisor"
    looked_for: tuple[str, ...]
    reasons: tuple[ClientError, ...] = ()


@dataclass(eq=False)
class HypervisorUnproven(HypervisorError):
    """A hypervisor is there, but did not work on this computer when it was last tried. cause: an error's code."""

    code: ClassVar[str] = "hypervisor-unproven"
    driver: str
    cause: str


@dataclass(eq=False)
class ChosenUnavailable(HypervisorError):
    """The hypervisor that the preferences name does not work here. reasons: what stands in its way."""

    code: ClassVar[str] = "chosen-unavailable"
    driver: str
    reasons: tuple[ClientError, ...] = ()


@dataclass(eq=False)
class SlowHypervisor(HypervisorError):
    """The only way to run a guest here is without the processor's help. Not an error: something to be told.

    Attributes:
        times_slower: than the computer's own processor, roughly.
        remedy: what the volunteer can do about it.
    """

    code: ClassVar[str] = "slow-hypervisor"
    driver: str
    accelerator: str
    times_slower: int
    remedy: str


@dataclass(eq=False)
class NoSuchVm(HypervisorError):
    """No VM of that id is defined here."""

    code: ClassVar[str] = "no-such-vm"
    vm_id: str


@dataclass(eq=False)
class NoSuchSnapshot(HypervisorError):
    """The VM has no snapshot of that name."""

    code: ClassVar[str] = "no-such-snapshot"
    vm_id: str
    name: str


#: `InvalidVmState.state`: routes of other names, or at other addresses in the guest, than it was told.
OTHER_ROUTES: Final = "other names or guest addresses"


@dataclass(eq=False)
class InvalidVmState(HypervisorError):
    """The verb makes no sense in the VM's present state."""

    code: ClassVar[str] = "invalid-vm-state"
    vm_id: str
    verb: str
    state: str


@dataclass(eq=False)
class MediumMissing(HypervisorError):
    """A file that the VM needs is not there."""

    code: ClassVar[str] = "medium-missing"
    vm_id: str
    path: str


@dataclass(eq=False)
class StartFailed(HypervisorError):
    """The hypervisor's process did not start or ended at once."""

    code: ClassVar[str] = "start-failed"
    vm_id: str
    command: tuple[str, ...]
    exit_code: int | None
    stderr: str


@dataclass(eq=False)
class VmFolderUnreadable(HypervisorError):
    """A file of the VM's folder is there and cannot be read now; what it says is not known, so nothing is done."""

    code: ClassVar[str] = "vm-folder-unreadable"
    vm_id: str
    path: str
    said: str


@dataclass(eq=False)
class KeptDiskBroken(HypervisorError):
    """A part of a VM whose disks matter is gone, damaged or another one; nothing of it was changed or deleted.

    Attributes:
        path: its folder.
        said: what is wrong; a sentence without its end.
    """

    code: ClassVar[str] = "kept-disk-broken"
    vm_id: str
    path: str
    said: str


@dataclass(eq=False)
class SaveFailed(HypervisorError):
    """The state could not be written; the VM is as it was before."""

    code: ClassVar[str] = "save-failed"
    vm_id: str
    said: str


@dataclass(eq=False)
class LinkUnavailable(HypervisorError):
    """The guest link cannot be opened now."""

    code: ClassVar[str] = "link-unavailable"
    vm_id: str
    said: str


@dataclass(eq=False)
class RoutePortTaken(HypervisorError):
    """Another program listens where the guest was told that a route begins; `plan_routes` finds another place."""

    code: ClassVar[str] = "route-port-taken"
    vm_id: str
    route: str
    port: int


@dataclass(eq=False)
class NotSupportedByDriver(HypervisorError):
    """This hypervisor cannot do that; ask `DriverReport.features` first."""

    code: ClassVar[str] = "not-supported-by-driver"
    driver: str
    verb: str
