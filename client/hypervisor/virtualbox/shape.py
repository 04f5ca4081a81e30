"""The shape of a VM as arguments for VBoxManage: few calls, one big `modifyvm`. Pure.

CDs stand on IDE, where every BIOS and kernel finds them: the appliance, the contextualization medium, the job software
(a file system image as a CD is read-only by nature, and shared by all VMs) and the inbox. Disks stand on virtio-scsi,
which the appliance's kernel has and which has places enough. Nothing else is plugged in: a VM made by `createvm` has no
USB, audio, clipboard, drag and drop or remote display.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from client.hypervisor.driver import MediumRole, VmSpec

Words = tuple[str, ...]

CD_CONTROLLER: Final = "CDs"
DISK_CONTROLLER: Final = "Disks"
BOOT_CONTROLLER: Final = "Boot"
#: Where VirtualBox's NAT shows the computer's own loopback addresses to the guest.
HOST_ADDRESS: Final = "10.0.2.2"
#: Extra data that marks a VM as one of ours; its value is the VM's folder.
MARK: Final = "VolunteerCloud/Folder"
EMPTY: Final = "emptydrive"
NOTHING: Final = "none"
INBOX: Final = "inbox"
OUTBOX: Final = "outbox"
#: A base image stays as it is; each VM has a layer of its own over it, which lasts from start to start.
LAYERED: Final = "multiattach"
#: Snapshots leave it alone: what the guest writes is always in this one file.
_APART: Final = "writethrough"
#: WORKAROUND VirtualBox 7.2.22: past the host's cache its disks are read and written by threads of their own, which at
#: each pause, resume and change of a CD are ended and begun anew, and on a busy computer may wait for each other for
#: ever. Seen in 3 of 15 such changes beside two busy processes; with the cache in none of 130.
_CACHED: Final = ("--hostiocache", "on")
_OS_TYPE: Final = "Linux26_64"
_CD_PLACES: Final = {
    MediumRole.SYSTEM: ("0", "0"),
    MediumRole.CONTEXT: ("0", "1"),
    MediumRole.SOFTWARE: ("1", "0"),
    INBOX: ("1", "1"),
}
#: What `showvminfo --machinereadable` calls the medium in the inbox's drive.
INBOX_KEY: Final = "-".join((CD_CONTROLLER, *_CD_PLACES[INBOX]))
_DISK_PLACES: Final = {MediumRole.SCRATCH: ("0", "0"), OUTBOX: ("1", "0")}


@dataclass(frozen=True)
class Abilities:
    """What the installed VirtualBox has, as far as the shape depends on it.

    Attributes:
        has_virtio_scsi: else disks stand on SATA.
        has_paravirt: offers Linux guests what KVM offers them.
        has_virtio_net: else the network card is an Intel one.
        has_localhost_option: the host's loopback is closed to guests unless this opens it (7.0 and later).
    """

    has_virtio_scsi: bool = True
    has_paravirt: bool = True
    has_virtio_net: bool = True
    has_localhost_option: bool = True


@dataclass(frozen=True)
class Naming:
    """Where the VM's parts are.

    Attributes:
        uuid: chosen by us, before VirtualBox hears of the VM.
        name: as VirtualBox lists it; unique.
        folder: of the VM; VirtualBox makes its own inside.
        console: file of the first serial line.
        link: local socket or pipe of the second.
    """

    uuid: str
    name: str
    folder: str
    console: str
    link: str


@dataclass(frozen=True)
class Drive:
    """One place for a medium and what is in it."""

    controller: str
    port: str
    device: str
    kind: str
    medium: str
    use: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Controller, port and device."""
        return (self.controller, self.port, self.device)


def build_create(naming: Naming) -> Words:
    """Make the VM known to VirtualBox."""
    return (
        *("createvm", "--name", naming.name, "--uuid", naming.uuid, "--ostype", _OS_TYPE),
        *("--basefolder", naming.folder, "--register"),
    )


def build_mark(naming: Naming) -> Words:
    """Mark the VM as ours."""
    return ("setextradata", naming.uuid, MARK, naming.folder)


def build_modify(spec: VmSpec, naming: Naming, abilities: Abilities) -> Words:
    """Everything but the disks, in one call."""
    return (
        *("modifyvm", naming.uuid, "--cpus", str(spec.cpus), "--memory", str(spec.memory_mib)),
        *("--firmware", "bios", "--ioapic", "on", "--rtcuseutc", "on"),
        *("--paravirtprovider", "kvm" if abilities.has_paravirt else "default"),
        *("--boot1", "dvd", "--boot2", "disk", "--boot3", "none", "--boot4", "none"),
        # The boot menu and the logo's fading cost seconds at each start.
        *("--biosbootmenu", "disabled", "--bioslogofadein", "off", "--bioslogofadeout", "off"),
        *("--bioslogodisplaytime", "0", "--mouse", "ps2"),
        *("--uart1", "0x3F8", "4", "--uartmode1", "file", naming.console),
        *("--uart2", "0x2F8", "3", "--uartmode2", "server", naming.link),
        *_network(spec, abilities),
        *spec.extra_arguments,
    )


