"""Named points of a VM's life, on VirtualBox's own snapshots.

VirtualBox keeps a tree; ours are names. A point whose branch is needed by two others cannot be deleted: it gets a
hidden name instead, and is deleted later, when that has become possible.

A point brings its settings along. What a VM may reach, and what it is made of, is for its present spec to say, so after
a restore it is made to fit that again (`points`); of a point that was another machine the memory is of no use then.
"""

import contextlib
import re
import uuid
from collections.abc import Iterator
from typing import Final

from client import log
from client.errors import BadInput, ClientError
from client.hypervisor.errors import HypervisorError, InvalidVmState, NoSuchSnapshot
from client.hypervisor.virtualbox import points
from client.hypervisor.virtualbox.machine import ONLINE, Machine, Verb
from client.hypervisor.virtualbox.points import Adapt
from client.hypervisor.virtualbox.problems import (
    MediumInUse,
    StateNotSaved,
    VirtualBoxDiskFull,
    VirtualBoxFailed,
    VirtualBoxSilent,
    WrongState,
)
from client.hypervisor.virtualbox.save import named_save_error
from client.hypervisor.virtualbox.settings_file import KeptSnapshot
from client.snapshot import VmState

SNAPSHOT_LIMIT_S: Final = 300.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
#: No name of ours begins so.
_HIDDEN: Final = "."

_log = log.logger("hypervisor")


class VirtualBoxSnapshots:
    """See `client.hypervisor.driver.Snapshots`.

    Args:
        verb: locks a VM by its id.
        adapt: makes a VM that does not run another one.
    """

    def __init__(self, verb: Verb, adapt: Adapt) -> None:
        self._verb = verb
        self._adapt = adapt

    async def take(self, vm_id: str, name: str) -> None:
        """Keep a point; see `Snapshots.take`."""
        _check(name)
        async with self._verb(vm_id) as machine:
            state = await machine.state()
            if state not in (VmState.DEFINED, VmState.SAVED, VmState.FAILED, *ONLINE):
                raise InvalidVmState(vm_id, "take a snapshot of", state)
            before = [one for one in _kept(machine) if one.name == name]
            points.begin_taking(machine, name)
            try:
                await _long(machine, "snapshot", machine.uuid, "take", name, state=state)
            except ClientError as error:
                if not isinstance(error, VirtualBoxSilent):
                    points.taken(machine, None)
                raise
            made = _latest(machine, name)
            points.taken(machine, made.uuid if made else None)
            for one in before:
                try:
                    await self._forget(machine, one, state)
                except HypervisorError as error:
                    # The later one of two counts.
                    _log.warning("A former point %s of %s stays: %s", name, vm_id, error)

    async def restore(self, vm_id: str, name: str) -> None:
        """Bring it back to a point; see `Snapshots.restore`."""
        _check(name)
        async with self._verb(vm_id) as machine:
            point = _latest(machine, name)
            if point is None:
                raise NoSuchSnapshot(vm_id, name)
            # Another return that was broken off: only then is the spec what the VM is to be.
            await points.settle(machine, self._adapt)
            state, spec = await machine.state(), machine.folder.spec()
            if state in ONLINE or spec is None:
                raise InvalidVmState(vm_id, "restore a snapshot of", state)
            points.begin_return(machine, point.uuid, spec)
            try:
                with _shown(machine, state):
                    await machine.change("snapshot", machine.uuid, "restore", point.uuid, timeout_s=SNAPSHOT_LIMIT_S)
            except ClientError as error:
                if not isinstance(error, VirtualBoxSilent):
                    points.returned_not(machine)
                raise
            machine.assume(VmState.SAVED if point.has_memory else VmState.DEFINED)
            await points.settle(machine, self._adapt)

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
            points = sorted(_kept(machine), key=lambda one: one.taken_at)
            return tuple(dict.fromkeys(one.name for one in points if not one.name.startswith(_HIDDEN)))

    async def _forget(self, machine: Machine, point: KeptSnapshot, state: VmState) -> None:
        try:
            await _long(machine, "snapshot", machine.uuid, "delete", point.uuid, state=state)
            points.forget(machine, point.uuid)
        except (MediumInUse, VirtualBoxFailed, WrongState):
            if not point.name.startswith(_HIDDEN):
                hidden = f"{_HIDDEN}{uuid.uuid4().hex[:8]}"
                await machine.change("snapshot", machine.uuid, "edit", point.uuid, "--name", hidden)


async def _long(machine: Machine, *words: str, state: VmState) -> None:
    try:
        with _shown(machine, state):
            await machine.change(*words, timeout_s=SNAPSHOT_LIMIT_S)
    except (VirtualBoxDiskFull, VirtualBoxFailed, StateNotSaved) as error:
        await machine.ask()
        if words[2] == "take" or isinstance(error, VirtualBoxDiskFull):
            raise named_save_error(machine, error) from error
        raise
    machine.assume(state)


@contextlib.contextmanager
def _shown(machine: Machine, state: VmState) -> Iterator[None]:
    """Have the VM's state shown as it was while VirtualBox works on a point, which it calls a state of its own."""
    machine.verb = state
    try:
        yield
    finally:
        machine.verb = None


def _latest(machine: Machine, name: str) -> KeptSnapshot | None:
    """The point of that name; the latest, if a former one could not be deleted."""
    points = [one for one in _kept(machine) if one.name == name]
    return max(enumerate(points), key=lambda pair: (pair[1].taken_at, pair[0]))[1] if points else None


def _kept(machine: Machine) -> tuple[KeptSnapshot, ...]:
    settings = machine.folder.settings()
    return settings.snapshots if settings else ()


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput("snapshot", f"{name!r} cannot be its name", "use lower-case letters, digits and dashes")
