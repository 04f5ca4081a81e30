"""Live control of VMs that are not there: what was asked is kept, and a test can read it."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from client.errors import BadInput
from client.hypervisor.fake_shelf import FakeShelf
from client.paths import write_atomic

_FILE: Final = "live.json"


@dataclass(frozen=True)
class Asked:
    """What was last asked for; None: nothing, so it is as the spec says."""

    network: bool | None = None
    cpu_cap_percent: int | None = None
    memory_mib: int | None = None
    disk_bytes_s: int | None = None


class FakeLiveControl:
    """See `LiveControl`."""

    def __init__(self, shelf: FakeShelf) -> None:
        self._shelf = shelf

    async def set_network(self, vm_id: str, connected: bool) -> None:
        """See `LiveControl.set_network`."""
        self._ask(vm_id, network=connected)

    async def set_cpu_cap(self, vm_id: str, percent: int) -> None:
        """See `LiveControl.set_cpu_cap`."""
        if not 1 <= percent <= 100:
            raise BadInput("percent", f"{percent} % of a processor", "give 1 to 100")
        self._ask(vm_id, cpu_cap_percent=percent)

    async def set_disk_rate(self, vm_id: str, bytes_s: int) -> None:
        """See `LiveControl.set_disk_rate`."""
        self._ask(vm_id, disk_bytes_s=bytes_s)

    async def set_memory(self, vm_id: str, memory_mib: int) -> None:
        """See `LiveControl.set_memory`."""
        if memory_mib < 1:
            raise BadInput("memory_mib", f"{memory_mib} MiB of memory", "give at least 1")
        self._ask(vm_id, memory_mib=memory_mib)

    def asked(self, vm_id: str) -> Asked:
        """For tests: what was asked so far."""
        return _read(self._shelf.require(vm_id))

    def _ask(self, vm_id: str, **changes: Any) -> None:
        self._shelf.require_spec(vm_id, "change")
        path = self._shelf.path(vm_id)
        write_atomic(path / _FILE, json.dumps(asdict(replace(_read(path), **changes))).encode())


def forget(path: Path) -> None:
    """Forget what was asked of the VM in this folder: it is another one now."""
    (path / _FILE).unlink(missing_ok=True)


def _read(path: Path) -> Asked:
    try:
        return Asked(**json.loads((path / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Asked()
