"""The zone of this computer's wall clock, with its nights in which the clock is put forward or back, on every system.

`datetime.astimezone()` gives only the distance from UTC as it is at one moment, and an hour of the schedule in a week's
time may have another. `zoneinfo` would need the zone's name, and a database that Windows does not have.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final


class LocalZone(tzinfo):
    """How far from UTC the computer is at any moment; what `datetime.astimezone()` gives keeps that of one moment."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """The distance from UTC. Of an hour that comes twice, `fold` says which is meant."""
        # Without a zone, a moment is one of the system's wall clock.
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """As the system calls it at that moment."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """The wall clock's time; called by `datetime.astimezone`."""
        there = moment.replace(tzinfo=UTC).astimezone()
        naive = there.replace(tzinfo=None, fold=0)
        fold = 0 if naive.astimezone().utcoffset() == there.utcoffset() else 1
        return naive.replace(tzinfo=self, fold=fold)


LOCAL: Final = LocalZone()
