"""May guests run now, how much do they get, and why not? A pure function of limits, sample, time and what was before.

Each rule (`client.throttle.rules`) minds one thing. It forbids once that has been the case for its `over_s`, and
allows once it has not been for its `under_s`. While guests do not run every rule forbids at once, so that they do not
begin what would be stopped a moment later. Guests run when no rule forbids. That is all the hysteresis there is, and
it keeps the policy monotone: with a stricter limit guests never run when they would not have with a laxer one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from client.host.sample import Sample
from client.preferences.types import Limits
from client.preferences.week import ALWAYS, NEVER
from client.snapshot import Reason, RuleView
from client.throttle import budget, ladder
from client.throttle.decision import Decision, Rung
from client.throttle.moment import Moment
from client.throttle.past import ALLOWS, FORBIDS, Past, Stand
from client.throttle.rule import Computer, Rule, View
from client.throttle.rules import GUESTS
from client.throttle.rules_transfer import TRANSFERS
from client.throttle.words import wait_words

RULES: Final = GUESTS + TRANSFERS
#: what rules say that do not mind, for guests and for transfers; made once
_GUESTS_FREE: Final = tuple(RuleView(rule.name, rule.preference, forbids=False) for rule in RULES if rule.guests)
_NETWORK_FREE: Final = tuple(RuleView(rule.name, rule.preference, forbids=False) for rule in RULES if rule.transfers)
_ALL_ALLOW: Final = (ALLOWS,) * len(RULES)
#: durations are reckoned in floating point
_GRAIN_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Turn:
    """A rule after this look, if there is anything to say of it.

    Attributes:
        place: of the rule in RULES.
        holds: what it minds is the case.
        left_s: after how long it changes, if nothing else does; None when nothing is under way.
    """

    place: int
    rule: Rule
    stand: Stand
    holds: bool
    left_s: float | None


def decide(
    limits: Limits,
    sample: Sample,
    computer: Computer,
    now: Moment,
    past: Past,
    *,
    guests_mib: int = 0,
    need_mib: int = 0,
    spent_bytes: int = 0,
) -> tuple[Decision, Past]:
    """What guests and transfers may do.

    Args:
        sample: as of `now`. With an older one the time since has to be added to its idle time: see `aged`.
        past: what the last call gave back; `Past.of_start(now)` at first.
        guests_mib: memory that guests take which are in memory, running or held: what they may take, not what they
            happen to use, or the limit on it swings.
        need_mib: what the first guest to run would take; 0 as long as it is in memory.
        spent_bytes: went over the network since the month's count began.

    Returns:
        The decision, and what to give the next call. It holds until the sample changes or `changes_at` comes.
    """
    in_use = budget.is_in_use(limits, sample)
    most_mib = budget.memory_mib(limits, computer, in_use)
    view = View(limits, sample, computer, now.at, in_use, most_mib, guests_mib, need_mib, spent_bytes)
    turns = _settled(_turns(view, now, past), past)
    against = [turn.rule for turn in turns if turn.stand.forbids and turn.rule.guests]
    held_s = 0.0 if past.ran else now.s - past.since_s
    rung = ladder.rung_of(against, limits.memory, past, held_s)
    saves_in_s = ladder.saves_in_s(against, limits.memory, rung, held_s)
    cpus, runs = budget.processors(view), rung is Rung.RUN
    findings = _findings([turn for turn in turns if turn.rule.guests], _GUESTS_FREE, view)
    over_network = _findings([turn for turn in turns if turn.rule.transfers], _NETWORK_FREE, view)
    decision = Decision(
        rung,
        cpus * budget.percent(view) if runs else 0,
        cpus,
        most_mib,
        budget.disk_kib_s(limits, in_use),
        transfers=not over_network[0].forbids,
        reason=_reason(findings),
        transfers_reason=_reason(over_network),
        changes_at=_changes_at(turns, (*findings, *over_network), view, now, saves_in_s),
        findings=findings,
        transfer_findings=over_network,
    )
    since_s = past.since_s if runs is past.ran else now.s
    return decision, Past(rung, since_s, limits, _stands_after(turns))


def aged(sample: Sample, seconds: float) -> Sample:
    """The same look after some time without any news: nobody has touched the computer since."""
    return sample if sample.idle_s is None else replace(sample, idle_s=sample.idle_s + seconds)


def _turns(view: View, now: Moment, past: Past) -> list[_Turn]:
    same = past.limits is view.limits or past.limits == view.limits
    turns = []
    for place, stand in enumerate(past.stands if same else _ALL_ALLOW):
        holds = RULES[place].holds(view, stand.forbids)
        if holds or stand is not ALLOWS:
            turns.append(_turn(place, stand, holds, view, now, past))
    return turns


def _turn(place: int, stand: Stand, holds: bool, view: View, now: Moment, past: Past) -> _Turn:
    rule = RULES[place]
    settled = _Turn(place, rule, FORBIDS if holds else ALLOWS, holds, None)
    if holds is stand.forbids:
        return settled
    since_s = now.s if stand.turning_s is None else stand.turning_s
    if stand.forbids:
        gone_s = rule.gone_s(view)
        since_s = since_s if gone_s is None else min(since_s, now.s - gone_s)
        wait_s = rule.under_s
    else:
        wait_s = rule.over_s if past.ran else 0.0
    left_s = since_s + wait_s - now.s
    return settled if left_s <= _GRAIN_S else _Turn(place, rule, Stand(stand.forbids, since_s), holds, left_s)


def _stands_after(turns: Sequence[_Turn]) -> tuple[Stand, ...]:
    stands = list(_ALL_ALLOW)
    for turn in turns:
        stands[turn.place] = turn.stand
    return tuple(stands)


def _settled(turns: list[_Turn], past: Past) -> list[_Turn]:
    """If guests stop for one rule, no other waits any longer to forbid."""
    if not past.ran or not any(turn.stand.forbids and turn.rule.guests for turn in turns):
        return turns
    return [_Turn(turn.place, turn.rule, FORBIDS, True, None) if turn.holds else turn for turn in turns]


def _findings(turns: Sequence[_Turn], free: tuple[RuleView, ...], view: View) -> tuple[RuleView, ...]:
    """What rules say: first those that forbid for what is the case, then those that only wait, the longest first."""
    against = sorted((turn for turn in turns if turn.stand.forbids), key=lambda turn: -(turn.left_s or math.inf))
    if not against:
        return free
    names = {turn.rule.name for turn in against}
    return (*(_finding(turn, view) for turn in against), *(other for other in free if other.rule not in names))


def _finding(turn: _Turn, view: View) -> RuleView:
    rule = turn.rule
    if turn.left_s is None:
        end = rule.until(view)
        text = f"{rule.says(view)}; goes on {rule.ends(view)}."
        return RuleView(rule.name, rule.preference, True, text, end.astimezone(UTC) if end else None)
    over = view.at.astimezone(UTC) + timedelta(seconds=turn.left_s)
    return RuleView(rule.name, rule.preference, True, f"{rule.was}; goes on {wait_words(over, view.at)}.", over)


def _reason(findings: Sequence[RuleView]) -> Reason | None:
    if not findings[0].forbids:
        return None
    return Reason(findings[0].rule, findings[0].text, findings[0].until)


def _changes_at(
    turns: Sequence[_Turn], findings: Sequence[RuleView], view: View, now: Moment, saves_in_s: float | None
) -> datetime | None:
    """When the first of all clocks runs out that are under way."""
    spans = [turn.left_s for turn in turns if turn.left_s is not None]
    if saves_in_s is not None:
        spans.append(saves_in_s)
    spans += _idle_spans(view)
    ends = [finding.until for finding in findings if finding.until is not None]
    ends += _edges(view)
    if spans:
        ends.append(now.in_s(max(0.0, min(spans))))
    return min(ends, default=None)


def _idle_spans(view: View) -> Iterator[float]:
    """After how long without input something is otherwise."""
    idle_s, when = view.sample.idle_s, view.limits.when
    if idle_s is not None:
        if view.in_use:
            yield when.idle_after_s - idle_s
        if idle_s < when.stop_after_idle_s:
            yield when.stop_after_idle_s - idle_s


def _edges(view: View) -> Iterator[datetime]:
    """When the hours of the week are others, UTC."""
    limits = view.limits
    for week in (limits.when.week, limits.when.quiet, limits.network.week):
        # Most have no hours set, and to reckon with them takes longest of all here.
        if week is ALWAYS or week is NEVER:
            continue
        if (end := week.next_change(view.at)) is not None:
            yield end.astimezone(UTC)
