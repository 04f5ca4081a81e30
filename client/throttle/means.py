"""What a governor asks of any way to hold VMs to a budget; the ways themselves are in `means_*.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from client.process import Identity

Vms = Mapping[str, tuple[Identity, ...]]


@dataclass(frozen=True)
class Budget:
    """What all VMs together may use.

    Attributes:
        percent: of one processor; None: no limit, which must cost nothing.
        vms: vm_id -> processes; they share fairly, and what one does not use is the others'.
        idle: they come after all other programs.
    """

    percent: float | None
    vms: Vms = field(default_factory=dict)
    idle: bool = True


@dataclass(frozen=True)
class Kept:
    """What the guard has to know of a budget that is kept.

    Attributes:
        duty_percent: of one processor, to be kept by the guard's duty cycle; None: it is kept otherwise.
        lift: files and what to write into them when the client is gone, so that the limit is.
    """

    duty_percent: float | None = None
    lift: tuple[tuple[str, str], ...] = ()


class Means(Protocol):
    """One way to hold VMs to a budget.

    Attributes:
        ranks: it also has them come after all other programs, if the budget says so.
    """

    name: str
    ranks: bool

    async def is_offered(self) -> bool:
        """Whether this computer has it, and lets this user have it. Whether it works, measuring tells."""

    async def keep(self, budget: Budget) -> Kept:
        """Hold these VMs to this budget from now on. The same again costs nothing.

        Raises:
            ClientError, OSError: the system refuses; another means has to do it.
        """

    async def release(self) -> None:
        """Leave no limit and nothing of its own behind. Nothing happens if nothing is held."""


class DutyMeans:
    """The guard stops and continues the VMs' processes ten times a second: works wherever there are such signals."""

    name = "duty cycle"
    ranks = False

    def __init__(self, has_signals: bool) -> None:
        self._has_signals = has_signals

    async def is_offered(self) -> bool:
        """Everywhere but on Windows."""
        return self._has_signals

    async def keep(self, budget: Budget) -> Kept:
        """Have the guard do it."""
        return Kept(budget.percent)

    async def release(self) -> None:
        """The guard lets all go on as soon as it is not asked any more."""


def differ(one: float | None, other: float | None, step: float) -> bool:
    """Whether two limits differ so much that it is worth a command."""
    if one is None or other is None:
        return one is not other
    return abs(one - other) >= step
