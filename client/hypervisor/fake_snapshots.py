"""Snapshots of VMs that are not there. A coroutine cannot be copied: a guest brought back boots afresh at its start."""

from collections.abc import Awaitable, Callable
from typing import Final

from client import filenames
from client.hypervisor.errors import InvalidVmState, NoSuchSnapshot
from client.hypervisor.fake_shelf import RUNS, FakeShelf
from client.hypervisor.points import Points, check_name
from client.paths import write_atomic
from client.snapshot import VmState

_STATE: Final = "state"


class FakeSnapshots:
    """See `Snapshots`.

    Args:
        forget_memory: ends what there is of a VM's guest.
    """

    def __init__(self, shelf: FakeShelf, forget_memory: Callable[[str], Awaitable[None]]) -> None:
        self._shelf = shelf
        self._forget_memory = forget_memory

    async def take(self, vm_id: str, name: str) -> None:
        """See `Snapshots.take`."""
        check_name(name)
        self._shelf.require_spec(vm_id, "take a snapshot of")
        has_memory = self._shelf.kept(vm_id).state in (*RUNS, VmState.SAVED)
        points, state = self._points(vm_id), VmState.SAVED if has_memory else VmState.DEFINED
        write_atomic(points.begin() / _STATE, state.encode())
        points.commit(name)

    async def restore(self, vm_id: str, name: str) -> None:
        """See `Snapshots.restore`."""
        check_name(name)
        self._shelf.require_spec(vm_id, "restore a snapshot of")
        point = self._points(vm_id).find(name)
        if point is None:
            raise NoSuchSnapshot(vm_id, name)
        if (state := self._shelf.kept(vm_id).state) in RUNS:
            raise InvalidVmState(vm_id, "restore a snapshot of", state)
        await self._forget_memory(vm_id)
        self._shelf.keep(vm_id, state=VmState((point / _STATE).read_text()), cause="")

    async def delete(self, vm_id: str, name: str) -> None:
        """See `Snapshots.delete`."""
        check_name(name)
        self._shelf.require(vm_id)
        self._points(vm_id).remove(name)

    async def names(self, vm_id: str) -> tuple[str, ...]:
        """See `Snapshots.names`."""
        self._shelf.require(vm_id)
        return self._points(vm_id).names()

    def _points(self, vm_id: str) -> Points:
        return Points(self._shelf.path(vm_id) / filenames.VM_SNAPSHOTS)
