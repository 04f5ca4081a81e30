"""Who sits there, by what logind says."""

from typing import Any

import pytest

from client.host.dbus.seats import Session, seats_of, shown_sessions
from client.host.presence import Seats

ME, OTHER = 1000, 1001


def told(**changes: Any) -> dict[str, Any]:
    """The properties of a session as logind of systemd 252 has them, those that are read."""
    return {
        "Active": True,
        "Remote": False,
        "Seat": ["seat0", "/org/freedesktop/login1/seat/seat0"],
        "User": [ME, "/org/freedesktop/login1/user/_1000"],
        "Type": "x11",
        "Class": "user",
        "LockedHint": False,
        "IdleHint": False,
        "IdleSinceHintMonotonic": 0,
        "TTY": "tty2",
    } | changes


def seats(*sessions: dict[str, Any], tty_input: float | None = None) -> Seats:
    return seats_of(shown_sessions(sessions), ME, lambda name: tty_input)


def test_a_session_as_it_is_read() -> None:
    found = shown_sessions([told(IdleHint=True, IdleSinceHintMonotonic=12_500_000)])
    assert found == [Session(uid=ME, kind="x11", role="user", locked=False, tty="tty2", idle_since=12.5)]


@pytest.mark.parametrize(
    "hidden", [told(Active=False), told(Seat=["", "/"]), told(Remote=True)], ids=["behind", "no seat", "remote"]
)
def test_what_is_not_shown_does_not_count(hidden: dict[str, Any]) -> None:
    assert seats(hidden) == Seats()


def test_ours_is_watched_by_other_means() -> None:
    assert seats(told()) == Seats(shown=1, ours=True)
    assert seats(told(Type="wayland")) == Seats(shown=1, ours=True)


def test_a_lock_counts_only_when_nothing_else_is_shown() -> None:
    assert seats(told(LockedHint=True)) == Seats(locked=True)
    second = told(Seat=["seat1", "/"], User=[OTHER, "/"])
    assert seats(told(LockedHint=True), second) == Seats(shown=1, unknown=True)


def test_a_login_screen_is_nobody() -> None:
    assert seats(told(Class="greeter", User=[117, "/"])) == Seats(locked=True)


def test_another_user_is_unknown_unless_called_idle() -> None:
    assert seats(told(User=[OTHER, "/"])) == Seats(shown=1, unknown=True)
    idle = told(User=[OTHER, "/"], IdleHint=True, IdleSinceHintMonotonic=7_000_000)
    assert seats(idle) == Seats(shown=1, last_at=7.0)


def test_a_console_tells_by_its_terminal() -> None:
    console = told(Type="tty", TTY="tty1")
    assert seats(console, tty_input=30.0) == Seats(shown=1, last_at=30.0)
    assert seats(console) == Seats(shown=1, unknown=True)
