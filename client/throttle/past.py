"""What the policy has to remember between two looks, so that nothing swings."""

from dataclasses import dataclass
from typing import Final

from client.preferences.types import Limits
from client.throttle.decision import Rung
from client.throttle.moment import Moment


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one rule stands.

    Attributes:
        forbids: as of the last look.
        turning_s: since when what it minds has been otherwise than `forbids` says; None when it is not.
    """

    forbids: bool
    turning_s: float | None = None


ALLOWS: Final = Stand(False)
FORBIDS: Final = Stand(True)


@dataclass(frozen=True)
class Past:
    """What was at the last look. Seconds are those of `Moment.s`.

    Attributes:
        rung: as decided.
        since_s: since when guests may run, or since when they may not.
        limits: as they were. With others every rule is looked at as if for the first time, so that what the
            volunteer changes is felt at once.
        stands: by the rules' order; empty at the start.
    """

    rung: Rung
    since_s: float
    limits: Limits | None = None
    stands: tuple[Stand, ...] = ()

    @classmethod
    def of_start(cls, now: Moment) -> "Past":
        """Nothing ran, and nothing is known."""
        return cls(Rung.HOLD, now.s)

    @property
    def ran(self) -> bool:
        """Whether guests were allowed to run."""
        return self.rung is Rung.RUN
