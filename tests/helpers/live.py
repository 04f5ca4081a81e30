"""A hypervisor's live control, imagined."""

import asyncio

from client.errors import ClientError


class FakeLive:
    """Notes what it is asked for; waits and fails as it is told to.

    Attributes:
        error: with which it always fails.
        asked: vm_id and value of each question, whatever it was about.
    """

    def __init__(self, *errors: ClientError) -> None:
        """errors: with which it fails once each."""
        self.error: ClientError | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.asked: list[tuple[str, int]] = []
        self._errors = list(errors)

    async def set_network(self, vm_id: str, connected: bool) -> None:
        await self._take(vm_id, int(connected))

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        await self._take(vm_id, percent)

    async def set_disk_rate(self, vm_id: str, bytes_s: int) -> None:
        await self._take(vm_id, bytes_s)

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        await self._take(vm_id, memory_mib)

    async def _take(self, vm_id: str, value: int) -> None:
        self.asked.append((vm_id, value))
        await self.goes_on.wait()
        if self._errors:
            raise self._errors.pop()
        if self.error is not None:
            raise self.error
