"""What holds of the policy for any limits and any history."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from client.preferences.types import Limits
from client.throttle.decision import Decision, Rung
from client.throttle.moment import Moment
from client.throttle.policy import RULES, aged, decide
from tests.helpers.week_checker import Sight, network_objections, objections
from tests.unit.throttle.policy_cases import GOOD, HERE, HISTORIES, WAITS, News, Played, limits, strictest

MEMORY = st.sampled_from(({}, {"guests_mib": 1000}, {"guests_mib": 4000}, {"need_mib": 1000}))
SOFT = {rule.name for rule in RULES if rule.over_s}
LONGEST_S = max(rule.under_s for rule in RULES)


def course(decision: Decision) -> tuple[object, ...]:
    """All of a decision but when it is looked at again, and its words."""
    codes = [reason.code if reason else "" for reason in (decision.reason, decision.transfers_reason)]
    size = (decision.rung, decision.cpu_percent, decision.cpus, decision.memory_mib)
    return (*size, decision.transfers, *codes)


def sight(play: Played) -> Sight:
    memory = [play.memory.get(name, 0) for name in ("guests_mib", "need_mib", "spent_bytes")]
    return Sight(play.limits, play.sample, play.now.at, HERE.processors, HERE.memory_mib, *memory)


@given(limits(), HISTORIES, MEMORY)
def test_guests_never_run_when_a_rule_forbids(limits: Limits, history: list[News], memory: dict[str, int]) -> None:
    play = Played(limits, **memory)
    for seconds, clock_s, news in history:
        decision = play.later(seconds, clock_s, **news)
        plain = {name.lower().removesuffix(".exe") for name in limits.when.programs}
        running = {*(play.sample.programs or ()), play.sample.foreground.lower().removesuffix(".exe")}
        against = objections(sight(play)) - SOFT | ({"program"} if plain & running else set())
        if decision.rung is Rung.RUN:
            assert not against
            assert decision.reason is None
            assert 1 <= decision.cpu_percent <= 100 * decision.cpus
        else:
            assert decision.reason is not None
            assert decision.reason.text
            assert decision.findings[0].forbids
        if decision.transfers:
            same_case = {name.lower() for name in play.sample.networks or ()}
            assert not set(network_objections(sight(play))) - {"network-strange", "network-barred"}
            assert not same_case & set(limits.network.never)


@given(limits(), HISTORIES, MEMORY)
def test_guests_run_when_all_allow_and_the_waits_are_over(
    limits: Limits, history: list[News], memory: dict[str, int]
) -> None:
    play = Played(limits, **memory).all_of(history)
    play.later(1, **{**GOOD.__dict__, "idle_s": 200.0})
    if objections(sight(play), 1.0):
        return
    later = play.later(LONGEST_S)
    if not objections(sight(play), 1.0):
        assert later.rung is Rung.RUN
        assert later.transfers is not any(network_objections(sight(play)))


@given(limits(), limits(), HISTORIES, MEMORY)
def test_a_stricter_limit_never_lets_more_run(
    lax: Limits, other: Limits, history: list[News], memory: dict[str, int]
) -> None:
    laxly = Played(lax, **memory).all_of(history).decisions
    strictly = Played(strictest(lax, other), **memory).all_of(history).decisions
    for more, less in zip(laxly, strictly, strict=True):
        assert less.rung >= more.rung
        assert less.cpu_percent <= more.cpu_percent
        assert less.cpus <= more.cpus
        assert less.memory_mib <= more.memory_mib
        assert less.transfers <= more.transfers


@given(limits(), HISTORIES, MEMORY, st.lists(st.floats(0, 0.999), min_size=1, max_size=4), WAITS)
def test_nothing_changes_before_it_was_said_to(
    limits: Limits, history: list[News], memory: dict[str, int], parts: list[float], far: float
) -> None:
    play = Played(limits, **memory).all_of(history)
    first = play.decisions[-1]
    until_s = (first.changes_at - play.now.in_s(0)).total_seconds() if first.changes_at else far * 1000
    # Also just before, where what comes too late is seen.
    for at_s in [*(part * until_s - 0.001 for part in sorted(parts)), until_s - 0.01]:
        if at_s > 0:
            probe, _ = decide(limits, aged(play.sample, at_s), HERE, play.now.after(at_s), play.past, **play.memory)
            assert course(probe) == course(first)


@given(limits(), HISTORIES, MEMORY)
def test_who_sleeps_until_it_may_change_gets_on(limits: Limits, history: list[News], memory: dict[str, int]) -> None:
    play = Played(limits, **memory).all_of(history)
    for _ in range(30):
        decision = play.decisions[-1]
        if decision.changes_at is None:
            return
        ahead_s = (decision.changes_at - play.now.in_s(0)).total_seconds()
        assert ahead_s > 0
        # What it waited for is over then, but for the grain of the clock.
        assert play.later(ahead_s + 0.001).changes_at != decision.changes_at


@given(limits(), HISTORIES)
def test_no_pause_is_shorter_than_ten_seconds(limits: Limits, history: list[News]) -> None:
    play = Played(limits)
    held: tuple[float, str] | None = None
    for seconds, clock_s, news in history:
        decision = play.later(seconds, clock_s, **news)
        if decision.reason is None:
            if held and held[1] not in {"schedule", "quiet-hours", "in-use"}:
                assert play.now.s - held[0] >= 10 - 1e-6
            held = None
        elif held is None:
            held = (play.now.s, decision.reason.code)


@given(limits(), HISTORIES, MEMORY)
def test_what_may_pass_ends_no_run_before_ten_seconds(
    limits: Limits, history: list[News], memory: dict[str, int]
) -> None:
    play = Played(limits, **memory)
    begun_s = play.now.s if play.decisions[0].rung is Rung.RUN else None
    for seconds, clock_s, news in history:
        decision = play.later(seconds, clock_s, **news)
        if decision.rung is Rung.RUN:
            if begun_s is None:
                # Nothing begins while there is what would soon end it.
                assert not SOFT & objections(sight(play))
                begun_s = play.now.s
            continue
        if begun_s is not None and {finding.rule for finding in decision.findings if finding.forbids} <= SOFT:
            assert play.now.s - begun_s >= 10 - 1e-6
        begun_s = None


@given(limits(), HISTORIES, MEMORY)
def test_it_is_a_function(limits: Limits, history: list[News], memory: dict[str, int]) -> None:
    play = Played(limits, **memory).all_of(history)
    now = Moment(play.now.at, play.now.s)
    before = deepcopy((limits, play.sample, play.past))
    first = decide(limits, play.sample, HERE, now, play.past, **play.memory)
    assert first == decide(limits, play.sample, HERE, now, play.past, **play.memory)
    assert before == (limits, play.sample, play.past)
    # A look that finds nothing new changes nothing.
    again, _ = decide(limits, play.sample, HERE, now, first[1], **play.memory)
    assert course(again) == course(first[0])
