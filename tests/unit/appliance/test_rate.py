"""Rates by a clock that the test holds."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from client.appliance.rate import CHUNK_BYTES, Limiter, Pace, Patience, Speed
from client.meter import DOWN, FILE, Meter, Share, clock_ns


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 10**9), st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_the_rate_is_exact_on_average(limit: int, counts: list[int]) -> None:
    clock = Clock()
    limiter = Limiter(clock)
    limiter.due(0, limit)
    for count in counts:
        clock.now += limiter.due(count, limit)
    assert abs((clock.now - 100.0) - sum(counts) / limit) < 1e-6 * max(1.0, clock.now)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 20)), max_size=50))
def test_what_was_not_used_is_made_up_for_a_second_at_most(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    limiter = Limiter(clock)
    limiter.due(0, 1000)
    passed = 0
    for count, idle in steps:
        clock.now += idle
        clock.now += limiter.due(count, 1000)
        passed += count
        assert passed <= 1000 * (clock.now - 100.0 + 1.0) + 1e-3


def test_a_new_rate_counts_from_its_moment() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    assert limiter.due(1000, 100) == 10.0
    assert limiter.due(0, 1000) == 0.0
    assert limiter.due(500, 1000) == 0.5
    assert limiter.due(10**9, None) == 0.0
    assert limiter.due(1000, 1000) == 1.0


def test_slow_transfers_read_little_at_a_time() -> None:
    limiter = Limiter(Clock())
    assert limiter.chunk(None) == CHUNK_BYTES
    assert limiter.chunk(50_000) == 5000
    assert limiter.chunk(1) == 1024
    assert limiter.chunk(10**9) == CHUNK_BYTES


def test_speed_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    speed = Speed(clock)
    assert speed.bytes_per_s() == 0.0
    for _ in range(100):
        clock.now += 0.1
        speed.add(100)
    assert 950 < speed.bytes_per_s() < 1050
    for _ in range(100):
        clock.now += 0.1
        speed.add(1000)
    assert 9500 < speed.bytes_per_s() < 10500
    clock.now += 1000
    assert speed.bytes_per_s() < 100


def test_patience_ends_with_drips_only() -> None:
    patience = Patience(10.0)
    assert not patience.is_out(9.9, 0)
    assert patience.is_out(0.2, 100)
    # 2 kB a second is slow, but it gets there.
    assert not any(patience.is_out(1.0, 2048) for _ in range(100))
    # Waits of ours do not count: a rate that the user set is not the mirror's fault.
    assert not any(patience.is_out(0.0, 1) for _ in range(1000))


class Told:
    """A face whose rests end at once, as by a word of the client."""

    def __init__(self, meter: Path) -> None:
        self.limit: int | None = None
        self.held = False
        self.meter = str(meter)
        self.rested: list[float] = []

    def rest(self, seconds: float) -> None:
        self.rested.append(seconds)
        self.held = True


def test_a_transfer_keeps_to_the_lower_of_two_limits(tmp_path: Path) -> None:
    meter = Meter(str(tmp_path / FILE))
    meter.set_rule(50_000, 0, False, clock_ns())
    face = Told(tmp_path / FILE)
    pace = Pace(face)
    assert (pace.limit, pace.chunk()) == (50_000, 1024)
    face.limit = 20_000
    assert pace.limit == 20_000
    face.limit = 90_000
    assert pace.limit == 50_000
    meter.set_rule(0, 0, False, clock_ns())
    assert pace.limit == 90_000
    face.limit = None
    assert (pace.limit, pace.chunk()) == (0, CHUNK_BYTES)
    assert Pace(Told(Path())).limit == 0


def test_a_transfer_rests_while_others_have_used_the_limit_up_or_nothing_may_move(tmp_path: Path) -> None:
    meter = Meter(str(tmp_path / FILE))
    meter.set_rule(50_000, 0, False, clock_ns())
    other, face = Share(Meter(str(tmp_path / FILE)), DOWN), Told(tmp_path / FILE)
    other.most(clock_ns())
    other.moved(500_000, clock_ns())
    Pace(face).keep(0)
    assert face.rested
    meter.set_rule(0, 0, True, clock_ns())
    face = Told(tmp_path / FILE)
    Pace(face).keep(10)
    assert face.rested
    meter.set_rule(0, 0, False, clock_ns())
    face = Told(tmp_path / FILE)
    pace = Pace(face)
    pace.keep(10)
    pace.end()
    meter.look(clock_ns())
    assert (face.rested, meter.moved[DOWN]) == ([], 500_020)
