"""The plan of the duty cycle, against guests that are only arithmetic."""

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from client.throttle.duty import PERIOD_S, Cycle, split, turns


def live(cycle: Cycle, budget: float, speeds: dict[str, float], periods: int, late_s: float = 0.0) -> dict[str, float]:
    """CPU seconds a second that each guest gets, if it uses `speeds` while it executes; without the first second.

    late_s: how much later than planned each stop comes.
    """
    used = dict.fromkeys(speeds, 0.0)
    ran = dict.fromkeys(speeds, 0.0)
    total = dict.fromkeys(speeds, 0.0)
    for number in range(periods + 10):
        plan = cycle.plan(budget, used, ran)
        ran = {vm_id: min(PERIOD_S, run_s + late_s) if run_s else 0.0 for vm_id, run_s in plan.items()}
        used = {vm_id: ran[vm_id] * speed for vm_id, speed in speeds.items()}
        if number >= 10:
            total = {vm_id: total[vm_id] + used[vm_id] for vm_id in speeds}
    return {vm_id: seconds / (periods * PERIOD_S) for vm_id, seconds in total.items()}


@given(st.floats(0.05, 0.95), st.floats(1.0, 4.0))
def test_a_busy_guest_gets_its_budget(budget: float, speed: float) -> None:
    assert live(Cycle(4), budget, {"a": speed}, 100)["a"] == approx(budget, abs=0.01)


@given(st.floats(0.05, 0.5), st.floats(0.0, 0.08))
def test_stops_that_come_late_are_made_good(budget: float, late_s: float) -> None:
    assert live(Cycle(4), budget, {"a": 1.0}, 100, late_s)["a"] == approx(budget, abs=0.02)


@given(st.floats(0.1, 1.8))
def test_two_busy_guests_share_fairly(budget: float) -> None:
    got = live(Cycle(4), budget, {"a": 1.0, "b": 2.0}, 100)
    assert sum(got.values()) == approx(budget, abs=0.03)
    if budget <= 1.6:
        assert got["a"] == approx(got["b"], abs=0.03)


def test_a_guest_of_little_needs_is_never_stopped_and_the_rest_is_the_other_s() -> None:
    cycle = Cycle(4)
    got = live(cycle, 0.5, {"busy": 1.0, "idle": 0.05}, 100)
    assert got["idle"] == approx(0.05, abs=0.001)
    assert 0.40 <= got["busy"] <= 0.46


def test_a_guest_that_wakes_is_soon_held_and_pays_back() -> None:
    cycle = Cycle(4)
    live(cycle, 0.3, {"a": 0.0}, 50)
    assert live(cycle, 0.3, {"a": 2.0}, 20)["a"] == approx(0.3, abs=0.06)


def test_a_look_that_deceives_does_not_hold_a_guest_for_ever() -> None:
    cycle = Cycle(2)
    cycle.plan(0.1, {"a": 0.0}, {"a": 0.0})
    # Its signal came so late that it seems a thousand times as fast as it is.
    cycle.plan(0.1, {"a": 0.1}, {"a": 0.0001})
    assert live(cycle, 0.1, {"a": 1.0}, 200)["a"] == approx(0.1, abs=0.02)


@given(st.floats(0.05, 0.9), st.lists(st.floats(0.7, 1.4), min_size=20, max_size=40))
def test_looks_that_differ_by_themselves_even_out(budget: float, seen: list[float]) -> None:
    cycle, used, ran, total = Cycle(4), 0.0, 0.0, 0.0
    for number in range(400):
        ran = cycle.plan(budget, {"a": used}, {"a": ran})["a"]
        # A second of running is told as a little more or less than it was.
        used = ran * min(1.0, seen[number % len(seen)])
        ran /= max(1.0, seen[number % len(seen)])
        total += used if number >= 20 else 0.0
    most = sum(min(1.0, one) for one in seen) / len(seen)
    assert total / (380 * PERIOD_S) == approx(min(budget, most), abs=0.03)


def test_a_guest_kept_from_running_saves_nothing_up() -> None:
    cycle = Cycle(4)
    live(cycle, 0.5, {"a": 0.01}, 300)
    assert sum(cycle.plan(0.5, {"a": 0.1}, {"a": 0.1}).values()) <= PERIOD_S


@given(
    st.floats(0.01, 4.0),
    st.dictionaries(st.sampled_from("abcd"), st.none() | st.floats(0.0, 2.0), min_size=1),
)
def test_a_split_spends_no_more_than_there_is_nor_than_is_wanted(
    budget: float, wanted: dict[str, float | None]
) -> None:
    shares = split(budget, wanted)
    assert shares.keys() == wanted.keys()
    assert sum(shares.values()) <= budget + 1e-9
    for vm_id, most in wanted.items():
        assert most is None or 0 <= shares[vm_id] <= most
    if None in wanted.values():
        assert sum(shares.values()) == approx(budget)
        assert all(shares[one] <= shares[vm_id] + 1e-9 for vm_id in wanted if wanted[vm_id] is None for one in shares)


def test_guests_take_turns() -> None:
    assert list(turns({"a": 0.03, "b": 0.05, "c": PERIOD_S, "d": 0.0})) == [
        (0.0, "a", True),
        (0.0, "b", False),
        (0.0, "c", True),
        (0.0, "d", False),
        (0.03, "a", False),
        (0.03, "b", True),
        (0.08, "b", False),
    ]


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.0, 0.1), min_size=1))
def test_each_executes_as_long_as_planned(plan: dict[str, float]) -> None:
    runs = dict.fromkeys(plan, 0.0)
    since: dict[str, float] = {}
    for at_s, vm_id, go_on in turns(plan):
        assert 0 <= at_s <= PERIOD_S + 1e-9
        if go_on:
            since[vm_id] = at_s
        elif vm_id in since:
            runs[vm_id] += at_s - since.pop(vm_id)
    for vm_id, started in since.items():
        runs[vm_id] += PERIOD_S - started
    assert runs == {vm_id: approx(run_s, abs=1e-9) for vm_id, run_s in plan.items()}
