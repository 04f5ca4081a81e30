"""Whether VirtualBox can work on this computer: what is installed, and what was seen of it lately."""

from pathlib import Path
from typing import Final

from client import filenames
from client.clock import Clock
from client.errors import ClientError
from client.hypervisor.driver import DriverReport, Feature
from client.hypervisor.verdicts import Verdicts, host_identity
from client.hypervisor.virtualbox import vm_log
from client.hypervisor.virtualbox.find import find_virtualbox
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.parse import Version
from client.hypervisor.virtualbox.shape import Abilities
from client.hypervisor.virtualbox.vboxmanage import VBoxManage

_SUBJECT: Final = "virtualbox"


class Prospect:
    """What there is to drive.

    Args:
        folder: of the driver; the verdict is kept in it.
        search_path: where to look for VBoxManage; the usual places if None.
        installation: what to drive instead of what is found.
    """

    def __init__(self, folder: Path, clock: Clock, search_path: str | None, installation: Installation | None) -> None:
        self._folder = folder
        self._clock = clock
        self._search_path = search_path
        self._installation = installation
        self._verdicts = Verdicts(folder / filenames.ACCELERATORS, clock)
        self._is_proven = False

    async def installation(self) -> Installation:
        """The installed VirtualBox.

        Raises:
            ToolMissing, HypervisorError: there is none that can be driven.
        """
        if self._installation is None:
            found = await find_virtualbox(self._search_path)
            manage = VBoxManage(found.program, clock=self._clock)
            self._installation = Installation(manage, str(found.version), _abilities(found.version))
        return self._installation

    async def report(self, name: str, features: frozenset[Feature]) -> DriverReport:
        """See `Driver.probe`."""
        try:
            installation = await self.installation()
        except ClientError as error:
            return DriverReport(name, available=False, problem=error.code, reasons=(error,))
        seen = self._verdicts.verdict(_SUBJECT, self._host(installation))
        if seen is not None and not seen.works:
            return DriverReport(name, False, installation.version_text, problem=seen.cause or "start-failed")
        return DriverReport(
            name=name,
            available=True,
            version=installation.version_text,
            accelerators=(vm_log.HARDWARE, vm_log.NATIVE_API, vm_log.INTERPRETER),
            speed=vm_log.SPEED[vm_log.HARDWARE],
            features=features,
        )

    async def works(self) -> None:
        """A guest has lived under it."""
        if not self._is_proven:
            self._is_proven = True
            self._verdicts.remember(_SUBJECT, self._host(await self.installation()), works=True)

    async def fails(self, error: ClientError) -> None:
        """It cannot start VMs here, for a cause that a second try does not remove."""
        self._is_proven = False
        self._verdicts.remember(_SUBJECT, self._host(await self.installation()), works=False, cause=error.code)

    def _host(self, installation: Installation) -> str:
        return host_identity("VirtualBox", installation.version_text)


def _abilities(version: Version) -> Abilities:
    # Source: VirtualBox's change log, 6.1.0 (virtio-scsi) and 7.0.0 (option for the host's loopback).
    return Abilities(has_virtio_scsi=version >= Version(6, 1), has_localhost_option=version >= Version(7, 0))
