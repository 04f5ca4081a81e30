"""The appliance with the real agent under QEMU, booted once; each test goes back to the moment after its first command.

The point is one of the driver's own snapshots, so memory and disk come back together; the VM, its folder and its
contextualization medium stay the same from test to test.
"""

from dataclasses import dataclass, field
from pathlib import Path

from client.hypervisor.driver import VmSpec
from client.hypervisor.qemu.driver import QemuDriver
from tests.integration.hypervisor.errand_guest import booted
from tests.integration.hypervisor.guests import appliance_spec, build_context, tcg_driver
from tests.integration.hypervisor.kit import Kit

VM_ID = "one"
POINT = "ready"


@dataclass
class Ready:
    """A VM that does not run and has a point to go back to. folder: of its driver."""

    folder: Path
    _made: list[QemuDriver] = field(default_factory=list)

    def make(self) -> QemuDriver:
        """A new driver on the folder."""
        self._made.append(tcg_driver(self.folder))
        return self._made[-1]

    def kit(self) -> Kit:
        """Whoever defines what this gives, defines the same VM again; it keeps its state."""
        return Kit("qemu", self.folder, self.make, self._spec, self._spec, self._spec)

    def _spec(self, vm_id: str) -> VmSpec:
        return appliance_spec(vm_id, build_context(self.folder.parent / f"{vm_id}.iso"))

    async def boot(self) -> None:
        """Boot it and keep the point."""
        async with booted(self.kit(), self.folder.parent) as (driver, _):
            assert driver.snapshots is not None
            await driver.snapshots.take(VM_ID, POINT)
        await self.end()

    async def go_back(self) -> None:
        """Have it as it was, saved."""
        driver = self.make()
        assert driver.snapshots is not None
        await driver.snapshots.restore(VM_ID, POINT)

    async def end(self) -> None:
        """Power it off, and close all drivers: QEMU listens to one at a time."""
        while self._made:
            await self._made.pop().close()
        driver = tcg_driver(self.folder)
        await driver.power_off(VM_ID)
        await driver.close()

    async def destroy(self) -> None:
        """Have nothing left of it."""
        driver = tcg_driver(self.folder)
        await driver.destroy(VM_ID)
        await driver.close()
