"""A guest that resets itself after its VM went on from a saved state: VirtualBox's BIOS then waits for ever.

The core would find that out by the guest's silence, a minute or two later. The log tells of each reset at once, so such
a VM is given a new process, which is all the same to a guest that has just let go of its memory.

Source: VirtualBox's issue 717 on GitHub (7.2.10 and later, on hardware); VirtualBox 7.2.22 without its kernel module.
"""

import asyncio
from collections.abc import Awaitable, Callable

from client import log
from client.errors import ClientError
from client.hypervisor.driver import VmInfo
from client.hypervisor.virtualbox.machine import Machine, Verb
from client.snapshot import VmState

_log = log.logger("hypervisor")


class Revivals:
    """New processes for such VMs, made beside whatever else goes on.

    Args:
        verb: locks a VM by its id.
        restart: gives a VM that is locked a new process.
    """

    def __init__(self, verb: Verb, restart: Callable[[Machine], Awaitable[None]]) -> None:
        self._verb = verb
        self._restart = restart
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: VMs, by id, for whose process it was tried in vain
        self._given_up: dict[str, tuple[int, ...]] = {}

    def look(self, machine: Machine, info: VmInfo) -> None:
        """See whether a VM needs one, by what was just seen of it."""
        is_new = self._given_up.get(machine.vm_id) != info.pids
        if is_new and _hangs(machine, info) and machine.vm_id not in self._tasks:
            task = asyncio.create_task(self._revive(machine.vm_id, info.pids))
            self._tasks[machine.vm_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(machine.vm_id, None))

    async def close(self) -> None:
        """Make no more; what is broken off is for the core to see to."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _revive(self, vm_id: str, pids: tuple[int, ...]) -> None:
        try:
            async with self._verb(vm_id) as machine:
                # Another verb may have been under way.
                if _hangs(machine, await machine.info()):
                    _log.info("The guest of %s reset itself after it was restored; it gets a new process", vm_id)
                    await self._restart(machine)
        except (ClientError, OSError) as error:
            # If it still runs, what the core makes of its silence is what is left.
            self._given_up[vm_id] = pids
            _log.warning("%s could not be started anew: %s", vm_id, error)


def _hangs(machine: Machine, info: VmInfo) -> bool:
    return info.state is VmState.RUNNING and info.guest_resets > 0 and machine.folder.record().restored
