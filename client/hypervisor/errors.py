"""Errors of hypervisor drivers."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class HypervisorError(ClientError):
    """Root of the family."""

    code: ClassVar[str] = "hypervisor"


@dataclass(eq=False)
class NoHypervisor(HypervisorError):
    """No usable hypervisor on this computer. looked_for: names of drivers tried."""

    code: ClassVar[str] = "no-hypervisor"
    looked_for: tuple[str, ...]


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
class NotSupportedByDriver(HypervisorError):
    """This hypervisor cannot do that; ask `DriverReport.features` first."""

    code: ClassVar[str] = "not-supported-by-driver"
    driver: str
    verb: str
