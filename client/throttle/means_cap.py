"""Holds VMs to a budget by the hypervisor's own cap, where it has one that works."""

from collections.abc import Awaitable, Callable
from typing import Final

from client.throttle.means import Budget, Kept, differ

#: What the hypervisor is asked: vm_id, percent of one processor (None: no cap).
SetCap = Callable[[str, float | None], Awaitable[None]]
#: Caps are whole percents everywhere; each change is a command.
_STEP_PERCENT: Final = 1.0


class CapMeans:
    """Each VM gets an equal part of the budget: a cap knows nothing of what another VM leaves.

    Args:
        set_cap: raises ClientError where there is no such setting.
    """

    name = "hypervisor's cap"
    ranks = False

    def __init__(self, set_cap: SetCap | None) -> None:
        self._set_cap = set_cap
        self._set: dict[str, float | None] = {}

    async def is_offered(self) -> bool:
        """Whether there is anybody to ask."""
        return self._set_cap is not None

    async def keep(self, budget: Budget) -> Kept:
        """See `Means`."""
        assert self._set_cap is not None
        for vm_id in self._set.keys() - budget.vms.keys():
            # It is to be free for a while, or has ended: a hypervisor keeps the cap for the next start.
            if self._set.pop(vm_id) is not None:
                await self._set_cap(vm_id, None)
        share = None if budget.percent is None else budget.percent / max(1, len(budget.vms))
        for vm_id in budget.vms:
            before = self._set.get(vm_id)
            if differ(before, share, _STEP_PERCENT):
                await self._set_cap(vm_id, share)
                self._set[vm_id] = share
        return Kept()

    async def release(self) -> None:
        """See `Means`."""
        for vm_id, percent in self._set.items():
            if percent is not None and self._set_cap is not None:
                await self._set_cap(vm_id, None)
        self._set = {}
