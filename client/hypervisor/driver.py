"""What the core asks of any hypervisor: small Protocols, plain values, and the order of calls.

Order: `probe` -> `define` -> `start` -> (`pause` <-> `resume`, `reset`) -> `save` | `shut_down` | `power_off`
-> `start` ... -> `destroy`. Every verb is idempotent: "already so" is success; "not allowed now" raises
`InvalidVmState`.
A driver owns only VMs that it defined itself in its folder; it never touches another. Constructors do no I/O.
Nothing is remembered that can be asked: after a kill of the client a new driver on the same folder knows the same VMs.
"""

from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from client.errors import ClientError
from client.snapshot import VmState


class MediumRole(StrEnum):
    """What a medium is for; the guest finds each by its role, not by its place on a bus."""

    #: the appliance: ISO to boot from, or root squashfs beside kernel and initrd
    SYSTEM = "system"
    #: contextualization medium (ISO 9660, label CONTEXT)
    CONTEXT = "context"
    #: job software, read-only squashfs
    SOFTWARE = "software"
    #: the VM's own writable disk; an overlay over a shared read-only template
    SCRATCH = "scratch"


@dataclass(frozen=True)
class Medium:
    """A file that a VM sees as a disk or CD. Shared read-only unless role is SCRATCH (then `path` is the template)."""

    role: MediumRole
    path: Path


@dataclass(frozen=True)
class DirectBoot:
    """Kernel files for hypervisors that boot without firmware; command line without a console argument."""

    kernel: Path
    initrd: Path
    command_line: str = ""


@dataclass(frozen=True)
class Route:
    """One thing on the host's side that a guest may reach.

    Attributes:
        name: short word, unique in the VM (`xmpp`, `chirp`).
        guest_host, guest_port: where the guest connects to, an address of the guest's own virtual network.
        host, port: where the relay takes it. May change while the VM runs: see `ResourceControl.set_routes`.
        limit_bytes_s: most bytes a second, each way, of one connection; None: no limit. May change likewise.
        local: it leads to a part of the program itself, so what it carries does not go over the network and is not
            for the meter (`client.meter`), which all other routes obey. May change likewise.
    """

    name: str
    guest_host: str
    guest_port: int
    host: str
    port: int
    limit_bytes_s: int | None = None
    local: bool = False


@dataclass(frozen=True)
class VmSpec:
    """All that defines a VM.

    Attributes:
        vm_id: lower-case letters, digits and dashes; also the name of its folder.
        memory_mib: guest memory.
        internet: whether outbound connections other than `routes` are possible.
        link_device: `auto` (the best the hypervisor has), `uart`, or `virtio`.
        accelerator: `auto` (the fastest that proves itself) or one by name.
        network: whether the network card's cable is in at the start; see `LiveControl.set_network`.
        exchange_mib: size of the way for large files (`Exchange`); 0: the VM has none.
        keeps_disk: whether what its disks hold matters: where they are damaged, or cannot stay as they are, `define`
            and `start` raise `KeptDiskBroken` and delete nothing, and `info` says FAILED. Of others they are made anew.
        extra_arguments: for tests and diagnosis only.
    """

    vm_id: str
    name: str
    cpus: int
    memory_mib: int
    media: tuple[Medium, ...]
    direct_boot: DirectBoot | None = None
    routes: tuple[Route, ...] = ()
    internet: bool = False
    link_device: str = "auto"
    accelerator: str = "auto"
    network: bool = True
    exchange_mib: int = 0
    keeps_disk: bool = False
    extra_arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class VmInfo:
    """What the hypervisor says of a VM now.

    Attributes:
        cause: why it is FAILED; empty otherwise.
        accelerator: in use or last used; empty when not known yet.
        note: one sentence that the volunteer should read, or empty.
        pids: processes that run it, for measuring.
        runs_since: monotonic seconds at which this client saw it start; None when it does not run.
        guest_resets: how often the guest reset itself since start.
        written_bytes: of its states, while it is SAVING; grows as long as the save makes progress.
    """

    vm_id: str
    state: VmState
    cause: str = ""
    accelerator: str = ""
    note: str = ""
    pids: tuple[int, ...] = ()
    runs_since: float | None = None
    guest_resets: int = 0
    written_bytes: int = 0


