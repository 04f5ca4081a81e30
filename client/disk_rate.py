"""Has guests' reading and writing of disks keep to the limit, by the hypervisor, where it can."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from client.errors import ClientError
from client.hypervisor.driver import LiveControl
from client.hypervisor.errors import NotSupportedByDriver
from client.log import logger

#: before a hypervisor that did not do it is asked again
AGAIN_S: Final = 5.0


@dataclass(frozen=True)
class InMemory:
    """A VM that runs or is held. pids: of it; is_limited: the limit holds for it, too."""

    pids: tuple[int, ...]
    is_limited: bool = True


class DiskRate:
    """Asks the hypervisor whenever there is something new to ask for."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[int, ...], int]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._unable: LiveControl | None = None
        self._is_said = False
        self._not_before = 0.0

    def hold(self, live: LiveControl | None, bytes_s: int, vms: Mapping[str, InMemory]) -> None:
        """Have this hold from now on. To be called at each turn, in a running loop; never waits.

        Args:
            live: None: nothing can be changed while a VM runs.
            bytes_s: all of those together that are limited; 0: no limit.
            vms: vm_id -> VM.
        """
        is_busy = self._asking is not None and not self._asking.done()
        if live is not None and live is self._unable:
            self._say_unable(bytes_s)
            return
        if live is None or is_busy or asyncio.get_running_loop().time() < self._not_before:
            return
        each = bytes_s // max(1, sum(vm.is_limited for vm in vms.values()))
        # A process begins without a limit, but one that runs already may have that of a client that was killed.
        self._held = {vm_id: held for vm_id, held in self._held.items() if vm_id in vms and held[0] == vms[vm_id].pids}
        wanted = {vm_id: (vm.pids, each if vm.is_limited else 0) for vm_id, vm in vms.items()}
        due = {vm_id: one for vm_id, one in wanted.items() if self._held.get(vm_id) != one}
        if due:
            self._asking = asyncio.create_task(self._ask(live, due))

    async def close(self) -> None:
        """Ask for nothing more; what was asked holds as long as the VMs' processes."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self, live: LiveControl, due: Mapping[str, tuple[tuple[int, ...], int]]) -> None:
        for vm_id, (pids, bytes_s) in due.items():
            try:
                await live.set_disk_rate(vm_id, bytes_s)
            except NotSupportedByDriver:
                self._unable, self._is_said = live, False
                self._say_unable(bytes_s)
                return
            except (ClientError, OSError) as error:
                self._not_before = asyncio.get_running_loop().time() + AGAIN_S
                logger("core").info("The disk traffic of %s is not limited yet: %s", vm_id, error)
                return
            self._held[vm_id] = (pids, bytes_s)

    def _say_unable(self, bytes_s: int) -> None:
        if bytes_s and not self._is_said:
            self._is_said = True
            logger("core").info("The limit on disk traffic does not hold here: this hypervisor has none")
