"""The virtual machine, its preparation and the totals as shown. Pure functions, no toolkit."""

from dataclasses import dataclass

from client.snapshot import ClientSnapshot, Totals, TransferView, VmKind, VmState, VmView
from ui.job_view import Figure, Progress
from ui.trace import cpu_percent
from ui.words import UNKNOWN, bytes_text, count_text, duration_text, memory_text, time_left_text

VM_WORDS: dict[VmState, str] = {
    VmState.ABSENT: "Not made yet",
    VmState.DEFINED: "Ready to start",
    VmState.STARTING: "Starting",
    VmState.RUNNING: "Running",
    VmState.PAUSED: "Held in memory",
    VmState.SAVING: "Saving its state to disk",
    VmState.SAVED: "Saved to disk",
    VmState.FAILED: "Failed",
    VmState.UNKNOWN: "In a state that this program does not know",
}
_ACCELERATOR_WORDS = {
    "kvm": "at hardware speed (KVM)",
    "hvf": "at hardware speed (Hypervisor Framework)",
    "whpx": "at hardware speed (Windows Hypervisor Platform)",
    "hardware": "at hardware speed",
    "tcg": "emulated in software (TCG)",
    "native-api": "at reduced speed, under the system's own hypervisor",
    "interpreter": "emulated in software",
}
_HYPERVISOR_WORDS = {"qemu": "QEMU", "virtualbox": "VirtualBox", "fake": "Nothing: this is a demonstration"}
_TRANSFER_WORDS = {"downloading": "Downloading", "verifying": "Checking", "unpacking": "Unpacking"}
NO_MACHINE = "A small computer inside this one, made when work starts. It sees none of your files."
_EXECUTING = (VmState.STARTING, VmState.RUNNING)
_LIVE = (VmState.STARTING, VmState.RUNNING, VmState.PAUSED)


@dataclass(frozen=True)
class Gauge:
    """A number with a chart. ceiling: the chart's top, at least."""

    caption: str
    value: str
    ceiling: float


@dataclass(frozen=True)
class MachineCard:
    """All that the machine's card shows. rows: (caption, value)."""

    state: str
    note: str
    cpu: Gauge
    memory: Gauge
    rows: tuple[tuple[str, str], ...]


def main_vm(snapshot: ClientSnapshot) -> VmView | None:
    """The VM that the home page is about: the first of the project that lives, else its first."""
    vms = tuple(vm for vm in snapshot.vms if vm.kind is VmKind.PROJECT)
    return next((vm for vm in vms if vm.state in _LIVE), next(iter(vms), None))


def machine_card(vm: VmView | None) -> MachineCard:
    """The card for a VM; a quiet one when there is none yet."""
    if vm is None:
        return MachineCard("None yet", NO_MACHINE, _gauge("Processor", None, 100), _gauge("Memory", None, 64), ())
    cpu = cpu_percent(vm)
    return MachineCard(
        state=vm_words(vm),
        note=vm.cause if vm.state is VmState.FAILED and vm.cause else vm.note,
        cpu=_gauge("Processor", None if cpu is None else f"{cpu:.0f}\u00a0%", 100),
        memory=_gauge("Memory", None if vm.memory_mib is None else memory_text(vm.memory_mib), 64),
        rows=_rows(vm),
    )


def _gauge(caption: str, value: str | None, ceiling: float) -> Gauge:
    return Gauge(caption, value or UNKNOWN, ceiling)


def vm_words(vm: VmView) -> str:
    """State and speed in words: `Running, emulated in software (TCG)`."""
    speed = _ACCELERATOR_WORDS.get(vm.accelerator, vm.accelerator)
    return f"{VM_WORDS[vm.state]}, {speed}" if speed and vm.state in _EXECUTING else VM_WORDS[vm.state]


def _rows(vm: VmView) -> tuple[tuple[str, str], ...]:
    rows = [("Received", bytes_text(vm.received_bytes)), ("Sent", bytes_text(vm.sent_bytes))]
    guest = vm.guest
    if guest is not None and vm.state in _LIVE:
        if guest.memory_total_mib:
            used = f"{memory_text(guest.memory_used_mib)} of {memory_text(guest.memory_total_mib)}"
            rows.append(("Memory used inside", used))
        rows.append(("Up for", duration_text(guest.uptime_s)))
        rows.append(("Project", "connected" if guest.xmpp_connected else "connecting …"))
    if vm.hypervisor:
        rows.append(("Runs under", _HYPERVISOR_WORDS.get(vm.hypervisor, vm.hypervisor)))
    return tuple(rows)


def preparations(snapshot: ClientSnapshot) -> tuple[Progress, ...]:
    """Bars for downloads, checks and a booting guest; empty when nothing is being prepared."""
    bars = [transfer_progress(transfer) for transfer in snapshot.transfers]
    vm = main_vm(snapshot)
    if vm is not None and vm.state in (VmState.STARTING, VmState.RUNNING) and vm.boot_fraction < 1.0:
        step = vm.boot_step or "waiting for a sign of life"
        fraction = min(max(vm.boot_fraction, 0.0), 1.0)
        bars.append(Progress("Booting the virtual machine", fraction, step))
    return tuple(bars)


def transfer_progress(transfer: TransferView) -> Progress:
    """A download or check: `Downloading the appliance`, `12.0 of 32.0 MB, 3.1 MB/s, 7 s left`."""
    verb = _TRANSFER_WORDS.get(transfer.step, transfer.step.capitalize())
    parts = [bytes_text(transfer.done_bytes)]
    fraction = None
    if transfer.total_bytes > 0:
        fraction = min(max(transfer.done_bytes / transfer.total_bytes, 0.0), 1.0)
        parts = [f"{bytes_text(transfer.done_bytes)} of {bytes_text(transfer.total_bytes)}"]
    if transfer.rate_bytes_per_s > 0:
        parts.append(f"{bytes_text(transfer.rate_bytes_per_s)}/s")
    if transfer.seconds_left is not None:
        parts.append(time_left_text(transfer.seconds_left))
    if transfer.held is not None:
        parts.append(transfer.held.text.rstrip("."))
    return Progress(f"{verb} {transfer.name}", fraction, " · ".join(parts))


def total_figures(totals: Totals) -> tuple[Figure, ...]:
    """What was given so far."""
    jobs = Figure(count_text(totals.jobs_accepted), "job accepted" if totals.jobs_accepted == 1 else "jobs accepted")
    figures = [jobs, Figure(count_text(totals.units_done), "events"), Figure(duration_text(totals.cpu_s), "computed")]
    if totals.jobs_failed:
        figures.append(Figure(count_text(totals.jobs_failed), "without result"))
    return tuple(figures)
