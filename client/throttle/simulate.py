"""What the policy would have done: replays changes of samples, as fast as it can, into spans of time.

Changes stand in JSON lines, each with what is other from then on:

    {"at": 0, "idle_s": 0, "on_battery": false, "others_percent": 3}
    {"at": "2026-03-02T09:00:00+01:00", "on_battery": true, "battery_percent": 80}

`at`: seconds since the start, or a time; further keys are the fields of `Sample`, and `spent_bytes`, and `clock_s`: the
wall clock is so many seconds ahead from then on. `idle_s` is as of that moment and grows from there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from client.host.sample import Sample
from client.preferences.types import Limits
from client.throttle.decision import Decision, Rung
from client.throttle.moment import Moment
from client.throttle.past import Past
from client.throttle.policy import decide
from client.throttle.rule import Computer

WEEK_S: Final = 7 * 24 * 3600.0
#: a Monday
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
#: two looks are at least so far apart
_LEAST_S: Final = 0.001


@dataclass(frozen=True)
class Change:
    """What is other from a moment on.

    Attributes:
        s: since the start.
        sample: fields of `Sample` with their new values.
        clock_s: how far ahead the wall clock is from then on; None: as it was.
        spent_bytes: over the network in this month; None: as it was.
    """

    s: float
    sample: Mapping[str, Any]
    clock_s: float | None = None
    spent_bytes: int | None = None


@dataclass(frozen=True)
class World:
    """What a replay takes place in.

    Attributes:
        start: aware; when second 0 is.
        guest_mib: memory of the simulated guest.
        span_s: how long it lasts.
    """

    limits: Limits = field(default_factory=Limits)
    computer: Computer = field(default_factory=lambda: Computer(4, 8192))
    start: datetime = START
    guest_mib: int = 1024
    span_s: float = WEEK_S


@dataclass(frozen=True)
class Step:
    """One look of the replay.

    Attributes:
        guests_mib: memory that the guest had at that moment.
        past: what the next look was given.
    """

    now: Moment
    sample: Sample
    decision: Decision
    guests_mib: int
    spent_bytes: int
    past: Past


@dataclass(frozen=True)
class Span:
    """A time in which nothing changed for the guests.

    Attributes:
        first_s, end_s: since the start.
        first: on the wall clock.
        reason: code of the rule; empty while they ran.
        text: the sentence at its beginning.
    """

    first_s: float
    end_s: float
    first: datetime
    rung: Rung
    cpu_percent: int
    reason: str = ""
    text: str = ""

    @property
    def length_s(self) -> float:
        """How long it was."""
        return self.end_s - self.first_s


@dataclass
class _Replay:
    world: World
    known: dict[str, Any] = field(default_factory=dict)
    seen_s: float = 0.0
    clock_s: float = 0.0
    spent_bytes: int = 0
    in_memory: bool = False

    def take(self, change: Change) -> None:
        """Let it be so from now on."""
        self.known |= change.sample
        if "idle_s" in change.sample:
            self.seen_s = change.s
        if change.clock_s is not None:
            self.clock_s = change.clock_s
        if change.spent_bytes is not None:
            self.spent_bytes = change.spent_bytes

    def look(self, s: float, past: Past | None) -> tuple[Step, Past]:
        """Decide at a moment."""
        now = Moment(wall_clock(self.world.start, s + self.clock_s), s)
        known = dict(self.known)
        if known.get("idle_s") is not None:
            known["idle_s"] += s - self.seen_s
        sample = Sample(**known)
        guests_mib = self.world.guest_mib if self.in_memory else 0
        decision, past = decide(
            self.world.limits,
            sample,
            self.world.computer,
            now,
            past or Past.of_start(now),
            guests_mib=guests_mib,
            need_mib=self.world.guest_mib - guests_mib,
            spent_bytes=self.spent_bytes,
        )
        if decision.rung is not Rung.HOLD:
            self.in_memory = decision.rung is Rung.RUN
        return Step(now, sample, decision, guests_mib, self.spent_bytes, past), past


def replay(changes: Iterable[Change], world: World) -> Iterator[Step]:
    """All looks: at each change, and whenever the decision said that it may change by the clock.

    Args:
        changes: in the order of time.
    """
    state, past, s = _Replay(world), None, 0.0
    waiting = iter(changes)
    change = next(waiting, None)
    while s < world.span_s:
        while change is not None and change.s <= s:
            state.take(change)
            change = next(waiting, None)
        step, past = state.look(s, past)
        yield step
        ends = [world.span_s]
        if change is not None:
            ends.append(change.s)
        if step.decision.changes_at is not None:
            ends.append(s + max(_LEAST_S, (step.decision.changes_at - step.now.at.astimezone(UTC)).total_seconds()))
        s = min(ends)


def spans(steps: Iterable[Step], end_s: float = WEEK_S) -> list[Span]:
    """The looks, those that are alike put together."""
    found: list[Span] = []
    for step in steps:
        decision, reason = step.decision, step.decision.reason
        code = reason.code if reason else ""
        last = found[-1] if found else None
        if last and (last.rung, last.cpu_percent, last.reason) == (decision.rung, decision.cpu_percent, code):
            continue
        if last:
            found[-1] = replace(last, end_s=step.now.s)
        text = reason.text if reason else ""
        found.append(Span(step.now.s, end_s, step.now.at, decision.rung, decision.cpu_percent, code, text))
    return found


def totals(found: Sequence[Span]) -> dict[str, float]:
    """Seconds by reason, the longest first; those in which guests ran under the empty one."""
    sums: dict[str, float] = {}
    for span in found:
        sums[span.reason] = sums.get(span.reason, 0.0) + span.length_s
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def wall_clock(start: datetime, s: float) -> datetime:
    """What the wall clock shows so long after the start."""
    return (start.astimezone(UTC) + timedelta(seconds=s)).astimezone(start.tzinfo)
