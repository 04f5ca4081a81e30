"""Agents that asked for a job and got none: who of them is told when some wait."""

import itertools
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from client.copilot.queue.queue import Host, JobQueue
from client.copilot.requirements import parse_requirements

#: Agents remembered.
MAX_ASKERS: Final = 20_000
#: Agents told of work in one tick.
MAX_TOLD: Final = 100
#: For each job that waits so many are told: some of them are not there any more. More would only make each other wait,
#: and who of the original's agents gets no job then hears nothing for up to a minute.
TOLD_OF_A_JOB: Final = 2
#: Agents looked at in one tick; the next goes on with those after them.
MAX_LOOKED_AT: Final = 1000
#: Lanes of the queue that are looked at for it.
MAX_LANES: Final = 100


@dataclass(slots=True, frozen=True)
class Asker:
    """An agent that asked and got nothing, and is told of work from not_before to until (epoch seconds)."""

    until: float
    host: Host
    not_before: float = 0.0


class Askers:
    """Those of one job manager, by full JID."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._askers: OrderedDict[str, Asker] = OrderedDict()
        self._round: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._askers)

    def remember(self, sender: str, asker: Asker) -> None:
        """It asked and got nothing."""
        self._askers[sender] = asker
        self._askers.move_to_end(sender)
        if len(self._askers) > MAX_ASKERS:
            self._askers.popitem(last=False)

    def forget(self, sender: str) -> None:
        """It got an answer. Idempotent."""
        self._askers.pop(sender, None)

    def forget_late(self, now: float) -> None:
        """Those among the oldest whose time is over."""
        oldest = itertools.islice(self._askers.items(), MAX_LOOKED_AT)
        for name in [name for name, asker in oldest if asker.until < now]:
            del self._askers[name]

    def take(self, now: float) -> list[str]:
        """Whom to tell of what waits now; they are remembered no more.

        All have their turn: the next call goes on behind the last one that was looked at here.
        """
        offers = _Offers(self._queue) if self._askers else None
        if offers is None or offers.are_gone():
            return []
        if not self._round:
            self._round.extend(self._askers)
        told: list[str] = []
        for _ in range(min(MAX_LOOKED_AT, len(self._round))):
            name = self._round.popleft()
            asker = self._askers.get(name)
            if asker is None or asker.not_before > now:
                continue
            offer = offers.for_host(asker.host)
            if offer is None or not self._queue.may_work(name, now):
                continue
            del self._askers[name]
            told.append(name)
            offers.use(offer)
            if len(told) == MAX_TOLD or offers.are_gone():
                break
        return told


class _Offers:
    """How many agents more may be told of what waits, by requirements."""

    def __init__(self, queue: JobQueue) -> None:
        lanes = queue.waiting(MAX_LANES)
        self._queue = queue
        self._is_all = len(lanes) < MAX_LANES
        self._left: Counter[str] = Counter()
        for requirements, number in lanes:
            self._left[requirements] += TOLD_OF_A_JOB * number
        self._fitting: dict[int, tuple[str, ...]] = {}
        self._beyond: dict[int, bool] = {}

    def are_gone(self) -> bool:
        return self._is_all and not self._left

    def for_host(self, host: Host) -> str | None:
        """Requirements that it meets and of which somebody may be told; None for none."""
        # By identity: those with the same description share one, which lives as long as they do.
        key = id(host)
        if key not in self._fitting:
            self._fitting[key] = tuple(text for text in self._left if parse_requirements(text).met_by(host))
        for text in self._fitting[key]:
            if self._left[text] > 0:
                return text
        return None if self._is_all or not self._has_more(key, host) else ""

    def use(self, requirements: str) -> None:
        """Somebody is told of a job with these."""
        self._left[requirements] -= 1
        if self._left[requirements] <= 0:
            del self._left[requirements]

    def _has_more(self, key: int, host: Host) -> bool:
        """Whether there may be something for it among the lanes that were not looked at."""
        if self._fitting[key]:
            return False
        if key not in self._beyond:
            self._beyond[key] = self._queue.has_work(host)
        return self._beyond[key]
