"""What is ours and what is others', worked out from counters."""

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from client.throttle.counters import Counters, Look, Who, percent_of_all, spent_between
from client.throttle.sampler import Sampler

OWN = 10


class FakeReader:
    """Gives prepared looks, one after the other."""

    def __init__(self, *looks: Look) -> None:
        self._looks = list(looks)

    def look(self, own: int, vms: Mapping[str, Iterable[int]]) -> Look:
        assert own == OWN
        return self._looks.pop(0)


def one(
    pid: int, cpu_s: float, reaped_s: float = 0.0, parent: int = 1, started: float = 5.0, **more: object
) -> Counters:
    return Counters(Who(pid, started), parent, cpu_s, reaped_s, **more)  # type: ignore[arg-type]


def look(at: float, busy_s: float, *processes: Counters, vms: Mapping[int, str] | None = None) -> Look:
    return Look(at, busy_s, 2, {process.who.pid: process for process in processes}, vms or {})


def test_others_are_what_is_left() -> None:
    vms = {20: "a", 30: "b"}
    reader = FakeReader(
        look(100.0, 50.0, one(OWN, 1.0), one(20, 7.0), one(30, 8.0), vms=vms),
        look(102.0, 53.0, one(OWN, 1.2), one(20, 8.0), one(30, 8.4, memory_bytes=5, read_bytes=6), vms=vms),
    )
    sampler = Sampler(reader, OWN)
    assert sampler.measure({"a": (20,), "b": (30,)}).others_percent is None
    now = sampler.measure({"a": (20,), "b": (30,)})
    # Of 4 s of processor time 3 were used, 1.6 by us.
    assert now.busy_percent == approx(75.0)
    assert now.others_percent == approx(35.0)
    assert now.own_percent == approx(5.0)
    assert now.vms["a"].cpu_percent == approx(50.0)
    assert now.vms["b"].cpu_percent == approx(20.0)
    assert now.vms["b"].cpu_s == approx(0.4)
    assert (now.vms["b"].memory_bytes, now.vms["b"].read_bytes) == (5, 6)


def test_a_vm_that_joins_is_not_charged_with_its_past() -> None:
    reader = FakeReader(look(1.0, 0.0, one(OWN, 1.0)), look(2.0, 1.0, one(OWN, 1.0), one(20, 900.0), vms={20: "a"}))
    sampler = Sampler(reader, OWN)
    sampler.measure({})
    now = sampler.measure({"a": (20,)})
    assert now.others_percent == approx(50.0)
    assert now.vms["a"].cpu_percent is None


def test_looks_that_follow_at_once_are_one() -> None:
    reader = FakeReader(look(1.0, 0.0), look(2.0, 1.0), look(2.1, 2.0))
    sampler = Sampler(reader, OWN)
    sampler.measure({})
    assert sampler.measure({}) is sampler.measure({})


def test_a_child_that_ended_is_counted_once() -> None:
    before = look(1.0, 0.0, one(OWN, 1.0, 2.0), one(11, 4.0, parent=OWN), one(12, 1.0, 0.5, parent=11))
    # It waited for 11, which had waited for 12: 4.0 + 0.3 more, 1.5 + 0.2 more.
    now = look(2.0, 0.0, one(OWN, 1.1, 2.0 + 4.3 + 1.7))
    assert spent_between(before, now) == {OWN: approx(0.1 + 0.3 + 0.2)}


def test_a_child_whose_end_nobody_waited_for_takes_nothing_off() -> None:
    before = look(1.0, 0.0, one(OWN, 1.0, 2.0), one(11, 4.0, parent=OWN))
    assert spent_between(before, look(2.0, 0.0, one(OWN, 1.1, 2.0))) == {OWN: approx(0.1)}


def test_a_fresh_child_counts_from_its_beginning() -> None:
    before = look(1.0, 0.0, one(OWN, 1.0))
    now = look(2.0, 0.0, one(OWN, 1.0), one(11, 0.4, 0.1, parent=OWN, fresh=True))
    assert spent_between(before, now)[11] == approx(0.5)


def test_another_process_of_the_same_pid_is_not_the_one_before() -> None:
    before = look(1.0, 0.0, one(20, 100.0, started=5.0))
    now = look(2.0, 0.0, one(20, 0.2, started=9.0, fresh=True))
    assert spent_between(before, now) == {20: approx(0.2)}


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_children_that_are_waited_for_never_lose_or_double_a_second(
    children: list[tuple[float, float, bool, bool]],
) -> None:
    """Each child: CPU seconds before, more until the end or the second look, has it ended, is it fresh."""
    old, new, reaped_s, truth = [one(OWN, 1.0)], [], 0.0, 0.0
    for pid, (before_s, more_s, ended, fresh) in enumerate(children, 11):
        before_s = 0.0 if fresh else before_s
        truth += more_s
        if not fresh:
            old.append(one(pid, before_s, parent=OWN))
        if ended:
            reaped_s += before_s + more_s
        else:
            new.append(one(pid, before_s + more_s, parent=OWN, fresh=fresh))
    spent = spent_between(look(1.0, 0.0, *old), look(2.0, 0.0, one(OWN, 1.0, reaped_s), *new))
    assert sum(spent.values()) == approx(truth, abs=1e-6)


@given(st.floats(-10, 1000), st.floats(0, 100))
def test_a_share_is_within_its_bounds(seconds: float, passed_s: float) -> None:
    assert 0.0 <= percent_of_all(seconds, look(1.0, 0.0), look(1.0 + passed_s, 0.0)) <= 100.0
