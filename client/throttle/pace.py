"""How much of the processor guests get, in one sentence for whoever wonders why they are slow."""

from typing import Final

from client.host.sample import Sample
from client.preferences.types import Limits
from client.throttle import budget
from client.throttle.decision import Decision, Rung
from client.throttle.moment import Moment

#: others have to leave less than guests may have for so long before that is said: a load of a few seconds slows nobody
STARVING_S: Final = 10.0
_STARVED: Final = "Other programs need the processors now, and virtual machines get only what these leave."


class Pace:
    """Knows since when guests get less than they may have."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def words(
        self, decision: Decision, limits: Limits, sample: Sample, now: Moment, *, processors: int, cpus: int
    ) -> str:
        """Why guests are slower than they could be; empty when they are not, or do not run.

        Args:
            processors: of the computer.
            cpus: that running guests have, all together.
        """
        if decision.rung is not Rung.RUN or not cpus:
            self._since_s = None
            return ""
        if self._starve(decision, sample, now, processors, cpus):
            return _STARVED
        return _limit_words(decision, limits, sample, now) if decision.cpu_percent < 100 * cpus else ""

    def _starve(self, decision: Decision, sample: Sample, now: Moment, processors: int, cpus: int) -> bool:
        left_percent = (100.0 - (sample.others_percent or 0.0)) * processors
        if left_percent >= min(decision.cpu_percent, 100 * cpus) / 2:
            self._since_s = None
            return False
        self._since_s = now.s if self._since_s is None else self._since_s
        return now.s - self._since_s >= STARVING_S


def _limit_words(decision: Decision, limits: Limits, sample: Sample, now: Moment) -> str:
    limit = f"Virtual machines get at most {decision.cpu_percent} % of one processor"
    if limits.when.quiet.spans and limits.when.quiet.holds(now.at):
        return f"{limit} in quiet hours."
    if not budget.is_in_use(limits, sample):
        return f"{limit}, as you have set it."
    if sample.idle_s is None:
        return f"{limit}: this computer does not tell whether somebody uses it, so it counts as in use."
    return f"{limit} while you use the computer."
