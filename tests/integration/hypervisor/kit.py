"""What the contract test is given for a driver: a kit. One per driver, made by a fixture `kit`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from client.hypervisor.driver import Driver, VmSpec
from tests.integration.hypervisor.guests import Line


@dataclass
class Kit:
    """What the contract test needs of a driver.

    Attributes:
        make: a new driver on the same folder, as after a restart of the client.
        bare: a spec of a VM that runs without any guest to speak of.
        speaking: a spec of a VM whose guest speaks on the link.
        exchanging: the same with an exchange of EXCHANGE_MIB.
        slowness: how many times slower than QEMU's TCG its guests are; time limits grow by it.
        has_machine: whether there is a machine below the guest (memory, disks, a network card); the fake's has none.
        heeds_power_button: whether the speaking guest goes off when it is asked by ACPI.
    """

    name: str
    folder: Path
    make: Callable[[], Driver]
    bare: Callable[[str], VmSpec]
    speaking: Callable[[str], VmSpec]
    exchanging: Callable[[str], VmSpec]
    slowness: float = 1.0
    has_machine: bool = True
    heeds_power_button: bool = True
    _lines: list[Line] = field(default_factory=list)

    async def line(self, driver: Driver, vm_id: str = "one") -> Line:
        """A line to a guest that has booted or is going to."""
        self._lines.append(await Line.open(driver, vm_id, slowness=self.slowness))
        return self._lines[-1]

    async def hang_up(self) -> None:
        """Close all lines; at the end of every test."""
        for line in self._lines:
            await line.close()

    async def boot(self, driver: Driver, spec: VmSpec) -> tuple[Line, str]:
        """Define and start a speaking VM; a line to its guest and the id of its boot."""
        await driver.define(spec)
        await driver.start(spec.vm_id)
        line = await self.line(driver, spec.vm_id)
        return line, await line.wait_boot()


EXCHANGE_MIB = 4
