"""What a VM was at each of its points, and making it what it is to be after a return to one.

A point brings its settings along, and with them what the guest could reach at that time. So before a VM goes back to a
point, it is written down what it is to be afterwards; no start comes before that has been brought about, whenever this
client may be killed. Of a point of which nothing is known (another client took it) the memory is not used.
"""

import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from client.hypervisor.driver import VmSpec
from client.hypervisor.spec_file import build_spec_text, parse_spec, without_targets
from client.hypervisor.virtualbox.folder import Ledger
from client.hypervisor.virtualbox.machine import Machine
from client.hypervisor.virtualbox.settings_file import KeptSnapshot
from client.hypervisor.virtualbox.shape import media_in
from client.snapshot import VmState

#: In the VM's folder: a point's UUID, or one of the two words below -> JSON text.
FILE: Final = "points.json"
#: What the VM is while a point is being taken; stays if the client is killed before it knows the point's UUID.
_TAKING: Final = "taking"
#: What it is to be after a return that is under way.
_RETURNING: Final = "returning"
_FORGOTTEN: Final = "What the virtual machine was at this point is not known, so its memory was not used."
#: Makes a VM that is as the first spec says what the second one says.
Adapt = Callable[[Machine, VmSpec, VmSpec], Awaitable[None]]


@dataclass(frozen=True)
class _Was:
    """What a VM was: its spec, and the files in its drives by role."""

    spec: VmSpec
    media: dict[str, str]


@dataclass(frozen=True)
class _Goal:
    """What a VM is to be after it has gone back to a point, and whether its cable is in."""

    point: str
    spec: VmSpec
    connected: bool


def begin_taking(machine: Machine, name: str) -> None:
    """Write down what the VM is, before VirtualBox takes a point of it."""
    spec = machine.folder.spec()
    for point in _kept(machine):
        # One that was taken just before an earlier client was killed.
        if _unfinished(machine, point.uuid) is not None:
            taken(machine, point.uuid)
    if spec is not None:
        known = [point.uuid for point in _kept(machine)]
        was = {"spec": build_spec_text(spec), "media": machine.folder.record().media, "name": name, "known": known}
        _ledger(machine).put(_TAKING, json.dumps(was))


def taken(machine: Machine, point_uuid: str | None) -> None:
    """Keep it for the point that was taken; None: none was."""
    text = _ledger(machine).all().get(_TAKING)
    kept = {point_uuid: text} if point_uuid is not None and isinstance(text, str) else {}
    _ledger(machine).change({**kept, _TAKING: None})


def forget(machine: Machine, point_uuid: str) -> None:
    """A point is no more."""
    _ledger(machine).put(point_uuid, None)


def begin_return(machine: Machine, point_uuid: str, spec: VmSpec) -> None:
    """Write down what a VM is to be once it has gone back to a point: what it is now."""
    connected = machine.folder.record().network
    connected = spec.network if connected is None else connected
    goal = {"point": point_uuid, "spec": build_spec_text(spec), "network": connected}
    _ledger(machine).put(_RETURNING, json.dumps(goal))


def returned_not(machine: Machine) -> None:
    """VirtualBox did not go back."""
    _ledger(machine).put(_RETURNING, None)


async def settle(machine: Machine, adapt: Adapt) -> None:
    """After a return, also one that was broken off: make the VM what it is to be. The caller holds its lock.

    Raises:
        DiskFull, HypervisorError: it is not yet; it must not start.
    """
    goal = _goal(machine)
    if goal is None:
        return
    spec, connected = goal.spec, goal.connected
    was = _was(machine, goal.point)
    note = ""
    if was is None:
        # Another spec than the one it is to have, so that everything is set anew.
        was = _Was(replace(spec, cpus=spec.cpus + 1), _media_now(machine))
        note = _FORGOTTEN if await machine.state() is VmState.SAVED else ""
    if without_targets(replace(was.spec, network=spec.network)) != without_targets(spec):
        machine.folder.write_record(media=was.media)
        machine.folder.write_spec(was.spec)
        await adapt(machine, was.spec, spec)
    # A point brings its cable along; each start puts it as it is written down here.
    machine.folder.write_record(network=connected, **({"note": note} if note else {}))
    _ledger(machine).put(_RETURNING, None)


def _goal(machine: Machine) -> _Goal | None:
    """What was written down for the return that is under way; None: none is, or there is nothing to make of it."""
    said = _json(machine, _RETURNING)
    if said is None:
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        return _Goal(str(said["point"]), parse_spec(said["spec"]), bool(said["network"]))
    spec = machine.folder.spec()
    if spec is None:
        return None
    # It is damaged: the folder says what the VM is to be, and the point counts as one of which nothing is known.
    return _Goal("", spec, spec.network and machine.folder.record().network is not False)


def _was(machine: Machine, point_uuid: str) -> _Was | None:
    """What the VM was at a point; None when that is not known."""
    said = _json(machine, point_uuid) or _unfinished(machine, point_uuid)
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        if said is not None:
            media = {str(role): str(file) for role, file in said["media"].items()}
            return _Was(parse_spec(said["spec"]), media)
    return None


def _unfinished(machine: Machine, point_uuid: str) -> dict[str, Any] | None:
    """What was written down for the point that was being taken when the client was killed, if it is this one."""
    said = _json(machine, _TAKING)
    names = {point.uuid: point.name for point in _kept(machine)}
    is_it = said is not None and said.get("name") == names.get(point_uuid) and point_uuid not in said.get("known", ())
    return said if is_it else None


def _media_now(machine: Machine) -> dict[str, str]:
    settings = machine.folder.settings()
    return media_in(settings.drives) if settings else {}


def _json(machine: Machine, key: str) -> dict[str, Any] | None:
    try:
        plain = json.loads(_ledger(machine).all()[key])
    except (KeyError, ValueError, TypeError):
        return None
    return plain if isinstance(plain, dict) else None


def _kept(machine: Machine) -> tuple[KeptSnapshot, ...]:
    settings = machine.folder.settings()
    return settings.snapshots if settings else ()


def _ledger(machine: Machine) -> Ledger:
    return Ledger(machine.folder.path / FILE)
