"""What the policy decides: how far down the ladder guests have to go, what they get, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from client.snapshot import Reason, RuleView


class Rung(IntEnum):
    """The ladder, from no burden on others' account to none at all; a higher one frees more."""

    #: execute, within `Decision.cpu_percent`
    RUN = 0
    #: be held in memory: no processor time, nothing lost
    HOLD = 1
    #: have the state on disk: no memory either
    SAVE = 2
    #: be off
    OFF = 3


@dataclass(frozen=True)
class Decision:
    """What guests may do now.

    Attributes:
        cpu_percent: of one processor, all guests together; 0 unless the rung is RUN.
        cpus: most processors that guests may use side by side.
        memory_mib: of all guests together.
        disk_kib_s: that all guests together may read and write; 0: no limit.
        transfers: whether anything may go over the network now.
        reason: why guests do not run; None when they may.
        transfers_reason: why nothing may be transferred; None when it may.
        changes_at: the earliest time at which this may change by the clock alone, aware UTC; None: only by an event.
        findings: what each rule for guests says, those that forbid first.
        transfer_findings: likewise of the rules for the network, where `forbids` is about transfers.
    """

    rung: Rung
    cpu_percent: int
    cpus: int
    memory_mib: int
    disk_kib_s: int = 0
    transfers: bool = True
    reason: Reason | None = None
    transfers_reason: Reason | None = None
    changes_at: datetime | None = None
    findings: tuple[RuleView, ...] = ()
    transfer_findings: tuple[RuleView, ...] = ()
