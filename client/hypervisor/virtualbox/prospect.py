"""Whether VirtualBox can work on this computer: what is installed, how it is, and what was seen of it lately.

Proof beats presence, both ways: after a start that failed for a lasting cause VirtualBox is put aside for a while, and
where a guest has lived lately it is taken whatever the signs say.
"""

import asyncio
from pathlib import Path
from typing import Final

from client import filenames
from client.clock import Clock
from client.errors import ClientError
from client.hypervisor.driver import DriverReport, Feature
from client.hypervisor.verdicts import Verdicts, host_identity
from client.hypervisor.virtualbox import capabilities, health, problems, vm_log
from client.hypervisor.virtualbox.find import VirtualBox, find_virtualbox
from client.hypervisor.virtualbox.health import Health
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.shape import Abilities
from client.hypervisor.virtualbox.vboxmanage import VBoxManage

SUBJECT: Final = "virtualbox"
#: Another program's VM ends, and so does a shortage of processes or files.
_PASSING: Final = (problems.VirtualizationTaken, problems.VirtualBoxBroken)


class Prospect:
    """What there is to drive.

    Args:
        folder: of the driver; verdicts are kept in it.
        search_path: where to look for VBoxManage; the usual places if None.
        installation: what to drive instead of what is found.
        needs_driver: False for a VirtualBox whose VMs run without the kernel module, interpreted.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        search_path: str | None,
        installation: Installation | None,
        *,
        needs_driver: bool,
    ) -> None:
        self._clock = clock
        self._search_path = search_path
        self._installation = installation
        self._needs_driver = needs_driver
        self._verdicts = Verdicts(folder / filenames.ACCELERATORS, clock)
        self._found: tuple[VBoxManage, VirtualBox] | None = None
        self._finding = asyncio.Lock()
        self._proven = ""

    async def installation(self) -> Installation:
        """The installed VirtualBox.

        Raises:
            ToolMissing, HypervisorError: there is none that can be driven.
        """
        async with self._finding:
            return self._installation or await self._find()

    async def report(self, name: str, features: frozenset[Feature]) -> DriverReport:
        """See `Driver.probe`."""
        try:
            installation = await self.installation()
            seen = await self._health()
        except ClientError as error:
            return DriverReport(name, available=False, problem=error.code, reasons=(error,))
        found = seen.problems if seen else ()
        verdict = self._verdicts.verdict(SUBJECT, self._host(installation))
        failed = verdict is not None and not verdict.works
        is_usable = seen is None or seen.is_usable or (verdict is not None and verdict.works)
        if failed or not is_usable:
            cause = verdict.cause if verdict and failed else found[0].code
            return DriverReport(name, False, installation.version_text, problem=cause or "start-failed", reasons=found)
        accelerator = self._accelerator(installation, seen)
        return DriverReport(
            name=name,
            available=True,
            version=installation.version_text,
            accelerators=(accelerator,),
            speed=vm_log.SPEED[accelerator],
            is_proven=verdict is not None,
            features=features,
            reasons=found,
        )

    async def works(self, accelerator: str) -> None:
        """A guest has lived under it."""
        if accelerator in vm_log.SPEED and self._proven != accelerator:
            self._proven = accelerator
            host = self._host(await self.installation())
            self._verdicts.forget(*(_subject(other) for other in vm_log.SPEED if other != accelerator))
            for subject in (SUBJECT, _subject(accelerator)):
                self._verdicts.remember(subject, host, works=True)

    async def fails(self, error: ClientError) -> None:
        """It cannot start VMs here, for a cause that a second try at once does not remove."""
        self._proven = ""
        host, is_passing = self._host(await self.installation()), isinstance(error, _PASSING)
        self._verdicts.remember(SUBJECT, host, works=False, cause=error.code, is_passing=is_passing)

    async def _find(self) -> Installation:
        found = await find_virtualbox(self._search_path)
        manage = VBoxManage(found.program, clock=self._clock)
        can = await capabilities.probe(manage, found.version)
        abilities = Abilities(
            has_virtio_scsi=can.virtio_scsi,
            has_virtio_net=can.virtio_net,
            has_localhost_option=can.nat_localhost_option,
            has_paravirt=bool(can.paravirt),
        )
        self._found = (manage, found)
        self._installation = Installation(manage, str(found.version), abilities)
        return self._installation

    async def _health(self) -> Health | None:
        if self._found is None:
            return None
        manage, found = self._found
        return await health.check(manage, found.version, needs_driver=self._needs_driver)

    def _accelerator(self, installation: Installation, seen: Health | None) -> str:
        """What guests ran under lately; else what is to be expected."""
        host = self._host(installation)
        proven = (one for one in vm_log.SPEED if self._verdicts.works(_subject(one), host))
        expected = vm_log.HARDWARE if seen is None or seen.hardware else vm_log.INTERPRETER
        return next(proven, expected)

    def _host(self, installation: Installation) -> str:
        return host_identity("VirtualBox", installation.version_text)


def _subject(accelerator: str) -> str:
    return f"{SUBJECT} {accelerator}"
