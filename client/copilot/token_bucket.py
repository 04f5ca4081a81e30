"""So much for each peer and second, and no more: what costs this computer time must not be had without end."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

#: Peers that are remembered; who was forgotten begins with a full bucket.
MAX_PEERS: Final = 20_000


class TokenBuckets:
    """A bucket for each peer: it fills with `per_s` tokens a second up to `burst`, and each use takes one."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> bool:
        """Whether there was a token."""
        now = self._clock()
        left, at = self._left.pop(peer, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        is_there = left >= 1.0
        self._left[peer] = (left - is_there, now)
        if len(self._left) > MAX_PEERS:
            self._left.popitem(last=False)
        return is_there
