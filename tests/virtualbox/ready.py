"""The appliance with the real agent, booted once; each test goes back to the moment after its first command.

The boot takes about four minutes here. The point is one of the driver's own snapshots, so memory and disk come back
together; the VM, its folder and its contextualization medium stay the same from test to test.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from tests.integration.hypervisor.errand_guest import booted
from tests.integration.hypervisor.guests import APPLIANCE
from tests.integration.hypervisor.kit import Kit

VM_ID = "one"
POINT = "ready"
#: What QEMU's TCG needs on this kind of computer from the power button to the end of the first command.
_QEMU_READY_S = 12.0
#: The longest that it may take here, as a multiple of what is allowed under QEMU.
_MOST_SLOWNESS = 8.0


@dataclass(frozen=True)
class Ready:
    """A VM that does not run and has a point to go back to.

    Attributes:
        folder: of the driver.
        ready_s: how long it took from the power button to the end of the first command.
    """

    folder: Path
    ready_s: float

    def make(self) -> VirtualBoxDriver:
        """A new driver on the folder."""
        return VirtualBoxDriver(self.folder, needs_driver=False)

    def kit(self) -> Kit:
        """Whoever defines what this gives, defines the same VM again; it keeps its state."""
        return _kit(self.folder, max(1.0, self.ready_s / _QEMU_READY_S))

    async def go_back(self) -> None:
        """Have it as it was, saved."""
        driver = self.make()
        await driver.power_off(VM_ID)
        await driver.snapshots.restore(VM_ID, POINT)
        await driver.close()

    async def destroy(self) -> None:
        """Have nothing left of it."""
        driver = self.make()
        await driver.destroy(VM_ID)
        await driver.close()


async def make_ready(folder: Path) -> Ready:
    """Boot it and keep the point; some minutes."""
    begun = time.monotonic()
    async with booted(_kit(folder, _MOST_SLOWNESS), folder.parent) as (driver, _):
        ready = Ready(folder, time.monotonic() - begun)
        assert driver.snapshots is not None
        await driver.snapshots.take(VM_ID, POINT)
        await driver.power_off(VM_ID)
    await driver.close()
    return ready


def _kit(folder: Path, slowness: float) -> Kit:
    def make() -> VirtualBoxDriver:
        return VirtualBoxDriver(folder, needs_driver=False)

    return Kit("virtualbox", folder, make, _spec, _spec, _spec, slowness=slowness)


def _spec(vm_id: str) -> VmSpec:
    """The appliance, bootable by firmware. With a network: on a card that leads nowhere its kernel has no driver."""
    manifest = json.loads((APPLIANCE / "manifest.json").read_text())
    media = (
        Medium(MediumRole.SYSTEM, APPLIANCE / manifest["iso"]["system"]),
        Medium(MediumRole.SCRATCH, APPLIANCE / manifest["scratch"]),
    )
    return VmSpec(vm_id, f"Test {vm_id}", cpus=1, memory_mib=256, media=media, internet=True)