@dataclass(frozen=True)
class Traffic:
    """Bytes through the VM's routes since it was defined, as the guest sees it."""

    sent_bytes: int = 0
    received_bytes: int = 0


class Feature(StrEnum):
    """Optional powers, asked by the core before it acts."""

    SAVE_STATE = "save-state"
    DIRECT_BOOT = "direct-boot"
    ROUTES = "routes"
    LIVE_ROUTES = "live-routes"
    TRAFFIC_LIMIT = "traffic-limit"
    #: a guest reaches nothing but its routes, whatever it tries
    CONFINED_NETWORK = "confined-network"


@dataclass(frozen=True)
class DriverReport:
    """Whether a driver can work on this computer.

    Attributes:
        speed: how fast a guest runs in percent of the computer's own processor, roughly; the fastest driver is chosen;
            0 when unavailable.
        is_proven: a guest has lived at this speed here; else it is only to be expected.
        problem: why not, as an error code of `client.messages`; empty when available.
        reasons: all that stands in its way or slows it down, the worst first.
    """

    name: str
    available: bool
    version: str = ""
    accelerators: tuple[str, ...] = ()
    speed: int = 0
    is_proven: bool = True
    problem: str = ""
    features: frozenset[Feature] = field(default_factory=frozenset)
    reasons: tuple[ClientError, ...] = ()


class Lifecycle(Protocol):
    """Verbs that every driver has. Unknown vm_id: `NoSuchVm`, but for `destroy` and `info` (ABSENT)."""

    async def define(self, spec: VmSpec) -> None:
        """Make folder and disks. The same spec again is success; another spec redefines a VM that does not run.

        Raises:
            MediumMissing: a file of the spec is not there.
            DiskFull: no space for the disks; nothing half-made stays.
            InvalidVmState: it runs and the spec differs.
        """

    async def start(self, vm_id: str) -> None:
        """Start, or go on from the saved state if there is one; returns when its process answers.

        A saved state is consumed: once the guest executes again it cannot be restored a second time.

        Raises:
            StartFailed: with command, exit code and what it said.
        """

    async def pause(self, vm_id: str) -> None:
        """Hold the guest in memory."""

    async def resume(self, vm_id: str) -> None:
        """Let a held guest go on."""

    async def reset(self, vm_id: str) -> None:
        """As by the reset button; the guest boots afresh, disks stay. Streams to it may end."""

    async def shut_down(self, vm_id: str, timeout_s: float) -> bool:
        """Ask the guest (ACPI), then power it off after `timeout_s`. Returns True if it went by itself."""

    async def power_off(self, vm_id: str) -> None:
        """As by pulling the plug.

        A save under way is waited for while it makes progress, and leaves the VM SAVED: it cannot be broken off
        without harm everywhere, and a saved state is thrown away at once by whoever does not want it. A save that
        stands still is ended.
        """

    async def save(self, vm_id: str) -> None:
        """Write the state to disk and end the process. A failure leaves the VM running or paused as before.

        It takes as long as it makes progress, which `VmInfo.written_bytes` shows; one that stands still fails.

        Raises:
            DiskFull, SaveFailed: nothing half-written stays.
        """

    async def discard_saved(self, vm_id: str) -> None:
        """Throw a saved state away; the next start boots."""

    async def destroy(self, vm_id: str) -> None:
        """Power off and remove everything that belongs to the VM."""

    async def info(self, vm_id: str) -> VmInfo:
        """Its state now; ABSENT when nothing of it exists."""

    async def list_vms(self) -> tuple[VmInfo, ...]:
        """All VMs in this driver's folder, sorted by vm_id, also half-made ones."""

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Have `callback(vm_id)` called in the event loop when a VM may have changed state by itself."""


class GuestChannel(Protocol):
    """The guest link's bytes and the guest's console."""

    async def open_link(self, vm_id: str) -> tuple[StreamReader, StreamWriter]:
        """A stream to the guest's end of the link. One reader at a time; a new one replaces the old.

        Raises:
            LinkUnavailable: the VM does not run or its link does not answer.
        """

    async def console_tail(self, vm_id: str, limit_bytes: int = 8192) -> str:
        """The end of what the guest printed on its console; empty when there is nothing."""

    async def saw_life(self, vm_id: str) -> None:
        """The core heard from the guest: the accelerator in use has proved itself."""


class ResourceControl(Protocol):
    """What a running VM may use."""

    async def set_routes(self, vm_id: str, routes: tuple[Route, ...]) -> None:
        """New targets for the VM's routes (same names and guest addresses); holds for new connections."""

    async def traffic(self, vm_id: str) -> Traffic:
        """Bytes through its routes so far."""


