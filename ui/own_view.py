"""The volunteer's own VMs as they are drawn, and what a form for a new one asks. Pure functions, no toolkit."""

import re
from dataclasses import dataclass, replace
from datetime import tzinfo

from client.appliance.contextual.language import Field, Template
from client.appliance.contextual.values import take
from client.commands import CreateVm, OrderVm, VmVerb
from client.own_view import ALL, MAKING
from client.own_vm import LEAST_MEMORY_MIB, fault_of_name, is_own
from client.snapshot import ClientSnapshot, VmState, VmView
from ui.machine_view import vm_words
from ui.view_models import ProblemRow, problem_rows

EMPTY = "You have no virtual machine of your own yet. Add makes one, from the image of a CD or of a disk."
CHANGE = "Chan&ge it …"
INTRODUCTION = "They run beside the project's, within what all virtual machines may take."
#: colours and moves of a terminal. Source: ECMA-48, 5.4, control sequences
_STEERING = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_TURNS = {"making": "Being made", "removed": "Being removed"}
_UP = frozenset({VmState.STARTING, VmState.RUNNING, VmState.PAUSED})


@dataclass(frozen=True)
class OwnRow:
    """One own VM. start, stop: what the buttons ask for; None: they are off.

    Removing one that is being made gives it up.
    """

    vm_id: str
    name: str
    state: str
    about: str
    reason: str
    console: str
    start: OrderVm | None
    stop: OrderVm | None
    remove: OrderVm | None


def own_rows(snapshot: ClientSnapshot) -> tuple[OwnRow, ...]:
    """All of them, by name."""
    return tuple(_row(vm) for vm in snapshot.own_vms)


def _row(vm: VmView) -> OwnRow:
    going = vm.wish == "removed"
    known = vm.wish in {"run", "hold", "rest", "off"}
    rests = vm.wish in {"hold", "rest", "off"} or (vm.reason is not None and vm.reason.code == "stopped-by-user")
    up = vm.state in _UP
    return OwnRow(
        vm_id=vm.vm_id,
        name=vm.name,
        state=_state(vm),
        about=vm.about,
        reason=vm.reason.text if vm.reason is not None else "",
        console=vm.console,
        start=OrderVm(vm.vm_id, VmVerb.START) if known and rests else None,
        stop=OrderVm(vm.vm_id, VmVerb.SAVE) if known and (up or vm.wish == "run") and vm.wish != "rest" else None,
        remove=None if going else OrderVm(vm.vm_id, VmVerb.REMOVE),
    )


def _state(vm: VmView) -> str:
    if vm.wish in _TURNS:
        return _TURNS[vm.wish]
    return "Not started" if vm.state is VmState.ABSENT else vm_words(vm)


def own_problems(
    snapshot: ClientSnapshot, wanted: frozenset[str], zone: tzinfo | None = None
) -> tuple[ProblemRow, ...]:
    """What went wrong with own VMs; of one that could not be made, what was filled in can be changed.

    Args:
        wanted: names of those whose form is known still.
    """
    theirs = [one for one in snapshot.problems if one.about == ALL or one.about.startswith(MAKING) or is_own(one.about)]
    rows = problem_rows(replace(snapshot, problems=tuple(theirs)), zone)
    return tuple(replace(row, help=CHANGE) if name_in(row.about) in wanted else row for row in rows)


def name_in(about: str) -> str:
    """The name of the VM that could not be made; empty if a problem is about something else."""
    return about.removeprefix(MAKING) if about.startswith(MAKING) else ""


def console_text(text: str) -> str:
    """A console's end without what only a terminal understands."""
    lines = _STEERING.sub("", text).replace("\r", "").split("\n")
    return "\n".join("".join(sign for sign in line if sign.isprintable() or sign == "\t") for line in lines)


def faults_of(wanted: CreateVm, template: Template | None, taken: frozenset[str]) -> dict[str, str]:
    """What is wrong with a new one: place in the form -> sentence; nothing when it can be made.

    Args:
        taken: names that there are.
    """
    faults: dict[str, str] = {}
    if fault := fault_of_name(wanted.name):
        faults["name"] = fault
    elif wanted.name.casefold() in {name.casefold() for name in taken}:
        faults["name"] = "there is one of that name"
    if 0 < wanted.memory_mib < LEAST_MEMORY_MIB:
        faults["memory"] = f"it needs at least {LEAST_MEMORY_MIB} MiB"
    if not wanted.image:
        faults["image"] = "choose the file that it boots from"
    for field in template.fields if template else ():
        if fault := _fault(field, wanted):
            faults[field.name] = fault
    return {place: f"{text[0].upper()}{text[1:]}." for place, text in faults.items()}


def _fault(field: Field, wanted: CreateVm) -> str:
    return take(field, wanted.values.get(field.name))[1]
