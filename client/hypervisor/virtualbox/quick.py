"""Verbs by the session helper, where it serves; each says whether it was done, and if not, it is VBoxManage's to do."""

import asyncio
from typing import Final

from client.hypervisor.virtualbox.machine import Machine
from client.hypervisor.virtualbox.session import SessionHelper
from client.snapshot import VmState

#: How often VirtualBox is asked whether it has done what the helper began and lost sight of.
_LOOK_PAUSE_S: Final = 1.0
_LOOKS: Final = 300


async def control(helper: SessionHelper, machine: Machine, word: str) -> bool:
    """A verb of `controlvm` on a VM that runs; the caller holds its lock."""
    verb = {"pause": helper.pause, "resume": helper.resume}.get(word)
    if verb is None or helper.why_off:
        return False
    machine.wake()
    return await verb(machine.uuid)


async def save(helper: SessionHelper, machine: Machine) -> bool:
    """Write a VM's state, telling in its note how far that is; the caller holds its lock."""
    if helper.why_off:
        return False

    def tell(percent: int) -> None:
        # In tens: each is a line on a terminal.
        machine.progress = f"{percent // 10 * 10} % of its state is written."

    machine.wake()
    try:
        return await helper.save(machine.uuid, tell) or await _was_begun(machine)
    finally:
        machine.progress = ""


async def _was_begun(machine: Machine) -> bool:
    """Whether VirtualBox saves it, or has saved it, although the helper does not know."""
    for _ in range(_LOOKS):
        state = (await machine.ask()).state
        if state is not VmState.SAVING:
            return state is VmState.SAVED
        await asyncio.sleep(_LOOK_PAUSE_S)
    return False
