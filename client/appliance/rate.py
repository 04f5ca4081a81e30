"""Rates of a transfer: how long to wait to keep one, and how fast it goes."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from client.meter import DOWN, Meter, Share, clock_ns, piece_bytes

CHUNK_BYTES: Final = 512 * 1024
_LEAST_CHUNK: Final = 1024
#: how much of what was not used may be made up for later
_CREDIT_S: Final = 1.0
_WINDOW_S: Final = 5.0

Clock = Callable[[], float]


class Limiter:
    """Keeps a rate, exact on average; the rate may change at any time."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._limit: int | None = None
        self._since = clock()
        self._passed = 0

    def chunk(self, limit: int | None) -> int:
        """How much to ask for at a time, so that it flows and does not jump."""
        return CHUNK_BYTES if limit is None else max(_LEAST_CHUNK, min(CHUNK_BYTES, limit // 10))

    def due(self, count: int, limit: int | None) -> float:
        """Count what came; returns how many seconds to wait before more may come.

        Args:
            count: bytes since the last call; 0 to ask again.
            limit: bytes a second; None: no limit.
        """
        now = self._clock()
        if limit != self._limit:
            self._limit, self._since, self._passed = limit, now, 0
        if limit is None:
            return 0.0
        self._passed += count
        wait = self._since + self._passed / limit - now
        if wait < -_CREDIT_S:
            self._since -= wait + _CREDIT_S
        return max(0.0, wait)


class Steered(Protocol):
    """What a transfer is told while it works; see `client.appliance.worker_child.Face`."""

    limit: int | None
    held: bool
    meter: str

    def rest(self, seconds: float) -> None:
        """Wait, but no longer than until the next word."""


class Pace:
    """Keeps a transfer to its own limit, and to what the meter lets all of the program's traffic have."""

    def __init__(self, face: Steered) -> None:
        self._face = face
        self._limiter = Limiter()
        self._share = Share(Meter(face.meter), DOWN) if face.meter else None

    @property
    def limit(self) -> int:
        """Bytes a second, of whichever limit is the lower; 0: there is none."""
        shared = 0
        if self._share is not None:
            self._share.is_closed(clock_ns())
            shared = self._share.limit
        own = self._face.limit or 0
        return min(own, shared) or max(own, shared)

    def chunk(self) -> int:
        """How much to ask for at a time."""
        own = self._limiter.chunk(self._face.limit)
        shared = self._share.limit if self._share is not None else 0
        return min(own, piece_bytes(shared)) if shared else own

    def keep(self, count: int) -> None:
        """Count what came, and rest until more may come; or until the transfer is held.

        Args:
            count: bytes; 0 before the first.
        """
        if self._share is not None:
            self._share.moved(count, clock_ns())
        wait_s = max(self._limiter.due(count, self._face.limit), self._shared_s())
        while wait_s > 0 and not self._face.held:
            self._face.rest(wait_s)
            wait_s = max(self._limiter.due(0, self._face.limit), self._shared_s())

    def end(self) -> None:
        """No more comes for now; what came is in the books then."""
        if self._share is not None:
            self._share.enter(clock_ns())

    def _shared_s(self) -> float:
        now = clock_ns()
        if self._share is None or self._share.most(now):
            return 0.0
        return max(0.001, self._share.wait_s(now))


class Speed:
    """How fast it went over the last seconds."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._done = 0
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, count: int) -> None:
        """So many bytes more came."""
        self._done += count
        now = self._clock()
        # Ten marks a second are enough to tell a rate.
        if now - self._seen[-1][0] >= 0.1 or len(self._seen) == 1:
            self._seen.append((now, self._done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW_S:
            self._seen.popleft()

    def bytes_per_s(self) -> float:
        """0.0 as long as nothing came."""
        began, done = self._seen[0]
        return (self._done - done) / max(self._clock() - began, 1e-3)


class Patience:
    """Ends with a peer that sends, but so little that the transfer would never end."""

    LEAST_BYTES_PER_S: Final = 1024

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._waited = 0.0
        self._came = 0

    def is_out(self, waited_s: float, count: int) -> bool:
        """Count one wait for the peer and what it brought; only waits for the peer count, not our own rests."""
        self._waited += waited_s
        self._came += count
        if self._waited < self._stall_s:
            return False
        slow = self._came < self.LEAST_BYTES_PER_S * self._waited
        self._waited, self._came = 0.0, 0
        return slow
