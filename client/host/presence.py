"""Who sits before the computer: the display of this session and the others that its seats show, put together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seats:
    """What logind says of the sessions that are shown now, one for each seat.

    Attributes:
        shown: how many there are, login screens and locked ones left out.
        locked: there are sessions, and each is locked or a login screen.
        ours: one of those in `shown` is a graphical one of this user, whose display is watched by other means.
        last_at: monotonic seconds of the last input to the others in `shown`; None: they have had none, or there are
            none.
        unknown: the input to one of the others cannot be known.
    """

    shown: int = 0
    locked: bool = False
    ours: bool = False
    last_at: float | None = None
    unknown: bool = False


def idle_s(display: float | None, seats: Seats | None, now: float) -> float | None:
    """Seconds since the last input to anything that is shown on this computer.

    Args:
        display: seconds since the last input at the display of this session; None: not known.
        seats: None: not known.
        now: monotonic seconds.

    Returns:
        None when some input would not be seen. With nothing shown anywhere, seconds since the computer was started.
    """
    if seats is None:
        return display
    if seats.unknown or (seats.ours and display is None):
        return None
    known = [] if display is None else [display]
    if seats.last_at is not None:
        known.append(max(0.0, now - seats.last_at))
    return min(known, default=now)
