"""Which mirror to ask next: each is tried with one piece, the fastest stays, one with faults has to wait."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from client.appliance.errors import ApplianceError, DownloadFailed
from client.appliance.fault import Fault

#: so many are measured; the others are asked only when these fail
MEASURED: Final = 4
#: a mirror is left for another when it has become slower than this part of what the other gave
_TOO_SLOW: Final = 0.5
_MOST_PAUSE_S: Final = 30.0
#: after so many faults in a row a mirror is not asked any more
_MOST_FAULTS: Final = 6
#: the same for one that never gave anything: whoever waits shall be told soon, and then try again by another law
_MOST_IN_VAIN: Final = 3
#: how long a mirror may take until its answer has begun, in seconds; twice as long after each fault
_FIRST_PATIENCE_S: Final = 5.0
#: less than this is no gain
FRUIT_BYTES: Final = 64 * 1024


@dataclass
class Mirror:
    """What is known of a mirror.

    Attributes:
        rate: bytes a second when last measured; None: not yet.
        faults: in a row.
        not_before: when it may be asked again, by the clock.
        ranges: whether it can give parts of a file.
        etag: the tag that it gave the file; None: its tags are no help.
        doubts: how often it sent what may be chance.
        refused: why it is not asked any more.
        was_fruitful: whether it ever gave anything.
    """

    url: str
    rate: float | None = None
    faults: int = 0
    not_before: float = 0.0
    ranges: bool = True
    etag: str | None = ""
    doubts: int = 0
    refused: ApplianceError | None = None
    was_fruitful: bool = False

    @property
    def is_given_up(self) -> bool:
        """Whether it failed so often that it is not asked any more."""
        return self.faults >= (_MOST_FAULTS if self.was_fruitful else _MOST_IN_VAIN)

    @property
    def patience_s(self) -> float:
        """How long to wait for the beginning of its answer."""
        return float(_FIRST_PATIENCE_S * 2**self.faults)


class Mirrors:
    """The mirrors of one file."""

    def __init__(self, urls: Sequence[str], pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: pause_s: after the first fault of a mirror; twice as long after each further one."""
        self._all = [Mirror(url) for url in urls]
        self._pause_s = pause_s
        self._clock = clock
        self._said = DownloadFailed("", "no mirror is known")

    def choose(self) -> Mirror | None:
        """The one to ask now; None: wait for `wait_s`.

        Raises:
            ApplianceError: there is none left to hope for.
        """
        left = [one for one in self._all if not one.refused]
        if not left and self._all:
            # Wrong bytes say more than no answer.
            raise max((one.refused for one in self._all if one.refused), key=lambda one: one.code != self._said.code)
        left = [one for one in left if not one.is_given_up]
        if not left:
            raise self._said
        ready = [one for one in left if one.not_before <= self._clock()]
        if not ready:
            return None
        # One that failed is not measured before those that work: to wait for its answer may take long.
        unmeasured = [one for one in ready if one.rate is None and one.ranges and not one.faults][:1]
        if unmeasured and sum(one.rate is not None for one in self._all) < MEASURED:
            return unmeasured[0]
        return max(ready, key=lambda one: (one.ranges, -one.faults, one.rate or 0.0))

    def wait_s(self) -> float:
        """How long until a mirror may be asked again."""
        times = [one.not_before for one in self._all if not one.refused and not one.is_given_up]
        return max(0.0, min(times, default=0.0) - self._clock())

    @property
    def said(self) -> str:
        """The last fault, for people."""
        return self._said.said

    def named(self, url: str) -> list[Mirror]:
        """Those with that address."""
        return [one for one in self._all if one.url == url]

    def is_trial(self, mirror: Mirror) -> bool:
        """Whether it is asked for one piece only, to be compared."""
        others = [one for one in self._all if one is not mirror and not one.refused and one.ranges]
        return mirror.rate is None and mirror.ranges and bool(others)

    def is_outrun(self, mirror: Mirror, bytes_per_s: float) -> bool:
        """Whether another was so much faster that it is worth to leave this one."""
        now = self._clock()
        others = (one.rate or 0.0 for one in self._all if one is not mirror and self._is_good(one, now))
        return bytes_per_s < _TOO_SLOW * max(others, default=0.0)

    def praise(self, mirror: Mirror, bytes_per_s: float) -> None:
        """It did what it was asked for, at that rate."""
        mirror.rate, mirror.faults, mirror.was_fruitful = bytes_per_s, 0, True

    def blame(self, mirror: Mirror, fault: Fault, gained: int) -> None:
        """It failed. gained: bytes that it brought before, and that are kept."""
        mirror.was_fruitful = mirror.was_fruitful or gained > 0
        mirror.faults = 1 if gained >= FRUIT_BYTES else mirror.faults + 1
        mirror.ranges = mirror.ranges and not fault.without_ranges
        mirror.etag = None if fault.without_tag else mirror.etag
        mirror.doubts += fault.may_be_chance
        mirror.refused = None if fault.may_be_chance and mirror.doubts < 2 else fault.refusal
        pause_s = min(_MOST_PAUSE_S, self._pause_s * 2 ** (mirror.faults - 1))
        mirror.not_before = self._clock() + max(pause_s, fault.wait_s)
        self._said = DownloadFailed(mirror.url, fault.said)

    def _is_good(self, mirror: Mirror, now: float) -> bool:
        return not mirror.refused and mirror.ranges and not mirror.faults and mirror.not_before <= now
