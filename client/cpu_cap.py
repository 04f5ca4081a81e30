"""The hypervisor's own cap on the processors of its VMs, for the governor, which is there before any hypervisor."""

import asyncio
from collections.abc import Mapping
from typing import Final

from client.errors import ClientError
from client.hypervisor.driver import LiveControl
from client.hypervisor.errors import NoSuchVm, NotSupportedByDriver
from client.log import logger

#: The turn waits so long for a hypervisor to answer, and then goes on without it; most take a tenth of a second.
PATIENCE_S: Final = 0.5
_NO_CAP: Final = 100


class CpuCap:
    """Asks the hypervisor that is in use; of several wishes for one VM, the last counts.

    Only that there is no such setting is an error: whatever else goes wrong, the governor's measuring tells.
    """

    def __init__(self) -> None:
        self._live: LiveControl | None = None
        self._unable: LiveControl | None = None
        self._cpus: Mapping[str, int] = {}
        self._wanted: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._is_known: frozenset[str] = frozenset()

    def use(self, live: LiveControl | None, cpus: Mapping[str, int]) -> None:
        """From now on these VMs, of this hypervisor, are meant. To be called at each turn, in a running loop.

        What is seen for the first time is freed of the cap that a killed client may have left.

        Args:
            cpus: vm_id -> how many processors it has, of all whose processes are there.
        """
        if live is not self._live:
            self._live, self._is_known = live, frozenset()
        new = cpus.keys() - self._is_known
        self._cpus, self._is_known = cpus, frozenset(cpus)
        if live is None or live is self._unable:
            return
        for vm_id in new - self._wanted.keys():
            self._ask(vm_id, _NO_CAP)

    async def set(self, vm_id: str, percent: float | None) -> None:
        """Have a VM use at most so much of one processor; None: no cap. Waits a moment only.

        Raises:
            NotSupportedByDriver: there is no such setting.
        """
        live = self._live
        if live is None:
            return
        if live is not self._unable:
            each = _NO_CAP if percent is None else round(percent / self._cpus.get(vm_id, 1))
            await asyncio.wait((self._ask(vm_id, max(1, min(_NO_CAP, each))),), timeout=PATIENCE_S)
        if live is self._unable:
            raise NotSupportedByDriver("this hypervisor", "set a limit on the processor of")

    async def close(self) -> None:
        """Ask this hypervisor for nothing more."""
        self._live, asking = None, [*self._asking.values()]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        self._asking, self._wanted = {}, {}

    def _ask(self, vm_id: str, percent: int) -> "asyncio.Task[None]":
        self._wanted[vm_id] = percent
        if vm_id not in self._asking:
            self._asking[vm_id] = asyncio.create_task(self._until_told(vm_id))
        return self._asking[vm_id]

    async def _until_told(self, vm_id: str) -> None:
        """Tell the newest wish, until there is no newer one."""
        live = self._live
        try:
            while live is not None and (percent := self._wanted.pop(vm_id, None)) is not None:
                await live.set_cpu_cap(vm_id, percent)
        except NotSupportedByDriver:
            self._unable = live
        except NoSuchVm:
            return
        except (ClientError, OSError) as error:
            logger("core").info("The hypervisor's cap of %s is not as it was asked for: %s", vm_id, error)
        finally:
            self._wanted.pop(vm_id, None)
            self._asking.pop(vm_id, None)
