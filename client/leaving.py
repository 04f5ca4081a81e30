"""How long leaving may take: as long as the VMs' states are being written, and a while longer."""

from collections.abc import Mapping

from client.clock import Clock


class Patience:
    """Runs out when nothing more of any VM's state has been written for some time.

    What an attempt that failed had written does not count again, so attempts without end do not keep it up.

    Args:
        limit_s: seconds without progress.
    """

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._most: dict[str, int] = {}
        self._since = clock.monotonic()

    def is_over(self, written: Mapping[str, int]) -> bool:
        """Whether it has run out.

        Args:
            written: vm_id -> bytes of its state so far.
        """
        now = self._clock.monotonic()
        for vm_id, size_bytes in written.items():
            if size_bytes > self._most.get(vm_id, 0):
                self._most[vm_id] = size_bytes
                self._since = now
        return now > self._since + self._limit_s
