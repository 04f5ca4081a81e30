"""What the system counts of processes, and the arithmetic that makes shares of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: What a count may be short of the truth: two ticks of the coarsest system.
_SLACK_S: Final = 0.04


@dataclass(frozen=True)
class Who:
    """A process, and no other that may get its pid later: two of one pid do not share `started`, opaque."""

    pid: int
    started: float


@dataclass(frozen=True)
class Counters:
    """What is counted of one process since it began.

    Attributes:
        parent: pid.
        cpu_s: its own. What a guest executes in it is contained once.
        reaped_s: of its children that have ended and that it waited for, with theirs.
        memory_bytes: resident now.
        read_bytes, written_bytes: at the disk; 0 where that is not told.
        fresh: it began after the look before.
    """

    who: Who
    parent: int
    cpu_s: float
    reaped_s: float = 0.0
    memory_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    fresh: bool = False


@dataclass(frozen=True)
class Look:
    """One look at the counters.

    Attributes:
        at: monotonic seconds.
        busy_s: processor time of the whole computer that was not idle, since an arbitrary start.
        processors: how many take part.
        processes: ours, each once: pid -> counters.
        vm_of: pid -> vm_id, of those that belong to a VM; the others are the program's own.
    """

    at: float
    busy_s: float
    processors: int
    processes: Mapping[int, Counters]
    vm_of: Mapping[int, str] = field(default_factory=dict)


def spent_between(before: Look, now: Look) -> dict[int, float]:
    """CPU seconds that each process of `now` used in between: pid -> seconds, never negative.

    What a child used until its end is its parent's, if the parent waited for it; else the system does not tell.
    A process that joins, that is: that was there before without being ours, counts from its second look on.
    """
    inherited = _inherited(before, now)
    spent = {}
    for pid, one in now.processes.items():
        old = before.processes.get(pid)
        if old is not None and old.who == one.who:
            own, reaped = one.cpu_s - old.cpu_s, one.reaped_s - old.reaped_s
        elif one.fresh:
            own, reaped = one.cpu_s, one.reaped_s
        else:
            own, reaped = 0.0, 0.0
        # Of a child that nobody waited for (its signal is ignored) nothing arrives, so nothing is taken off.
        counted = inherited.get(pid, 0.0)
        if reaped + _SLACK_S >= counted:
            reaped -= counted
        spent[pid] = max(0.0, own) + max(0.0, reaped)
    return spent


def percent_of_all(seconds: float, before: Look, now: Look) -> float:
    """CPU seconds between two looks as a share of all processors together, 0..100."""
    whole_s = (now.at - before.at) * now.processors
    return min(100.0, max(0.0, 100.0 * seconds / whole_s)) if whole_s > 0 else 0.0


def _inherited(before: Look, now: Look) -> dict[int, float]:
    """What was counted already of processes that have gone since, by who would have waited for them."""
    gone = {pid: one for pid, one in before.processes.items() if not _is_there(one, now)}
    inherited: dict[int, float] = {}
    for one in gone.values():
        heir, steps = one.parent, 0
        # A parent that has gone as well has handed on what it had; a loop of reused pids must not hold us.
        while heir in gone and steps < len(gone):
            heir, steps = gone[heir].parent, steps + 1
        inherited[heir] = inherited.get(heir, 0.0) + one.cpu_s + one.reaped_s
    return inherited


def _is_there(one: Counters, now: Look) -> bool:
    found = now.processes.get(one.who.pid)
    return found is not None and found.who == one.who
