"""Errors of appliances: their manifest, their files."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class ApplianceError(ClientError):
    """Root of the family."""

    code: ClassVar[str] = "appliance"


@dataclass(eq=False)
class BadManifest(ApplianceError):
    """A manifest that cannot be used. where: file or address; what: what is wrong with it."""

    code: ClassVar[str] = "bad-manifest"
    where: str
    what: str


@dataclass(eq=False)
class ApplianceMissing(ApplianceError):
    """A file of the appliance is not there."""

    code: ClassVar[str] = "appliance-missing"
    path: str


@dataclass(eq=False)
class ApplianceTruncated(ApplianceError):
    """A file of the appliance has the wrong length, in bytes."""

    code: ClassVar[str] = "appliance-truncated"
    path: str
    expected_bytes: int
    found_bytes: int


@dataclass(eq=False)
class ApplianceAltered(ApplianceError):
    """A file of the appliance has the right length and other bytes. Digests are SHA-256, lower-case hex."""

    code: ClassVar[str] = "appliance-altered"
    path: str
    expected_sha256: str
    found_sha256: str


@dataclass(eq=False)
class DownloadFailed(ApplianceError):
    """A file could not be fetched; worth trying again. said: the cause as the system words it."""

    code: ClassVar[str] = "download-failed"
    url: str
    said: str


@dataclass(eq=False)
class WorkerFailed(ApplianceError):
    """A process that does one piece of work ended without a result. kind: its work; said: its last words."""

    code: ClassVar[str] = "worker-failed"
    kind: str
    said: str
