"""This computer's own zone, which knows of the nights in which the clock is put forward or back, on every system."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from client.clock import Clock
from client.throttle.moment import Moment


class LocalZone(tzinfo):
    """The zone that the system is set to, asked anew each time: it travels.

    `datetime.astimezone()` gives only the distance from UTC as it is at one moment, and an hour of the schedule in a
    week's time may have another. `zoneinfo` would need the zone's name, and a database that Windows does not have.
    """

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Of a local time; of those that come twice `fold` says which."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Not known, and nothing needs it."""
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        """As the system calls it."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, dt: datetime) -> datetime:
        """The local time of a time in UTC."""
        found = dt.replace(tzinfo=UTC).astimezone()
        local = found.replace(tzinfo=self, fold=0)
        return local if local.utcoffset() == found.utcoffset() else local.replace(fold=1)


LOCAL: Final = LocalZone()


def moment_of(clock: Clock) -> Moment:
    """Now, on both clocks."""
    # Else glibc goes by the zone that was set when the program began. Windows has no such call, and needs none.
    if hasattr(time, "tzset"):
        time.tzset()
    return Moment(clock.now().astimezone(LOCAL), clock.monotonic())
