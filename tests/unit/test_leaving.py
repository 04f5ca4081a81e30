"""Leaving waits as long as states are being written."""

from client.leaving import Patience
from tests.helpers.clock import FakeClock


def test_it_lasts_while_any_vm_writes() -> None:
    clock = FakeClock()
    patience = Patience(clock, 75.0)
    for turn in range(1, 100):
        clock.advance(10)
        assert not patience.is_over({"work-1": 0, "own-big": turn})
    clock.advance(70)
    assert not patience.is_over({"work-1": 0, "own-big": 99})
    clock.advance(10)
    assert patience.is_over({"work-1": 0, "own-big": 99})


def test_attempts_that_fail_again_and_again_do_not_keep_it_up() -> None:
    clock = FakeClock()
    patience = Patience(clock, 75.0)
    over = []
    for turn in range(20):
        clock.advance(10)
        over.append(patience.is_over({"own-big": turn % 4}))
    assert over[-1] and not over[5]
