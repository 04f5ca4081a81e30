"""The exchange of VMs that are not there: the same files as under a real hypervisor, which a fake guest can open."""

from pathlib import Path

from client import filenames
from client.hypervisor import exchange_file
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import InvalidVmState
from client.hypervisor.fake_shelf import RUNS, FakeShelf


class FakeExchange:
    """See `Exchange`."""

    def __init__(self, shelf: FakeShelf) -> None:
        self._shelf = shelf

    async def insert(self, vm_id: str, path: Path | None) -> None:
        """See `Exchange.insert`."""
        limit_mib = self._limit_mib(vm_id, "put a file into")
        if (state := self._shelf.kept(vm_id).state) not in RUNS:
            raise InvalidVmState(vm_id, "put a file into", state)
        if path is None:
            exchange_file.clear(self.inbox(vm_id))
            return
        exchange_file.check_file(vm_id, path, limit_mib)
        exchange_file.fill(self.inbox(vm_id), path)

    async def outbox(self, vm_id: str) -> Path:
        """See `Exchange.outbox`."""
        self._limit_mib(vm_id, "take a file out of")
        return self._shelf.path(vm_id) / filenames.VM_OUTBOX

    def inbox(self, vm_id: str) -> Path:
        """For fake guests: what they would read as their inbox."""
        return self._shelf.path(vm_id) / filenames.VM_INBOX

    def _limit_mib(self, vm_id: str, verb: str) -> int:
        spec = self._shelf.require_spec(vm_id, verb)
        if not spec.exchange_mib:
            raise InvalidVmState(vm_id, verb, "without an exchange")
        return spec.exchange_mib


def make_exchange(path: Path, spec: VmSpec) -> None:
    """Make the files of a VM that is being defined in this folder.

    Raises:
        OSError: they cannot be made.
    """
    for name in (filenames.VM_INBOX, filenames.VM_OUTBOX):
        (path / name).unlink(missing_ok=True)
    if spec.exchange_mib:
        exchange_file.make_inbox(path / filenames.VM_INBOX, spec.exchange_mib)
        exchange_file.make_outbox(path / filenames.VM_OUTBOX, spec.exchange_mib)
