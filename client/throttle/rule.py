"""What a rule of the policy is, and what it looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from client.host.sample import Sample
from client.preferences.types import Limits


@dataclass(frozen=True)
class Computer:
    """What this computer has.

    Attributes:
        processors: that guests could use; at least one.
        memory_mib: all of it.
    """

    processors: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class View:
    """All that a rule may look at.

    Attributes:
        at: local wall clock, aware.
        in_use: somebody sits before the computer, or it is not known whether.
        budget_mib: memory of all guests together, by the limits.
        guests_mib: what guests have of it now.
        need_mib: what the first guest to run would take, as long as it is not in memory.
        spent_bytes: of the month's budget for the network.
    """

    limits: Limits
    sample: Sample
    computer: Computer
    at: datetime
    in_use: bool
    budget_mib: int = 0
    guests_mib: int = 0
    need_mib: int = 0
    spent_bytes: int = 0


def _no_time(_: View) -> datetime | None:
    return None


def _no_span(_: View) -> float | None:
    return None


@dataclass(frozen=True)
class Rule:
    """One reason for guests not to run, or for nothing to go over the network.

    Attributes:
        name: kebab-case, stable; the code of the reason.
        preference: key of the preference behind it; empty for none.
        told: when it forbids, for the documentation: half a sentence.
        holds: whether what it minds is the case. Second argument: whether it forbids already; then the threshold
            may be another, so that nothing swings about it.
        says: what is, as the first half of a sentence.
        ends: what ends it, behind `goes on`.
        was: what was, once it is the case no more and the rule only waits.
        until: when the clock ends it.
        over_s: it has to be the case so long before guests that run are stopped. 0: at once.
        under_s: it has to be the case no more for so long before they may go on.
        gone_s: for how long it has been the case no more, if that can be told from the sample.
        guests, transfers: what it keeps from going on.
        frees_memory: guests' memory is needed elsewhere, so holding them is not enough.
        keeps_off_disk: a state must not be written meanwhile only because a guest has been held for long.
    """

    name: str
    preference: str
    told: str
    holds: Callable[[View, bool], bool]
    says: Callable[[View], str]
    ends: Callable[[View], str]
    was: str
    until: Callable[[View], datetime | None] = _no_time
    over_s: float = 0.0
    under_s: float = 10.0
    gone_s: Callable[[View], float | None] = _no_span
    guests: bool = True
    transfers: bool = False
    frees_memory: bool = False
    keeps_off_disk: bool = False


def always_says(text: str) -> Callable[[View], str]:
    """For words that depend on nothing."""
    return lambda _: text