def build_controllers(naming: Naming, drives: tuple[Drive, ...], abilities: Abilities) -> tuple[Words, ...]:
    """The controllers that the drives need, each with one call."""
    add = ("storagectl", naming.uuid, "--name")
    kinds = {
        CD_CONTROLLER: ("--add", "ide", "--controller", "PIIX4"),
        DISK_CONTROLLER: (
            ("--add", "virtio-scsi", "--controller", "VirtIO", "--portcount", "2")
            if abilities.has_virtio_scsi
            else ("--add", "sata", "--controller", "IntelAHCI", "--portcount", "2")
        ),
        BOOT_CONTROLLER: ("--add", "sata", "--controller", "IntelAHCI", "--portcount", "1"),
    }
    bootable = {DISK_CONTROLLER: "off"}
    needed = dict.fromkeys(drive.controller for drive in drives)
    return tuple((*add, name, *kinds[name], *_CACHED, "--bootable", bootable.get(name, "on")) for name in needed)


def build_attach(naming: Naming, drive: Drive) -> Words:
    """Put what belongs into a drive."""
    return (
        *("storageattach", naming.uuid, "--storagectl", drive.controller, "--port", drive.port),
        *("--device", drive.device, "--type", drive.kind, "--medium", drive.medium),
        *(("--mtype", drive.use) if drive.use else ()),
    )


def build_insert(naming: Naming, medium: str) -> Words:
    """Put a file into the inbox of a VM, or take it out, even while the guest has the drive in use."""
    port, device = _CD_PLACES[INBOX]
    return (
        *build_attach(naming, Drive(CD_CONTROLLER, port, device, "dvddrive", medium)),
        "--forceunmount",
    )


def plan_drives(media: Mapping[str, str], boots_from_disk: bool) -> tuple[Drive, ...]:
    """Each medium in its place.

    Args:
        media: role (`INBOX` and `OUTBOX` among them) -> file, or EMPTY.
        boots_from_disk: whether the system is a disk and not a CD.
    """
    drives = []
    for role, medium in media.items():
        # A disk that is all there is to boot from stands where every BIOS and system finds it.
        is_only = role == MediumRole.SCRATCH and MediumRole.SYSTEM not in media
        if (role == MediumRole.SYSTEM and boots_from_disk) or is_only:
            drives.append(Drive(BOOT_CONTROLLER, "0", "0", "hdd", medium, LAYERED))
        elif role in _CD_PLACES:
            drives.append(Drive(CD_CONTROLLER, *_CD_PLACES[role], "dvddrive", medium))
        else:
            use = _APART if role == OUTBOX else LAYERED
            drives.append(Drive(DISK_CONTROLLER, *_DISK_PLACES[role], "hdd", medium, use))
    return tuple(drives)


def media_in(drives: Iterable[tuple[str, str, str, str]]) -> dict[str, str]:
    """What `plan_drives` was given, from where the media are.

    Args:
        drives: controller, port, device, file; an empty file: nothing is in it.
    """
    places = {(CD_CONTROLLER, *place): role for role, place in _CD_PLACES.items()}
    places |= {(DISK_CONTROLLER, *place): role for role, place in _DISK_PLACES.items()}
    places[BOOT_CONTROLLER, "0", "0"] = MediumRole.SYSTEM
    found = {places.get((name, port, device)): file for name, port, device, file in drives}
    return {str(role): file or EMPTY for role, file in found.items() if role is not None}


def changed_drives(before: tuple[Drive, ...], after: tuple[Drive, ...]) -> tuple[Drive, ...]:
    """What to attach so that a VM which has the one has the other; those that are to be emptied come first."""
    kept = {drive.place for drive in after}
    gone = tuple(Drive(*drive.place, drive.kind, NOTHING) for drive in before if drive.place not in kept)
    return gone + tuple(drive for drive in after if drive not in before)


def _network(spec: VmSpec, abilities: Abilities) -> Words:
    # A card that leads nowhere is the only wall that VirtualBox has around a guest: its NAT lets everything out.
    leads_out = spec.internet or bool(spec.routes)
    kind = "nat" if leads_out else "null"
    # Once the guest sends by a virtio card that leads nowhere, VirtualBox 7.2 spins, and no pause or save ends.
    card = "virtio" if abilities.has_virtio_net and leads_out else "82540EM"
    cable = "on" if spec.network else "off"
    words = ("--nic1", kind, "--nictype1", card, "--cableconnected1", cable)
    if not abilities.has_localhost_option:
        return words
    return (*words, "--nat-localhostreachable1", "on" if spec.routes else "off")
