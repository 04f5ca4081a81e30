"""How long each VM may execute in the next tenth of a second, so that all together keep to one budget. Pure.

Imported by a child process that knows the standard library only.
"""

from collections.abc import Iterable, Mapping
from typing import Final

#: Measured: at 100 ms a guest's longest gap is about the period, at 1 s games and calls feel it.
PERIOD_S: Final = 0.1
#: What a VM may be behind: it is made good by waiting.
_MOST_DEBT_S: Final = 1.0
#: What it may be ahead: of a guest that does not want all so many periods, of others more, for their runs may just have
#: been cut too short.
_CREDIT_PERIODS: Final = 1
_CREDIT_PERIODS_BUSY: Final = 3
#: Beyond this a rate has changed; below, looks at short runs differ by themselves.
_JUMP: Final = 1.5
#: Stops that are shorter than this are left out; their seconds are taken off the next period.
_SHORTEST_STOP_S: Final = 0.001
#: A VM that used less of its running time than this did not want more.
_WANTED: Final = 0.5
#: Runs are no shorter; what is used too much is waited for.
_SHORTEST_RUN_S: Final = 0.002
#: What a VM that does not want all is given above what it used, so that it can begin to want.
_ROOM: Final = 0.02


class _Account:
    """A VM's seconds: what it may still use, how fast it uses them while it executes, how long that may be."""

    # No dataclass: those need libraries that take longer to load than all the rest of the child.
    def __init__(self) -> None:
        self.credit_s = 0.0
        self.rate = 1.0
        self.planned_s = 0.0
        self.share = 0.0


class Cycle:
    """Plans period after period, from what was used in the last one.

    Args:
        processors: of the computer: nobody uses more seconds a second, whatever late signals make it look like.
    """

    def __init__(self, processors: int = 1) -> None:
        self._processors = processors
        self._accounts: dict[str, _Account] = {}

    def plan(
        self, budget: float, used: Mapping[str, float], ran: Mapping[str, float], passed_s: float = PERIOD_S
    ) -> dict[str, float]:
        """Seconds of the next period in which each VM may execute; a whole period: without a stop.

        Args:
            budget: CPU seconds a second of all together.
            used: vm_id -> CPU seconds since the last plan; who is not named has gone.
            ran: vm_id -> seconds since the last plan in which it was not stopped, as they came to be.
            passed_s: seconds since the last plan.
        """
        self._accounts = {vm_id: self._accounts.get(vm_id, _Account()) for vm_id in used}
        wanted = {vm_id: _wants(one, used[vm_id], ran[vm_id], passed_s) for vm_id, one in self._accounts.items()}
        for vm_id, share in split(budget, wanted).items():
            one = self._accounts[vm_id]
            self._settle(one, used[vm_id], ran[vm_id], passed_s, is_busy=wanted[vm_id] is None)
            one.share = share
            one.planned_s = _running_time(one)
        return {vm_id: one.planned_s for vm_id, one in self._accounts.items()}

    def _settle(self, one: _Account, used_s: float, ran_s: float, passed_s: float, *, is_busy: bool) -> None:
        # What it did not use is not saved up: a guest that wakes must not burst.
        most_s = one.share * PERIOD_S * (_CREDIT_PERIODS_BUSY if is_busy else _CREDIT_PERIODS)
        one.credit_s = max(-_MOST_DEBT_S, min(most_s, one.credit_s + one.share * passed_s - used_s))
        if ran_s > 0.0:
            seen = min(used_s / ran_s, self._processors)
            one.rate = seen if seen > _JUMP * one.rate else 0.7 * one.rate + 0.3 * seen


def _wants(one: _Account, used_s: float, ran_s: float, passed_s: float) -> float | None:
    """CPU seconds a second that it could use; None: all there are."""
    was_stopped = one.planned_s < PERIOD_S
    if was_stopped and used_s >= _WANTED * ran_s:
        return None
    if used_s >= 0.9 * one.share * passed_s:
        return None
    return 1.5 * used_s / passed_s + _ROOM


def split(budget: float, wanted: Mapping[str, float | None]) -> dict[str, float]:
    """Fair shares: nobody gets more than is wanted (None: all that there is), what is left goes to the others."""
    shares: dict[str, float] = {}
    left = budget
    modest = sorted((most, vm_id) for vm_id, most in wanted.items() if most is not None)
    for place, (most, vm_id) in enumerate(modest):
        shares[vm_id] = min(most, left / (len(wanted) - place))
        left -= shares[vm_id]
    greedy = [vm_id for vm_id, most in wanted.items() if most is None]
    shares.update((vm_id, left / len(greedy)) for vm_id in greedy)
    return shares


def turns(plan: Mapping[str, float]) -> Iterable[tuple[float, str, bool]]:
    """When who may go on (True) or has to stop, in the order of time, seconds from the beginning of the period.

    VMs take turns as far as there is room, so that the other processors are free meanwhile.
    """
    events: list[tuple[float, str, bool]] = []
    free_at = 0.0
    for vm_id, run_s in sorted(plan.items()):
        if run_s >= PERIOD_S:
            events.append((0.0, vm_id, True))
        elif run_s <= 0.0:
            events.append((0.0, vm_id, False))
        else:
            starts = max(0.0, min(free_at, PERIOD_S - run_s))
            free_at = starts + run_s
            if starts:
                events.append((0.0, vm_id, False))
            events += [(starts, vm_id, True), (free_at, vm_id, False)]
    # By time alone: of what happens to one VM at the same time the order counts.
    return sorted(events, key=lambda event: event[0])


def _running_time(one: _Account) -> float:
    allowed_s = one.share * PERIOD_S + one.credit_s
    if allowed_s <= 0.0:
        return 0.0
    run_s = allowed_s / max(one.rate, 0.01)
    if run_s >= PERIOD_S - _SHORTEST_STOP_S:
        return PERIOD_S
    # Never so short that nothing can be learned of it: a rate that was taken for too high would hold it for ever.
    return max(run_s, _SHORTEST_RUN_S)
