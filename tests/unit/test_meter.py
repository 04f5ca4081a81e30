"""The meter's arithmetic and its file, by a clock that is held."""

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.meter import (
    CREDIT_S,
    DOWN,
    MOST_BYTES,
    SECOND,
    UP,
    Meter,
    Share,
    paid_at,
    piece_bytes,
    window_bytes,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "traffic.meter")


def ruled(path: str, down: int = 0, up: int = 0, closed: bool = False, now: int = 0) -> Meter:
    meter = Meter(path)
    assert meter.set_rule(down, up, closed, now)
    return meter


def run(path: str, wants: list[int], lasts_s: float, step_s: float) -> list[list[tuple[int, int]]]:
    """What connections move that always want to, each looking every `step_s`, some only so many bytes at a time."""
    shares = [Share(Meter(path), DOWN) for _ in wants]
    moved: list[list[tuple[int, int]]] = [[] for _ in wants]
    for turn in range(int(lasts_s / step_s)):
        now = SECOND + int(turn * step_s * SECOND)
        for share, want, mine in zip(shares, wants, moved, strict=True):
            if most := min(want, share.most(now)):
                share.moved(most, now)
                mine.append((now, most))
    return moved


@settings(max_examples=30, deadline=None)
@given(
    limit=st.integers(1024, 10**7),
    wants=st.lists(st.sampled_from([100, 5000, 10**6]), min_size=1, max_size=8),
    step_s=st.sampled_from([0.003, 0.02, 0.1]),
    edges=st.tuples(st.floats(0, 3), st.floats(0, 3)),
)
def test_over_any_time_no_more_moves_than_the_limit_allows(
    tmp_path_factory: pytest.TempPathFactory,
    limit: int,
    wants: list[int],
    step_s: float,
    edges: tuple[float, float],
) -> None:
    path = str(tmp_path_factory.mktemp("meter") / "meter")
    ruled(path, down=limit)
    moved = [one for mine in run(path, wants, 3, step_s) for one in mine]
    begin, end = (SECOND + int(edge * SECOND) for edge in sorted(edges))
    inside = sum(count for at, count in moved if begin <= at <= end)
    lasts_s = (end - begin) / SECOND
    assert inside <= limit * (lasts_s + CREDIT_S) + len(wants) * piece_bytes(limit) + 1


@pytest.mark.parametrize("count", [1, 8])
def test_the_limit_is_reached_and_shared_fairly(path: str, count: int) -> None:
    ruled(path, down=200_000)
    shares = [sum(size for _, size in mine) for mine in run(path, [10**6] * count, 10, 0.005)]
    assert 1_900_000 <= sum(shares) <= 2_050_000 + 200_000 * CREDIT_S
    assert max(shares) <= 1.05 * min(shares)


def test_who_seldom_says_something_is_not_kept_waiting(path: str) -> None:
    ruled(path, down=100_000)
    greedy, modest = [Share(Meter(path), DOWN) for _ in range(8)], Share(Meter(path), DOWN)
    assert modest.most(SECOND) > 0
    for turn in range(200):
        now = SECOND + turn * SECOND // 100
        for share in greedy:
            if most := share.most(now):
                share.moved(most, now)
    assert all(share.most(now) == 0 for share in greedy)
    assert modest.most(now) > 0


def test_short_connections_gain_nothing(path: str) -> None:
    ruled(path, down=100_000)
    moved = 0
    for turn in range(1000):
        now = SECOND + turn * SECOND // 100
        # Each is a new one.
        share = Share(Meter(path), DOWN)
        if most := share.most(now):
            share.moved(most, now)
            moved += most
    assert moved <= 100_000 * (10 + CREDIT_S) + piece_bytes(100_000)


