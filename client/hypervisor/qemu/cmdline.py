"""From a VmSpec to QEMU's command line. Pure.

QEMU is started with the VM's folder as its working directory, so its sockets have short names however deep the folder
is. Once it is set up it moves to the root folder (`-daemonize`), so every other name is absolute.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client import filenames
from client.hypervisor.driver import Medium, MediumRole, Route, VmSpec

TCG: Final = "tcg"
LINK_PORT: Final = "org.volunteercloud.link"
CONSOLE: Final = "console"
NETWORK: Final = "net"
INBOX: Final = "inbox"
OUTBOX: Final = "outbox"
#: What the guest printed last and nobody has read yet; QEMU overwrites the oldest. A power of two.
CONSOLE_BYTES: Final = 65536
#: Translated code kept under TCG. Default is up to 1 GiB; 32 MiB makes booting slower.
_TRANSLATIONS_MIB: Final = 128
_ACCELERATORS: Final = {
    TCG: (f"tcg,thread=multi,tb-size={_TRANSLATIONS_MIB}", "qemu64"),
    "kvm": ("kvm", "host"),
    "hvf": ("hvf", "host"),
    # Source: QEMU's issue 513, WHPX without this option hangs Linux guests on some Windows versions.
    "whpx": ("whpx,kernel-irqchip=off", "qemu64"),
}


@dataclass(frozen=True)
class Launch:
    """What besides the spec decides a command line.

    Attributes:
        system: the QEMU program.
        accelerator: a key of the table above.
        folder: of the VM; QEMU's working directory.
        relay_command: program and first arguments of the relay.
        has_sandbox: whether QEMU can forbid itself system calls.
        is_restore: wait for a saved state instead of booting.
        is_held: do not let the guest execute yet.
    """

    system: str
    accelerator: str
    folder: Path
    relay_command: tuple[str, ...]
    has_sandbox: bool = False
    is_restore: bool = False
    is_held: bool = False


def build_command(spec: VmSpec, launch: Launch) -> tuple[str, ...]:
    """Program and arguments that run the VM in the background."""
    return (
        launch.system,
        *_process(spec, launch),
        *_machine(spec, launch.accelerator),
        *_boot(spec),
        *(argument for medium in spec.media for argument in _disk(medium, spec, launch.folder)),
        *_exchange(spec, launch.folder),
        *_network(spec, launch.relay_command, launch.folder),
        *_serial(spec),
        *spec.extra_arguments,
    )


def escape(value: str) -> str:
    """The value as QEMU reads it inside an option: commas are doubled."""
    return value.replace(",", ",,")


def _process(spec: VmSpec, launch: Launch) -> Iterator[str]:
    yield from ("-name", f"volunteer-cloud-{spec.vm_id}", "-no-user-config", "-nodefaults", "-display", "none")
    yield from ("-daemonize", "-pidfile", str(launch.folder / filenames.VM_PID))
    if launch.has_sandbox:
        # Starting programs stays allowed: the relays are started by QEMU. So does setsid, which going to the
        # background and starting a relay need and `elevateprivileges=deny` would punish with death (QEMU 7.2); the
        # sandbox sets "no new privileges" in any case.
        yield from ("-sandbox", "on,obsolete=deny,resourcecontrol=deny")
    yield from ("-chardev", f"socket,id=qmp,path={filenames.VM_CONTROL_SOCKET},server=on,wait=off")
    yield from ("-mon", "chardev=qmp,mode=control")
    if launch.is_restore or launch.is_held:
        yield "-S"
    if launch.is_restore:
        yield from ("-incoming", "defer")


def _machine(spec: VmSpec, accelerator: str) -> Iterator[str]:
    flags, cpu = _ACCELERATORS[accelerator]
    # The small kernel of the appliance has a driver for the CD drive of `pc`, not for that of q35.
    yield from ("-machine", "q35,usb=off,vmport=off" if spec.direct_boot else "pc,usb=off,vmport=off")
    yield from ("-accel", flags, "-cpu", cpu, "-smp", str(spec.cpus), "-m", f"{spec.memory_mib}M")
    yield from ("-rtc", "base=utc", "-device", "virtio-rng-pci")


def _boot(spec: VmSpec) -> Iterator[str]:
    boot = spec.direct_boot
    if boot is None:
        has_cd = any(medium.role is MediumRole.SYSTEM for medium in spec.media)
        # A CD that does not want to be booted from a second time, as installers', gives way to the disk.
        yield from ("-boot", f"order={'dc' if has_cd else 'c'},strict=on")
        return
    yield from ("-kernel", str(boot.kernel), "-initrd", str(boot.initrd))
    yield from ("-append", f"console=ttyS0 {boot.command_line}".strip())


def _disk(medium: Medium, spec: VmSpec, folder: Path) -> Iterator[str]:
    role = medium.role
    if role is MediumRole.SCRATCH:
        overlay = escape(str(folder / filenames.VM_SCRATCH))
        file = f"format=qcow2,discard=unmap,detect-zeroes=unmap,file={overlay}"
    else:
        file = f"format=raw,readonly=on,file={escape(str(medium.path))}"
    yield from ("-drive", f"if=none,id={role},{file}")
    if role in {MediumRole.SYSTEM, MediumRole.CONTEXT} and spec.direct_boot is None:
        # Where a guest of any kind looks for both; a context on a disk would be taken for free space by uCernVM.
        yield from ("-device", f"ide-cd,drive={role},serial={role}")
    else:
        yield from ("-device", f"virtio-blk-pci,drive={role},serial={role}")


def _exchange(spec: VmSpec, folder: Path) -> Iterator[str]:
    if not spec.exchange_mib:
        return
    inbox, outbox = escape(str(folder / filenames.VM_INBOX)), escape(str(folder / filenames.VM_OUTBOX))
    yield from ("-drive", f"if=none,id={INBOX},format=raw,readonly=on,file={inbox}")
    yield from ("-device", f"virtio-blk-pci,drive={INBOX},serial={INBOX}")
    # What the guest discards, or fills with zeros, takes no space on the host's disk any more.
    yield from ("-drive", f"if=none,id={OUTBOX},format=raw,discard=unmap,detect-zeroes=unmap,file={outbox}")
    yield from ("-device", f"virtio-blk-pci,drive={OUTBOX},serial={OUTBOX}")


def _network(spec: VmSpec, relay_command: tuple[str, ...], folder: Path) -> Iterator[str]:
    options = ["user", f"id={NETWORK}", "ipv6=off"]
    if not spec.internet:
        options.append("restrict=on")
    options += [_forward(route, relay_command, folder) for route in spec.routes]
    yield from ("-netdev", ",".join(options))
    yield from ("-device", f"virtio-net-pci,netdev={NETWORK},romfile=")


def _forward(route: Route, relay_command: tuple[str, ...], folder: Path) -> str:
    files = [str(folder / name) for name in (filenames.VM_ROUTES, filenames.VM_TRAFFIC, filenames.VM_PID)]
    # libslirp splits the command as a POSIX shell would (g_shell_parse_argv) but runs no shell.
    command = shlex.join((*relay_command, route.name, *files))
    return f"guestfwd=tcp:{route.guest_host}:{route.guest_port}-cmd:{escape(command)}"


def _serial(spec: VmSpec) -> Iterator[str]:
    yield from ("-chardev", f"ringbuf,id={CONSOLE},size={CONSOLE_BYTES}")
    yield from ("-device", f"isa-serial,chardev={CONSOLE}")
    yield from ("-chardev", f"socket,id=link,path={filenames.VM_LINK_SOCKET},server=on,wait=off")
    if spec.link_device == "uart":
        yield from ("-device", "isa-serial,chardev=link")
        return
    yield from ("-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=link,name={LINK_PORT}")
