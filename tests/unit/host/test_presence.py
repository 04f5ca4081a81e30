"""Who sits before the computer."""

import pytest

from client.host.presence import Seats, idle_s

NOW = 1000.0


@pytest.mark.parametrize(
    ("display", "seats", "expected"),
    [
        (None, None, None),
        (5.0, None, 5.0),
        # our own session is the only one that is shown
        (5.0, Seats(shown=1, ours=True), 5.0),
        # our display does not answer: somebody may sit there unseen
        (None, Seats(shown=1, ours=True), None),
        # somebody else's session is shown, and cannot be looked into
        (500.0, Seats(shown=1, unknown=True), None),
        # a text console beside it, used 30 s ago
        (500.0, Seats(shown=2, ours=True, last_at=970.0), 30.0),
        (5.0, Seats(shown=2, ours=True, last_at=970.0), 5.0),
        # only the login screen, or nothing at all: nobody since the start
        (None, Seats(locked=True), NOW),
        (None, Seats(), NOW),
        # a display without a seat, as those of remote desktops
        (7.0, Seats(), 7.0),
    ],
)
def test_the_last_input_anywhere_counts(display: float | None, seats: Seats | None, expected: float | None) -> None:
    assert idle_s(display, seats, NOW) == expected
