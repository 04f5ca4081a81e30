"""A VM's folder: what the driver keeps of it between two runs of the client.

Only what cannot be asked of QEMU is written: the spec, who runs it, and which verb was under way when the client was
last seen. The spec is written last when a VM is defined, so a folder without one is half-made.
"""

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from client import filenames, process
from client.hypervisor.driver import Route, VmSpec
from client.hypervisor.files import write_whole
from client.hypervisor.qemu.known_file import KnownFile
from client.hypervisor.spec_file import build_spec_text, parse_spec
from client.process import Identity

#: What was being done to the VM, as `Record.phase` has it.
STOPPED: Final = "stopped"
STARTING: Final = "starting"
RESTORING: Final = "restoring"
RUNNING: Final = "running"
SAVING: Final = "saving"


@dataclass(frozen=True)
class Record:
    """What is known of the VM's process.

    Attributes:
        phase: one of the words above; not the VM's state, which is asked of QEMU.
        pid, started_at: the process's identity; 0 when there is none or it is not known yet.
        accelerator: in use or last used.
        proven: whether the guest has shown under this accelerator, since this start, that it lives.
        note: for the volunteer, as in VmInfo.
        guest_resets: as in VmInfo.
        network: whether the network card's cable is in, as last asked for; None: as the spec says.
    """

    phase: str = STOPPED
    pid: int = 0
    started_at: str = ""
    accelerator: str = ""
    proven: bool = False
    note: str = ""
    guest_resets: int = 0
    network: bool | None = None


class VmFolder:
    """Names and small files of one VM."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scratch = path / filenames.VM_SCRATCH
        self.saved_state = path / filenames.VM_SAVED_STATE
        self.saved_facts = path / filenames.VM_SAVED_FACTS
        self.console = path / filenames.VM_CONSOLE
        self.traffic = path / filenames.VM_TRAFFIC
        self.snapshots = path / filenames.VM_SNAPSHOTS
        self.inbox = path / filenames.VM_INBOX
        self.outbox = path / filenames.VM_OUTBOX
        self.pidfile = path / filenames.VM_PID
        self._spec: KnownFile[VmSpec | None] = KnownFile(path / filenames.VM_SPEC, parse_spec, None)
        self._record = KnownFile(path / filenames.VM_RECORD, _parse_record, Record())

    @property
    def vm_id(self) -> str:
        """The folder's name."""
        return self.path.name

    def spec(self) -> VmSpec | None:
        """The spec; None when there is none or it cannot be read, that is: the folder is half-made."""
        return self._spec.value()

    def holds_work(self) -> bool:
        """Whether its disk may hold something: it was made whole once, whatever of it can be read now."""
        return self.scratch.exists() and (self._spec.path.exists() or bool(self.record().accelerator))

    def write_spec(self, spec: VmSpec) -> None:
        """Keep the spec; from now on the VM is defined."""
        write_whole(self._spec.path, build_spec_text(spec))
        self._spec.forget()

    def write_routes(self, routes: tuple[Route, ...]) -> None:
        """Write the relays' allow-list; holds for connections made from now on."""
        lines = (f"{one.name}\t{one.host}\t{one.port}\t{one.limit_bytes_s or '-'}\n" for one in routes)
        local = (f"local\t{one.name}\n" for one in routes if one.local)
        write_whole(self.path / filenames.VM_ROUTES, "".join((*lines, *local)))

    def record(self) -> Record:
        """What is known of the process; a fresh one when nothing is."""
        return self._record.value()

    def write_record(self, **changes: Any) -> Record:
        """Change fields of the record; returns the new one."""
        before = self.record()
        after = replace(before, **changes)
        if after != before:
            write_whole(self._record.path, json.dumps(asdict(after)))
            self._record.forget()
        return after

    def running(self) -> Identity | None:
        """The process that runs the VM now, if any; found by its pid file if the client died before writing it down."""
        record = self.record()
        if record.pid and process.alive(record.pid, record.started_at):
            return Identity(record.pid, record.started_at)
        try:
            pid = int(self.pidfile.read_text())
        except (OSError, ValueError):
            return None
        who = process.identity(pid)
        # The pid may be somebody else's by now: ours has this very file on its command line.
        if who is None or str(self.pidfile) not in process.command_line(pid):
            return None
        return who

    def ended_badly(self) -> bool:
        """Whether its process ended without removing its pid file, as QEMU does at every orderly end."""
        return self.pidfile.exists()

    def has_saved_state(self) -> bool:
        """Whether a whole saved state is there, not yet checked."""
        return self.saved_state.exists() and self.saved_facts.exists()

    def forget_saved_state(self) -> None:
        """Remove a saved state, whole or not."""
        for file in (self.saved_state, self.saved_facts, self.partial_state):
            file.unlink(missing_ok=True)

    @property
    def partial_state(self) -> Path:
        """Where a state is written before it is known to be whole."""
        return self.saved_state.with_name(self.saved_state.name + filenames.PART_SUFFIX)

    def remove(self) -> None:
        """Remove it all."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)


def _parse_record(text: str) -> Record:
    return Record(**json.loads(text))
