import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot import token_bucket
from client.copilot.token_bucket import TokenBuckets


def test_a_burst_is_had_at_once_and_more_with_time() -> None:
    now = [100.0]
    buckets = TokenBuckets(2.0, 5.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert buckets.take("b"), "each has a bucket of its own"
    now[0] += 0.4
    assert not buckets.take("a")
    now[0] += 0.2
    assert (buckets.take("a"), buckets.take("a")) == (True, False)
    now[0] += 3600
    assert [buckets.take("a") for _ in range(7)] == [True] * 5 + [False] * 2


def test_not_all_peers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_bucket, "MAX_PEERS", 10)
    buckets = TokenBuckets(1.0, 1.0, lambda: 0.0)
    assert all(buckets.take(str(n)) for n in range(100))
    assert len(buckets._left) == 10
    assert not buckets.take("99")


@given(st.lists(st.floats(0, 10), max_size=200), st.floats(0.1, 50), st.integers(1, 20))
def test_nobody_has_more_than_the_burst_and_the_rate(waits: list[float], per_s: float, burst: int) -> None:
    now = [0.0]
    buckets = TokenBuckets(per_s, burst, lambda: now[0])
    taken = 0
    for wait in waits:
        now[0] += wait
        taken += buckets.take("a")
    assert taken <= burst + now[0] * per_s + 1e-6
