"""Each known failure of VirtualBox as one named error. What VBoxManage says is sorted by `verdict.classify`.

All have `said`: VirtualBox's own words, for the log and for whoever asks elsewhere.
"""

from dataclasses import dataclass
from typing import ClassVar

from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.parse import Version


@dataclass(eq=False)
class VirtualBoxTooOld(HypervisorError):
    """An installed VirtualBox that this program does not drive."""

    code: ClassVar[str] = "virtualbox-too-old"
    found: Version
    needed: Version


@dataclass(eq=False)
class VirtualBoxBroken(HypervisorError):
    """The command is there and cannot run: half removed, half updated, or a library is missing."""

    code: ClassVar[str] = "virtualbox-broken"
    said: str


@dataclass(eq=False)
class VirtualBoxSilent(HypervisorError):
    """A call was not done in time, or wrote without end, and was ended. What it was to do may be done or not."""

    code: ClassVar[str] = "virtualbox-silent"
    command: tuple[str, ...]
    said: str


@dataclass(eq=False)
class VirtualBoxFailed(HypervisorError):
    """A failure of no kind known here."""

    code: ClassVar[str] = "virtualbox-failed"
    command: tuple[str, ...]
    exit_code: int
    said: str


@dataclass(eq=False)
class OptionRefused(HypervisorError):
    """This version does not know a word of the command."""

    code: ClassVar[str] = "virtualbox-option-refused"
    command: tuple[str, ...]
    said: str


@dataclass(eq=False)
class NoVirtualization(HypervisorError):
    """The processor has neither VT-x nor AMD-V, or it is hidden from VirtualBox."""

    code: ClassVar[str] = "no-virtualization"
    said: str


@dataclass(eq=False)
class VirtualizationOff(HypervisorError):
    """VT-x or AMD-V is switched off in the firmware."""

    code: ClassVar[str] = "virtualization-off"
    said: str


@dataclass(eq=False)
class VirtualizationTaken(HypervisorError):
    """Another hypervisor holds VT-x or AMD-V. holder: `KVM`, `Hyper-V` or `another hypervisor`."""

    code: ClassVar[str] = "virtualization-taken"
    holder: str
    said: str


@dataclass(eq=False)
class KernelModuleMissing(HypervisorError):
    """VirtualBox's kernel module is not installed, or was not built for the kernel that runs."""

    code: ClassVar[str] = "kernel-module-missing"
    said: str


@dataclass(eq=False)
class KernelModuleNotLoaded(HypervisorError):
    """The kernel module is installed for this kernel, but not loaded."""

    code: ClassVar[str] = "kernel-module-not-loaded"
    said: str


@dataclass(eq=False)
class KernelModuleMismatch(HypervisorError):
    """The loaded kernel module belongs to another version of VirtualBox."""

    code: ClassVar[str] = "kernel-module-mismatch"
    said: str


@dataclass(eq=False)
class KernelModuleDenied(HypervisorError):
    """The kernel module is loaded, but VirtualBox may not open it: its start program is no longer set-uid root."""

    code: ClassVar[str] = "kernel-module-denied"
    said: str


@dataclass(eq=False)
class SecureBootBlocks(HypervisorError):
    """Secure Boot does not let the kernel load VirtualBox's module: it is not signed with a key that it knows."""

    code: ClassVar[str] = "secure-boot-blocks"
    said: str


@dataclass(eq=False)
class MacApprovalMissing(HypervisorError):
    """macOS has not been allowed to load VirtualBox's system extension."""

    code: ClassVar[str] = "mac-approval-missing"
    said: str


@dataclass(eq=False)
class ExtensionPackMissing(HypervisorError):
    """A setting of the VM needs Oracle's extension pack."""

    code: ClassVar[str] = "extension-pack-missing"
    said: str


@dataclass(eq=False)
class ExtensionPackLicence(HypervisorError):
    """The extension pack's licence has not been agreed to."""

    code: ClassVar[str] = "extension-pack-licence"
    said: str


@dataclass(eq=False)
class ServiceDead(HypervisorError):
    """VBoxSVC, which keeps VirtualBox's books, does not answer, ended, or is just ending."""

    code: ClassVar[str] = "vboxsvc-dead"
    said: str


@dataclass(eq=False)
class SessionLocked(HypervisorError):
    """Another session of VirtualBox has the VM open. vm: its name, or empty."""

    code: ClassVar[str] = "virtualbox-session-locked"
    vm: str
    said: str


@dataclass(eq=False)
class MediumInUse(HypervisorError):
    """A disk or CD is attached to a VM, or being read or written. path: as VirtualBox says it, or empty."""

    code: ClassVar[str] = "virtualbox-medium-in-use"
    path: str
    said: str


@dataclass(eq=False)
class MediumUnreadable(HypervisorError):
    """A disk or CD image is gone or damaged. path: as VirtualBox says it, or empty."""

    code: ClassVar[str] = "virtualbox-medium-unreadable"
    path: str
    said: str


@dataclass(eq=False)
class VmInaccessible(HypervisorError):
    """VirtualBox cannot read the settings of a VM that it has in its list. vm: its name or file, or empty."""

    code: ClassVar[str] = "virtualbox-vm-inaccessible"
    vm: str
    said: str


@dataclass(eq=False)
class ObjectNotFound(HypervisorError):
    """No such VM, medium, snapshot, controller or file. what: its name as VirtualBox says it, or empty."""

    code: ClassVar[str] = "virtualbox-object-not-found"
    what: str
    said: str


@dataclass(eq=False)
class ObjectExists(HypervisorError):
    """A VM, medium or file of that name is there already. what: its name as VirtualBox says it, or empty."""

    code: ClassVar[str] = "virtualbox-object-exists"
    what: str
    said: str


@dataclass(eq=False)
class WrongState(HypervisorError):
    """The VM is not in a state in which the verb can be done: not running, already paused ..."""

    code: ClassVar[str] = "virtualbox-wrong-state"
    said: str


@dataclass(eq=False)
class VirtualBoxDenied(HypervisorError):
    """VirtualBox may not read or write a file or folder."""

    code: ClassVar[str] = "virtualbox-denied"
    said: str


@dataclass(eq=False)
class VirtualBoxDiskFull(HypervisorError):
    """VirtualBox found no space on the disk."""

    code: ClassVar[str] = "virtualbox-disk-full"
    said: str


@dataclass(eq=False)
class NotEnoughMemory(HypervisorError):
    """The computer has not enough memory for the VM now."""

    code: ClassVar[str] = "virtualbox-no-memory"
    said: str


@dataclass(eq=False)
class EndedAtStart(HypervisorError):
    """The VM's process ended before the VM ran; why stands in its VBox.log (`verdict.name_of` reads it).

    Attributes:
        log: where VirtualBox says more may stand; empty when it does not.
    """

    code: ClassVar[str] = "virtualbox-ended-at-start"
    vm: str
    log: str
    said: str


@dataclass(eq=False)
class StateNotSaved(HypervisorError):
    """The state could not be written; the VM is as before. VirtualBox does not say why: mostly no space."""

    code: ClassVar[str] = "virtualbox-state-not-saved"
    said: str


@dataclass(eq=False)
class PipeRefused(HypervisorError):
    """A serial port's socket cannot be made: its folder is gone, it is in use, or its path is too long."""

    code: ClassVar[str] = "virtualbox-pipe-refused"
    said: str


@dataclass(eq=False)
class SavedStateUnusable(HypervisorError):
    """A saved state is damaged, or was made by another version or processor."""

    code: ClassVar[str] = "virtualbox-saved-state-unusable"
    said: str
