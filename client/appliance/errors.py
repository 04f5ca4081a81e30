"""Errors of appliances: their manifest, their files."""

from dataclasses import dataclass, field
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


@dataclass(eq=False)
class CatalogUnreachable(ApplianceError):
    """No address of a catalogue answers, and none that was fetched before can be used. said: the first cause."""

    code: ClassVar[str] = "catalog-unreachable"
    url: str
    said: str


@dataclass(eq=False)
class CatalogRefused(ApplianceError):
    """A catalogue did not prove to be genuine and up to date; nothing of it was used. said: which proof failed."""

    code: ClassVar[str] = "catalog-refused"
    url: str
    said: str


@dataclass(eq=False)
class CatalogExpired(ApplianceError):
    """A part of a catalogue was good until a time that is over. expired_at: ISO 8601, UTC."""

    code: ClassVar[str] = "catalog-expired"
    url: str
    part: str
    expired_at: str


@dataclass(eq=False)
class ClockWrong(ApplianceError):
    """This computer's clock contradicts a catalogue's signatures or its server. Times: ISO 8601, UTC."""

    code: ClassVar[str] = "clock-wrong"
    here: str
    there: str


@dataclass(eq=False)
class CatalogRootWrong(ApplianceError):
    """What a catalogue gives as the beginning of its trust is not what the project file or this program names."""

    code: ClassVar[str] = "catalog-root-wrong"
    url: str
    said: str


@dataclass(eq=False)
class NotInCatalog(ApplianceError):
    """A catalogue has no such thing. what: project, appliance or version; known: what it has instead."""

    code: ClassVar[str] = "not-in-catalog"
    what: str
    known: str


@dataclass(eq=False)
class ClientTooOld(ApplianceError):
    """Every version of an appliance in a catalogue wants a newer client than this."""

    code: ClassVar[str] = "client-too-old"
    appliance: str
    needed: str
    found: str


@dataclass(eq=False)
class BadTemplate(ApplianceError):
    """A contextualization template that cannot be used. faults: all that is wrong; what: the same as one text."""

    code: ClassVar[str] = "bad-template"
    where: str
    faults: tuple[str, ...]
    what: str = field(init=False)

    def __post_init__(self) -> None:
        self.what = "; ".join(self.faults)


@dataclass(eq=False)
class BadContextValues(ApplianceError):
    """What was filled into a template cannot be used. Never holds a value: one may be a secret."""

    code: ClassVar[str] = "bad-context-values"
    template: str
    faults: tuple[str, ...]
    what: str = field(init=False)

    def __post_init__(self) -> None:
        self.what = "; ".join(self.faults)


@dataclass(eq=False)
class NeedsNotMet(ApplianceError):
    """This computer, or what the preferences let it give, is not what an appliance needs. what: all that is missing."""

    code: ClassVar[str] = "needs-not-met"
    appliance: str
    what: str


@dataclass(eq=False)
class StoreTooSmall(ApplianceError):
    """An appliance takes more than all appliances together may. Sizes in bytes."""

    code: ClassVar[str] = "store-too-small"
    appliance: str
    needed_bytes: int
    limit_bytes: int


@dataclass(eq=False)
class DiskBudgetSmall(ApplianceError):
    """An appliance takes more than the volunteer's budget for the disk leaves for appliances. Sizes in bytes."""

    code: ClassVar[str] = "disk-budget-small"
    appliance: str
    needed_bytes: int
    limit_bytes: int


@dataclass(eq=False)
class ImageNeeded(ApplianceError):
    """An appliance cannot be removed now. who: who needs it, in words."""

    code: ClassVar[str] = "image-needed"
    image: str
    who: str


@dataclass(eq=False)
class NoSuchImage(ApplianceError):
    """There is no such appliance in the store. known: what there is."""

    code: ClassVar[str] = "no-such-image"
    image: str
    known: str


@dataclass(eq=False)
class OwnNoteDamaged(ApplianceError, ValueError):
    """What is known of an own image cannot be read. path: of the file that says it; what: why."""

    code: ClassVar[str] = "own-note-damaged"
    image: str
    path: str
    what: str


@dataclass(eq=False)
class ImageRefused(ApplianceError):
    """A file that is no image, not a whole one, or one that is not safe to use. what: why; remedy: what to do."""

    code: ClassVar[str] = "image-refused"
    path: str
    what: str
    remedy: str


@dataclass(eq=False)
class ImageUnproven(ApplianceError):
    """Nobody's signature is in a package, and its user has not said that it is to be trusted. what: what is missing."""

    code: ClassVar[str] = "image-unproven"
    path: str
    what: str


@dataclass(eq=False)
class ImageForged(ApplianceError):
    """A package contradicts its own manifest or signature. file: the part of it that does; what: how."""

    code: ClassVar[str] = "image-forged"
    path: str
    file: str
    what: str


@dataclass(eq=False)
class ImageDamaged(ApplianceError):
    """An own image has changed on this computer's disk. path: the file in the store; origin: where it came from."""

    code: ClassVar[str] = "image-damaged"
    image: str
    path: str
    origin: str


@dataclass(eq=False)
class ImageExists(ApplianceError):
    """There is an own image of that name already."""

    code: ClassVar[str] = "image-exists"
    name: str


@dataclass(eq=False)
class ImportBusy(ApplianceError):
    """Another image is being imported into the same folder."""

    code: ClassVar[str] = "import-busy"
    folder: str


@dataclass(eq=False)
class NoConverter(ApplianceError):
    """No program is here that makes one form of disk out of another. found, wanted: forms of disk."""

    code: ClassVar[str] = "no-converter"
    found: str
    wanted: str


@dataclass(eq=False)
class ConversionFailed(ApplianceError):
    """A disk could not be brought into another form. tool: the program that tried; said: its last words."""

    code: ClassVar[str] = "conversion-failed"
    path: str
    tool: str
    said: str
