"""The tiny guest, booted once: its state just before it is spoken to, given to other VMs of the same shape.

A boot takes most of a minute here, going on from a saved state half a second. The state is saved by the driver under
test, and put into a VM that the same driver has just defined by VirtualBox's own `adoptstate`; from there on the VM is
as any other that was saved. Its guest reads a word from its contextualization medium before it is spoken to, so two VMs
of one state differ. Resets, fresh starts and VMs of another shape boot for real.
"""

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.snapshot import VmState
from tests.integration.hypervisor.guests import Line
from tests.integration.hypervisor.kit import EXCHANGE_MIB
from tests.virtualbox.lane import Lane

#: What QEMU's TCG needs on this kind of computer from the power button to the guest's first word.
QEMU_BOOT_S = 6.0
#: The longest that a first boot may take; the lane's other limits follow from what it took.
_BOOT_LIMIT_S = 400
_CD_BYTES = 40 * 1024
_WORD_CHARS = 4


@dataclass(frozen=True)
class Golden:
    """Attributes:
    state: file of the saved state.
    boot_s: how long the boot took.
    """

    state: Path
    boot_s: float

    @property
    def slowness(self) -> float:
        """How many times slower than QEMU's TCG the guests are."""
        return max(1.0, self.boot_s / QEMU_BOOT_S)


def context_medium(path: Path, word: str) -> Path:
    """A medium that gives the guest a word of its own, the same length for all."""
    path.write_bytes(f"CONTEXT {word[:_WORD_CHARS]:_<{_WORD_CHARS}}".encode().ljust(_CD_BYTES, b"\0"))
    return path


def guest_spec(vm_id: str, guest: Path, template: Path, context: Path) -> VmSpec:
    """A VM of the tiny guest, with an exchange, so that the tests of that need no boot of their own."""
    media = (
        Medium(MediumRole.SYSTEM, guest),
        Medium(MediumRole.CONTEXT, context),
        Medium(MediumRole.SCRATCH, template),
    )
    name = f"Test {vm_id}"
    return VmSpec(vm_id, name, cpus=1, memory_mib=128, media=media, internet=True, exchange_mib=EXCHANGE_MIB)


async def boot_once(folder: Path, spec: VmSpec) -> Golden:
    """Boot a VM in a folder of its own, save it, keep the state, destroy the VM."""
    driver = VirtualBoxDriver(folder / "vms")
    await driver.define(spec)
    begun = time.monotonic()
    await driver.start(spec.vm_id)
    line = await Line.open(driver, spec.vm_id)
    await line.wait_boot(_BOOT_LIMIT_S)
    boot_s = time.monotonic() - begun
    await line.close()
    await driver.save(spec.vm_id)
    (state,) = VmFolder(folder / "vms" / spec.vm_id).machine_folder.glob("Snapshots/*.sav")
    kept = shutil.copy(state, folder / "golden.sav")
    await driver.destroy(spec.vm_id)
    await driver.close()
    return Golden(Path(kept), boot_s)


class BootedDriver(VirtualBoxDriver):
    """The driver; what it newly defines of the golden VM's shape begins with the golden state.

    Args:
        shape: spec of the VM whose state it is; id, name, network and the media's files may differ.
    """

    def __init__(self, folder: Path, lane: Lane, golden: Golden, shape: VmSpec) -> None:
        super().__init__(folder, needs_driver=False)
        self._vms = folder
        self._lane, self._golden, self._shape = lane, golden, shape

    async def define(self, spec: VmSpec) -> None:
        """As the driver does, then with a saved state."""
        is_new = (await self.info(spec.vm_id)).state is VmState.ABSENT
        await super().define(spec)
        if is_new and _shape_of(spec) == _shape_of(self._shape):
            await asyncio.to_thread(self._adopt, VmFolder(self._vms / spec.vm_id))

    def _adopt(self, folder: VmFolder) -> None:
        snapshots = folder.machine_folder / "Snapshots"
        snapshots.mkdir(exist_ok=True)
        state = shutil.copy(self._golden.state, snapshots / "golden.sav")
        self._lane.manage("adoptstate", folder.record().uuid, str(state))


def _shape_of(spec: VmSpec) -> tuple[object, ...]:
    roles = tuple(medium.role for medium in spec.media)
    # Which network card it has depends on whether that leads anywhere; where to is the hypervisor's business.
    leads_out = spec.internet or bool(spec.routes)
    return (spec.cpus, spec.memory_mib, roles, spec.exchange_mib, leads_out)
