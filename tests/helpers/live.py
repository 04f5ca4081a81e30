"""A hypervisor's live control of the processor, imagined."""

import asyncio

from client.errors import ClientError


class FakeLive:
    """Notes what it is asked for; waits and fails as it is told to."""

    def __init__(self) -> None:
        self.error: ClientError | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.asked: list[tuple[str, int]] = []

    async def set_network(self, vm_id: str, connected: bool) -> None:
        raise NotImplementedError

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        self.asked.append((vm_id, percent))
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error

    async def set_disk_rate(self, vm_id: str, bytes_s: int) -> None:
        raise NotImplementedError

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        raise NotImplementedError
