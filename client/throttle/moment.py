"""A moment on both clocks: the one on the wall, which jumps, and the one that only goes forward."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Moment:
    """Schedules go by `at`, durations by `s`.

    Attributes:
        at: local wall clock, aware. It may jump: set by hand, by the network, by summer time.
        s: seconds since an arbitrary start; never goes back. It may stand still while the computer sleeps.
    """

    at: datetime
    s: float

    def after(self, seconds: float) -> "Moment":
        """So much later, if the wall clock does not jump meanwhile."""
        return Moment(self.in_s(seconds).astimezone(self.at.tzinfo), self.s + seconds)

    def in_s(self, seconds: float) -> datetime:
        """What UTC will be then. Not reckoned with local times, of which some hours come twice and some never."""
        return self.at.astimezone(UTC) + timedelta(seconds=seconds)
