"""What the fake driver keeps of its VMs on disk: a folder each, with spec and record."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import InvalidVmState, NoSuchVm
from client.hypervisor.spec_file import build_spec_text, is_valid_vm_id, parse_spec
from client.paths import write_atomic
from client.snapshot import VmState

#: States in which there is a guest.
RUNS: Final = (VmState.STARTING, VmState.RUNNING, VmState.PAUSED)


@dataclass(frozen=True)
class Kept:
    """What stands in the folder beside the spec."""

    state: VmState = VmState.DEFINED
    cause: str = ""
    note: str = ""
    guest_resets: int = 0


class FakeShelf:
    """The folders of all VMs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, vm_id: str) -> Path:
        """The folder of a VM, whether it is there or not."""
        return self.folder / vm_id

    def has(self, vm_id: str) -> bool:
        """Whether anything of it exists."""
        return is_valid_vm_id(vm_id) and self.path(vm_id).is_dir()

    def require(self, vm_id: str) -> Path:
        """The folder of a VM.

        Raises:
            NoSuchVm: it has none.
        """
        if not self.has(vm_id):
            raise NoSuchVm(vm_id)
        return self.path(vm_id)

    def spec(self, vm_id: str) -> VmSpec | None:
        """Its spec; None when its folder is half-made."""
        try:
            return parse_spec((self.path(vm_id) / filenames.VM_SPEC).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def require_spec(self, vm_id: str, verb: str) -> VmSpec:
        """Its spec, which a verb needs.

        Raises:
            NoSuchVm: it is unknown.
            InvalidVmState: its folder is half-made.
        """
        self.require(vm_id)
        spec = self.spec(vm_id)
        if spec is None:
            raise InvalidVmState(vm_id, verb, VmState.FAILED)
        return spec

    def write_spec(self, spec: VmSpec) -> None:
        """Keep the spec."""
        write_atomic(self.path(spec.vm_id) / filenames.VM_SPEC, build_spec_text(spec).encode())

    def kept(self, vm_id: str) -> Kept:
        """Its record; a fresh one when there is none."""
        try:
            plain = json.loads((self.path(vm_id) / filenames.VM_RECORD).read_text(encoding="utf-8"))
            return Kept(**{**plain, "state": VmState(plain["state"])})
        except (OSError, ValueError, TypeError, KeyError):
            return Kept()

    def keep(self, vm_id: str, **changes: Any) -> None:
        """Change fields of its record."""
        kept = asdict(replace(self.kept(vm_id), **changes))
        write_atomic(self.path(vm_id) / filenames.VM_RECORD, json.dumps(kept).encode())
