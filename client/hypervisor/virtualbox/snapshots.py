"""Named points of a VM's life, on VirtualBox's own snapshots.

VirtualBox keeps a tree; ours are names. A point whose branch is needed by two others cannot be deleted: it gets a
hidden name instead, and is deleted later, when that has become possible.
"""

import re
import uuid
from typing import Final

from client.errors import BadInput
from client.hypervisor.errors import InvalidVmState, NoSuchSnapshot, SaveFailed
from client.hypervisor.virtualbox.machine import ONLINE, Machine, Verb
from client.hypervisor.virtualbox.problems import (
    MediumInUse,
    VirtualBoxDiskFull,
    VirtualBoxFailed,
    WrongState,
)
from client.hypervisor.virtualbox.save import disk_full
from client.hypervisor.virtualbox.settings_file import KeptSnapshot
from client.snapshot import VmState

SNAPSHOT_LIMIT_S: Final = 300.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
#: No name of ours begins so.
_HIDDEN: Final = "."


class VirtualBoxSnapshots:
    """See `client.hypervisor.driver.Snapshots`.

    Args:
        verb: locks a VM by its id.
    """

    def __init__(self, verb: Verb) -> None:
        self._verb = verb

    async def take(self, vm_id: str, name: str) -> None:
        """Keep a point; see `Snapshots.take`."""
        _check(name)
        async with self._verb(vm_id) as machine:
            state = await machine.state()
            if state not in (VmState.DEFINED, VmState.SAVED, VmState.FAILED, *ONLINE):
                raise InvalidVmState(vm_id, "take a snapshot of", state)
            before = [one for one in _kept(machine) if one.name == name]
            await _long(machine, "snapshot", machine.uuid, "take", name, state=state)
            for one in before:
                await self._forget(machine, one, state)

    async def restore(self, vm_id: str, name: str) -> None:
        """Bring it back to a point; see `Snapshots.restore`."""
        _check(name)
        async with self._verb(vm_id) as machine:
            point = next((one for one in _kept(machine) if one.name == name), None)
            if point is None:
                raise NoSuchSnapshot(vm_id, name)
            state = await machine.state()
            if state in ONLINE:
                raise InvalidVmState(vm_id, "restore a snapshot of", state)
            await machine.change("snapshot", machine.uuid, "restore", point.uuid, timeout_s=SNAPSHOT_LIMIT_S)
            machine.assume(VmState.SAVED if point.has_memory else VmState.DEFINED)

    async def delete(self, vm_id: str, name: str) -> None:
        """Forget a point; see `Snapshots.delete`."""
        _check(name)
        async with self._verb(vm_id) as machine:
            state = await machine.state()
            for one in _kept(machine):
                if one.name == name:
                    await self._forget(machine, one, state)
            for one in reversed(_kept(machine)):
                if one.name.startswith(_HIDDEN):
                    await self._forget(machine, one, state)

    async def names(self, vm_id: str) -> tuple[str, ...]:
        """The points there are; see `Snapshots.names`."""
        async with self._verb(vm_id) as machine:
            return tuple(one.name for one in _kept(machine) if not one.name.startswith(_HIDDEN))

    async def _forget(self, machine: Machine, point: KeptSnapshot, state: VmState) -> None:
        try:
            await _long(machine, "snapshot", machine.uuid, "delete", point.uuid, state=state)
        except (MediumInUse, VirtualBoxFailed, WrongState):
            if not point.name.startswith(_HIDDEN):
                hidden = f"{_HIDDEN}{uuid.uuid4().hex[:8]}"
                await machine.change("snapshot", machine.uuid, "edit", point.uuid, "--name", hidden)


async def _long(machine: Machine, *words: str, state: VmState) -> None:
    try:
        await machine.change(*words, timeout_s=SNAPSHOT_LIMIT_S)
    except VirtualBoxDiskFull as error:
        await machine.ask()
        raise disk_full(machine) from error
    except VirtualBoxFailed as error:
        await machine.ask()
        if words[2] == "take":
            raise SaveFailed(machine.vm_id, error.said) from error
        raise
    machine.assume(state)


def _kept(machine: Machine) -> tuple[KeptSnapshot, ...]:
    settings = machine.folder.settings()
    return settings.snapshots if settings else ()


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput("snapshot", f"{name!r} cannot be its name", "use lower-case letters, digits and dashes")