class Snapshots(Protocol):
    """Named points of a VM's life to come back to: its disks, and its memory if it ran or was saved."""

    async def take(self, vm_id: str, name: str) -> None:
        """Keep a point; the VM goes on as before. A point of that name is replaced.

        Raises:
            BadInput: the name is not one of lower-case letters, digits and dashes.
            DiskFull, SaveFailed: nothing half-made stays.
        """

    async def restore(self, vm_id: str, name: str) -> None:
        """Bring a VM that does not run back to a point: it is SAVED if the point has memory, else DEFINED.

        Raises:
            NoSuchSnapshot: there is none of that name.
            InvalidVmState: it runs.
        """

    async def delete(self, vm_id: str, name: str) -> None:
        """Forget a point; one that is not there is success."""

    async def names(self, vm_id: str) -> tuple[str, ...]:
        """The points there are, oldest first."""


class LiveControl(Protocol):
    """What can be changed while a VM runs, and holds for its next starts too."""

    async def set_network(self, vm_id: str, connected: bool) -> None:
        """Plug the network card's cable in or out."""

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        """Ask that the VM uses at most so much of each of its processors (1..100).

        Not every hypervisor keeps it: a governor measures.

        Raises:
            NotSupportedByDriver: there is no such setting.
        """

    async def set_disk_rate(self, vm_id: str, bytes_s: int) -> None:
        """Have all disks of a running VM together read and write no more than this a second; 0: no limit.

        It ends with the VM's process.

        Raises:
            NotSupportedByDriver: there is no such setting.
            InvalidVmState: it does not run.
        """

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        """Ask the guest to give memory back, down to `memory_mib` (a balloon); takes effect if the guest helps.

        Raises:
            NotSupportedByDriver: there is no such setting.
        """


#: The outbox begins with a header, which the driver writes when the VM is defined: OUTBOX_MARK and zeros.
OUTBOX_HEADER_BYTES: Final = 4096
OUTBOX_MARK: Final = b"VOLUNTEER-CLOUD-OUTBOX\n"
#: Files for the inbox are a multiple of this long.
INBOX_BLOCK_BYTES: Final = 2048


class Exchange(Protocol):
    """The way for large files of a VM whose spec has `exchange_mib`: a medium put in, a raw disk read out.

    The guest knows the inbox by content (its first bytes are the sender's matter) on a CD drive, or by the serial
    number `inbox` of a disk; the outbox by OUTBOX_MARK at its beginning, or by the serial number `outbox`.
    """

    async def insert(self, vm_id: str, path: Path | None) -> None:
        """Let a running VM read a file from its inbox, at most `exchange_mib` long; None: take it out.

        The file must stay as it is until it is taken out.

        Raises:
            InvalidVmState: it does not run, or has no exchange.
            MediumMissing: the file is not there.
            BadInput: it is longer than the inbox, or no multiple of INBOX_BLOCK_BYTES.
        """

    async def outbox(self, vm_id: str) -> Path:
        """The raw file that holds what the guest wrote to its outbox, header first. To be read only.

        Raises:
            InvalidVmState: it has no exchange.
        """


class Driver(Lifecycle, GuestChannel, ResourceControl, Protocol):
    """A hypervisor.

    Attributes:
        snapshots, live, exchange: optional powers; None where the hypervisor has them not.
    """

    name: str
    snapshots: Snapshots | None
    live: LiveControl | None
    exchange: Exchange | None

    async def probe(self) -> DriverReport:
        """Look for the hypervisor and what it can do; cheap, repeatable, never raises for absence."""

    async def plan_routes(self, vm_id: str, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """The routes with the guest addresses under which this driver offers them; the same at each call for a VM.

        To be called before the guest is told where to connect; a hypervisor that can give any address changes nothing.
        """

    async def close(self) -> None:
        """Let go of connections and tasks. VMs keep running."""
