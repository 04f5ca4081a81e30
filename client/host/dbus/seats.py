"""Who is shown on the seats of this computer, worked out from what logind says of its sessions. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from client.host.presence import Seats

#: sessions at which nobody works. Source: sd-login(3), sd_session_get_class
_LOGIN_SCREENS: Final = frozenset({"greeter", "lock-screen"})
_GRAPHICAL: Final = frozenset({"x11", "wayland", "mir"})


@dataclass(frozen=True)
class Session:
    """A session that is shown on a seat.

    Attributes:
        kind: tty, x11, wayland ...
        tty: name of its terminal; empty: none.
        idle_since: monotonic seconds since which it calls itself idle; None while it does not.
    """

    uid: int
    kind: str
    role: str
    locked: bool
    tty: str
    idle_since: float | None


def shown_sessions(sessions: Iterable[Mapping[str, Any]]) -> list[Session]:
    """Those that are in front on a seat.

    Args:
        sessions: the properties of each. Source: org.freedesktop.login1(5)
    """
    found = []
    for told in sessions:
        if not told.get("Active") or not told["Seat"][0] or told.get("Remote"):
            continue
        idle_since = told["IdleSinceHintMonotonic"] / 1e6 if told.get("IdleHint") else None
        found.append(
            Session(
                uid=told["User"][0],
                kind=str(told.get("Type", "")),
                role=str(told.get("Class", "user")),
                locked=bool(told.get("LockedHint")),
                tty=str(told.get("TTY", "")),
                idle_since=idle_since,
            )
        )
    return found


def seats_of(shown: Iterable[Session], uid: int, tty_input: Callable[[str], float | None]) -> Seats:
    """Who sits there.

    Args:
        uid: of this user, whose graphical session is watched by other means.
        tty_input: monotonic seconds of the last input to a terminal; None: not known.
    """
    shown = list(shown)
    there = [session for session in shown if session.role not in _LOGIN_SCREENS and not session.locked]
    others = [session for session in there if not (session.kind in _GRAPHICAL and session.uid == uid)]
    inputs = [_last_input(session, tty_input) for session in others]
    known = [at for at in inputs if at is not None]
    return Seats(
        shown=len(there),
        locked=bool(shown) and not there,
        ours=len(others) < len(there),
        last_at=max(known, default=None),
        unknown=len(known) < len(inputs),
    )


def _last_input(session: Session, tty_input: Callable[[str], float | None]) -> float | None:
    """Sessions that call themselves idle are believed; that they do not call themselves so says nothing: KDE's never
    do.
    """
    if session.kind == "tty" and session.tty:
        return tty_input(session.tty)
    return session.idle_since
