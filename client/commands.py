"""What a volunteer can ask of the core, from any face. Plain data; the core alone acts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class WhatOfWork(StrEnum):
    """What quitting does with work that is under way."""

    #: save the guest's state; the next start goes on from it
    SAVE = "save"
    #: power the guest off; its job goes on from its checkpoint or returns to the queue
    STOP = "stop"


@dataclass(frozen=True)
class Start:
    """Work, or go on working after a stop."""


class PauseEnd(StrEnum):
    """What ends a pause, besides a time and `Resume`."""

    #: nothing
    NONE = ""
    #: the computer is on mains
    MAINS = "mains"
    #: the volunteer has logged off
    LOG_OFF = "log-off"


@dataclass(frozen=True)
class Pause:
    """Hold the guest. until: aware UTC, or None for "until I say", or until what `end` names."""

    until: datetime | None = None
    end: PauseEnd = PauseEnd.NONE


@dataclass(frozen=True)
class Resume:
    """End a pause."""


@dataclass(frozen=True)
class Finish:
    """Let the current job end, report it, then stop. `undo` takes it back."""

    undo: bool = False


@dataclass(frozen=True)
class Stop:
    """Save the guest's state and run nothing until Start."""


@dataclass(frozen=True)
class PowerOff:
    """End the guest without saving its state, and run nothing until Start; its job goes on from its checkpoint."""


@dataclass(frozen=True)
class Reset:
    """As by the reset button of a guest that runs; nothing else changes."""


@dataclass(frozen=True)
class Quit:
    """End the program; no VM stays running."""

    work: WhatOfWork = WhatOfWork.SAVE


@dataclass(frozen=True)
class Attach:
    """Attach to a project, while there is none. file: its project file, absolute."""

    file: str


@dataclass(frozen=True)
class DismissProblem:
    """Take a problem off the list (it comes back if it happens again)."""

    code: str
    about: str


@dataclass(frozen=True)
class HoldFetching:
    """Fetch nothing of appliances until told to; `undo` lets it go on."""

    undo: bool = False


@dataclass(frozen=True)
class TendStore:
    """See to the appliances now. check: read all their bytes. look: look for newer versions."""

    check: bool = False
    look: bool = False


@dataclass(frozen=True)
class RemoveImage:
    """Remove an appliance from this computer. image_id: as in the snapshot, or its name and version."""

    image_id: str


class VmVerb(StrEnum):
    """What can be asked of one of the volunteer's own VMs."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    SAVE = "save"
    RESET = "reset"
    POWER_OFF = "poweroff"
    REMOVE = "remove"


@dataclass(frozen=True)
class OrderVm:
    """Have one of the volunteer's own VMs do something. vm_id: as in the snapshot, or its name."""

    vm_id: str
    verb: VmVerb


@dataclass(frozen=True)
class CreateVm:
    """Make an own VM.

    Attributes:
        image: file that it boots from, absolute.
        template: name of a template that comes with the program, or a template's file, absolute; empty: none.
        values: field -> what was filled in; they may be secrets.
        cpus, memory_mib: 0: what the image's package asks for, else 1 and 512.
        disk_gib: of a VM that boots from a CD; 0: no disk.
        network: `none` or `nat`.
        starts: whether it is to run at once.
    """

    name: str
    image: str
    template: str = ""
    values: Mapping[str, str | int | bool] = field(default_factory=dict, repr=False)
    cpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    network: str = "none"
    starts: bool = False


Command = (
    Start
    | Pause
    | Resume
    | Finish
    | Stop
    | PowerOff
    | Reset
    | Quit
    | Attach
    | DismissProblem
    | HoldFetching
    | TendStore
    | RemoveImage
    | OrderVm
    | CreateVm
)
