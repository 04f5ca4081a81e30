"""What the processes of one VM use, for its view."""

from typing import Final

from client import process
from client.clock import Clock


class UsageMeter:
    """CPU and memory of a VM's processes, measured at most every two seconds."""

    INTERVAL_S: Final = 2.0

    def __init__(self, clock: Clock) -> None:
        self.cpu_percent: float | None = None
        self.memory_mib: float | None = None
        self._clock = clock
        self._pids: tuple[int, ...] = ()
        self._at = 0.0
        self._cpu_s = 0.0

    async def measure(self, pids: tuple[int, ...]) -> "UsageMeter":
        """Bring the figures up to date; None for a VM without processes."""
        now = self._clock.monotonic()
        if pids == self._pids and now - self._at < self.INTERVAL_S:
            return self
        used = process.usage(pids)
        fresh = pids != self._pids or not pids
        self.cpu_percent = None if fresh else 100 * (used.cpu_s - self._cpu_s) / (now - self._at)
        self.memory_mib = used.rss_bytes / 2**20 if pids else None
        self._pids, self._at, self._cpu_s = pids, now, used.cpu_s
        return self
