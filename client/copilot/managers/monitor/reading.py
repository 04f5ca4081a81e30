"""What the queue holds now, as far as the monitor shows it."""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from client.copilot.managers.config import Config
from client.copilot.queue.errors import QueueError, QueueUnusable
from client.copilot.queue.open import open_queue
from client.copilot.queue.queue import AgentRecord, JobState
from client.errors import ClientError

#: an owner whose agents were seen within this time is there
ACTIVE_S: Final = 600.0
#: owners that are looked at
MAX_OWNERS: Final = 20_000
#: owners and versions that are shown by name
_SHOWN: Final = 10
_OTHERS: Final = "others"


@dataclass(frozen=True)
class OwnerRow:
    """What one owner did."""

    owner: str
    version: str
    accepted: int
    refused: int
    failed: int
    lost: int
    reliability: float
    last_seen: float


@dataclass(frozen=True)
class Reading:
    """One look into the queue.

    Attributes:
        at: epoch seconds; 0: nobody has looked yet.
        jobs: state -> how many.
        by_version: (version, owners whose agents have it), the most frequent first.
        active, working, known, drained: owners: seen lately, with a job, remembered, without new jobs by the
            operator's wish.
        top: those with the most accepted results.
        fault: why it could not be read; empty when it could.
        took_s: how long the look took.
    """

    at: float = 0.0
    jobs: Mapping[str, int] = field(default_factory=dict)
    by_version: Sequence[tuple[str, int]] = ()
    active: int = 0
    working: int = 0
    known: int = 0
    drained: int = 0
    all_drained: bool = False
    top: Sequence[OwnerRow] = ()
    fault: str = ""
    took_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether it says anything of the queue."""
        return bool(self.at) and not self.fault


def read_queue(config: Config) -> Reading:
    """Look into the queue that the configuration names. Blocks; for a thread of its own."""
    began, now = time.monotonic(), time.time()
    try:
        with contextlib.closing(open_queue(config)) as queue:
            counts, agents, drained = queue.counts(), queue.agents(MAX_OWNERS), queue.drained()
    except (QueueError, ClientError, OSError) as error:
        return Reading(at=now, fault=_fault(error), took_s=time.monotonic() - began)
    return sum_up(counts, agents, drained, now, time.monotonic() - began)


def _fault(error: Exception) -> str:
    said = f"{error.path}: {error.said}" if isinstance(error, QueueUnusable) else str(error)
    return said[:500]


def sum_up(
    counts: Mapping[JobState, int], agents: Sequence[AgentRecord], drained: set[str], now: float, took_s: float
) -> Reading:
    """What is shown of what was read."""
    present = [agent for agent in agents if agent.job_id or now - agent.last_seen < ACTIVE_S]
    top = sorted(agents, key=lambda agent: (-agent.accepted, -agent.last_seen))
    return Reading(
        at=now,
        jobs={state.value: counts[state] for state in JobState},
        by_version=_largest(Counter(agent.version or "unknown" for agent in present)),
        active=len(present),
        working=sum(bool(agent.job_id) for agent in agents),
        known=len(agents),
        drained=len(drained - {""}),
        all_drained="" in drained,
        top=[_row(agent) for agent in top[:_SHOWN] if agent.accepted],
        took_s=took_s,
    )


def _largest(numbers: Counter[str]) -> list[tuple[str, int]]:
    shown = numbers.most_common(_SHOWN)
    rest = numbers.total() - sum(number for _, number in shown)
    return [*shown, (_OTHERS, rest)] if rest else shown


def _row(agent: AgentRecord) -> OwnerRow:
    return OwnerRow(
        owner=agent.owner[:200],
        version=agent.version[:64],
        accepted=agent.accepted,
        refused=agent.refused,
        failed=agent.failed,
        lost=agent.lost,
        reliability=agent.reliability,
        last_seen=agent.last_seen,
    )