def test_a_change_holds_at_once(path: str) -> None:
    meter = ruled(path, down=1000)
    share = Share(Meter(path), DOWN)
    share.most(SECOND)
    share.moved(10_000, SECOND)
    assert share.most(SECOND) == 0
    assert 0 < share.wait_s(SECOND) <= 0.25
    meter.set_rule(0, 0, False, SECOND)
    assert share.most(SECOND + 1) == MOST_BYTES
    meter.set_rule(0, 0, True, SECOND)
    assert share.most(SECOND + 2) == 0
    assert share.is_closed(SECOND + 2)
    meter.set_rule(0, 0, False, SECOND)
    assert share.most(SECOND + 3) == MOST_BYTES


def test_ways_do_not_share(path: str) -> None:
    ruled(path, down=1000, up=1000)
    down, up = Share(Meter(path), DOWN), Share(Meter(path), UP)
    down.most(SECOND)
    down.moved(100_000, SECOND)
    assert down.most(SECOND + 1) == 0
    assert up.most(SECOND + 1) > 0


def test_all_that_moved_is_counted_with_and_without_a_limit(path: str) -> None:
    meter = ruled(path, up=50)
    for number, way in enumerate([DOWN, UP, DOWN]):
        share = Share(Meter(path), way)
        share.most(SECOND * number)
        share.moved(10, SECOND * number)
        share.enter(SECOND * number)
    meter.look(SECOND * 9)
    assert meter.moved == (20, 10)
    # The count outlives rules and processes.
    ruled(path, down=7, now=SECOND)
    again = Meter(path)
    assert again.look(0)
    assert (again.moved, again.limits) == ((20, 10), (7, 0))


def test_without_a_file_nothing_is_limited_until_there_is_one(path: str) -> None:
    share = Share(Meter(path), DOWN)
    assert share.most(0) == MOST_BYTES
    share.moved(2**21, 0)
    ruled(path, closed=True)
    assert share.most(SECOND // 2) == MOST_BYTES
    assert share.most(2 * SECOND) == 0


@pytest.mark.parametrize("raw", [b"", b"x" * 200, b"1 2", bytes(112), "٣".encode() * 60])
def test_a_damaged_file_limits_nothing_and_is_mended_by_the_next_rule(path: str, raw: bytes) -> None:
    Path(path).write_bytes(raw)
    share = Share(Meter(path), DOWN)
    assert share.most(0) == MOST_BYTES
    share.moved(5, 0)
    meter = ruled(path, down=10_000, now=SECOND)
    assert meter.limits == (10_000, 0)
    assert share.most(SECOND + SECOND // 10) == piece_bytes(10_000)


def test_a_lock_that_is_held_delays_the_books_and_not_for_ever(path: str) -> None:
    meter = ruled(path, down=1000)
    share = Share(Meter(path), DOWN)
    share.most(0)
    stopped = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        share.moved(500, SECOND)
        assert share.most(SECOND + 1) == 0
        assert not meter.set_rule(1, 1, False, SECOND)
        meter.look(SECOND + 2)
        assert meter.moved == (0, 0)
        share.most(4 * SECOND)
        meter.look(4 * SECOND)
        assert meter.moved == (500, 0)
    finally:
        os.close(stopped)


def test_debts_of_another_run_of_the_computer_are_none(path: str) -> None:
    meter = ruled(path, down=1000, now=10**15)
    meter.enter(DOWN, 5000, 10**15)
    assert Share(Meter(path), DOWN).most(SECOND) > 0


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.integers(0, 10**9), st.integers(1, 10**12))
def test_a_debt_only_grows_and_by_what_moved(due: int, now: int, count: int, limit: int) -> None:
    after = paid_at(due, now, count, limit)
    assert after >= due
    assert after >= now - CREDIT_S * SECOND
    assert paid_at(due, now, count + limit, limit) - after in range(SECOND - 1, SECOND + 2)


@given(st.integers(0, 10**12))
def test_pieces_and_windows_are_bounded(limit: int) -> None:
    assert 1024 <= piece_bytes(limit) <= MOST_BYTES
    assert 4096 <= window_bytes(limit) <= 262144
