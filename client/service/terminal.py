"""Progress on a terminal: bars where there is a person, plain lines where there is a pipe."""

import sys
from typing import Final, TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from client.service.printer import Outlet
from client.snapshot import Activity, ClientSnapshot, LogLine, VmView

LOG_LINES: Final = 8
#: a pipe gets a line of progress at each such step of it, in percent
PLAIN_STEP: Final = 20


def make_terminal() -> "Bars | PlainLines":
    """What fits standard output."""
    return Bars() if sys.stdout.isatty() else PlainLines()


def progress_of(snapshot: ClientSnapshot) -> tuple[str, float | None]:
    """What is under way and how far it is, 0..1; None when that is not known."""
    if snapshot.transfers:
        transfer = snapshot.transfers[-1]
        share = transfer.done_bytes / transfer.total_bytes if transfer.total_bytes else None
        if transfer.held is not None:
            return f"{transfer.name}: {transfer.held.text.rstrip('.')}", share
        return f"{transfer.step} {transfer.name} ({transfer.rate_bytes_per_s / 1e6:.1f} MB/s)", share
    vm = snapshot.project_vm
    if vm is not None and snapshot.activity is Activity.BOOTING:
        return vm.boot_step or "booting", vm.boot_fraction
    if vm is not None and vm.job is not None and vm.job.total_units:
        job = vm.job
        rate = f", {job.rate_per_s:.1f}/s" if job.rate_per_s else ""
        left = f", {job.seconds_left:.0f} s left" if job.seconds_left is not None else ""
        return f"{job.done_units} of {job.total_units} {job.unit}{rate}{left}", job.done_units / job.total_units
    return "", None


def why_of(snapshot: ClientSnapshot) -> str:
    """Why nothing is done, or why it is slow; empty when there is nothing to say."""
    if snapshot.reason is not None:
        return snapshot.reason.text
    return snapshot.policy.pace if snapshot.policy is not None else ""


class PlainLines:
    """One line for each thing that changes; fit for logs."""

    backlog = 1

    def __init__(self, outlet: Outlet | None = None) -> None:
        self.outlet = outlet or Outlet()
        self._headline = ""
        self._step = -1
        self._seen: LogLine | None = None
        self._problems: frozenset[str] = frozenset()
        #: what was said of the present headline; a load that comes and goes is told once
        self._whys: set[str] = set()

    def show(self, snapshot: ClientSnapshot) -> None:
        """Print what is new."""
        fresh = _after(snapshot.log, self._seen)
        lines = [f"  {line.source}: {line.text}" for line in fresh if _matters(line)]
        self._seen = snapshot.log[-1] if snapshot.log else None
        text, share = progress_of(snapshot)
        step = int((share or 0) * 100) // PLAIN_STEP
        headline = snapshot.headline.partition(":")[0]
        if headline != self._headline or (step != self._step and share is not None):
            lines.append(f"{snapshot.headline}{f' [{text}]' if text else ''}")
        lines += self._fresh_why(snapshot, headline)
        self._headline, self._step = headline, step
        problems = frozenset(f"{problem.text} {problem.doing}" for problem in snapshot.problems)
        problems |= {vm.note for vm in snapshot.vms if vm.note}
        lines += [f"  ! {words}" for words in problems - self._problems]
        self._problems = problems
        if lines:
            self.outlet.write("\n".join(lines) + "\n")

    def close(self) -> None:
        """Nothing to tidy."""

    def _fresh_why(self, snapshot: ClientSnapshot, headline: str) -> list[str]:
        """What is new of why. One rule that goes on minding with other numbers is not told again."""
        why = why_of(snapshot)
        key = snapshot.reason.code if snapshot.reason is not None else why
        if snapshot.reason is not None and headline != self._headline:
            self._whys.clear()
        if not why or key in self._whys:
            return []
        self._whys.add(key)
        return [f"  {why}"]


class Bars:
    """A live display: headline, bar, problems, the last log lines."""

    backlog = 1

    def __init__(self) -> None:
        self.outlet = Outlet()
        self._live = Live(console=Console(file=cast(TextIO, self.outlet)), auto_refresh=False, transient=False)
        self._live.start()

    def show(self, snapshot: ClientSnapshot) -> None:
        """Draw anew."""
        self._live.update(_draw(snapshot), refresh=True)

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


def _draw(snapshot: ClientSnapshot) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(snapshot.headline, style="bold"), Text(snapshot.project_name, style="dim"))
    if why := why_of(snapshot):
        table.add_row(Text(why))
    text, share = progress_of(snapshot)
    if share is not None:
        table.add_row(ProgressBar(total=1.0, completed=share, width=50), Text(text))
    for vm in snapshot.vms:
        table.add_row(Text(_of_vm(vm), style="dim"))
    for note in (vm.note for vm in snapshot.vms if vm.note):
        table.add_row(Text(note, style="dim"))
    for problem in snapshot.problems:
        table.add_row(Text(f"! {problem.text} {problem.doing}", style="yellow"))
    for line in snapshot.log[-LOG_LINES:]:
        table.add_row(Text(f"{line.at.astimezone():%H:%M:%S} {line.source}: {line.text}", style="dim"))
    return table


def _of_vm(vm: VmView) -> str:
    used = f", {vm.cpu_percent:.0f} % of a core" if vm.cpu_percent is not None else ""
    memory = f", {vm.memory_mib:.0f} MiB" if vm.memory_mib is not None else ""
    how = f" ({vm.hypervisor} {vm.accelerator})" if vm.accelerator else ""
    return f"{vm.name}: {vm.state}{how}{used}{memory}"


def _matters(line: LogLine) -> bool:
    return line.source in {"job", "agent"} or line.level in {"warning", "error"}


def _after(lines: tuple[LogLine, ...], seen: LogLine | None) -> tuple[LogLine, ...]:
    if seen is None:
        return lines
    for index in range(len(lines) - 1, -1, -1):
        if lines[index] is seen:
            return lines[index + 1 :]
    return lines
