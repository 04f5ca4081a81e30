"""The local site's appliance as a signed catalogue, made with the same code as any other (docs/catalogue.md)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from client.appliance.publish import renewal
from client.appliance.publish.accept import take_over
from client.appliance.publish.catalogue import Catalogue
from client.appliance.publish.images import SOURCES, read_image
from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.layout import CatalogueFolder
from client.appliance.publish.project import Project
from client.appliance.publish.repository import alone
from client.appliance.publish.settings import Expiry, Publisher, Settings
from client.service.site_files import SiteTerms
from client.service.site_plan import LOOPBACK, SitePlan

#: id of the site's only project
PROJECT: Final = "local"
#: a computer that is switched off renews nothing
_EXPIRY: Final = Expiry(root=3650, targets=3650, project=3650, snapshot=365, timestamp=60)


@dataclass(frozen=True)
class SiteCatalog:
    """What a project file says to name the site's appliance.

    Attributes:
        url: folder that holds metadata and targets.
        root_sha256: of the first root.
    """

    url: str
    root_sha256: str
    appliance: str
    version: str


def is_publishable(appliance: Path) -> bool:
    """Whether it is an appliance that was built with the list of its source packages."""
    return (appliance / SOURCES).is_file()


def publish_appliance(base: Path, appliance: Path, plan: SitePlan, terms: SiteTerms) -> SiteCatalog:
    """Publish an appliance in the site's own catalogue, made if there is none. Blocks. Idempotent.

    Args:
        base: the catalogue's folder.

    Raises:
        BadInput: the appliance cannot be published, or the catalogue is damaged.
        OSError: the disk fails.
    """
    folder = CatalogueFolder(base)
    url = f"http://{LOOPBACK}:{plan.ports.key}/catalogue/"
    image = read_image(appliance)
    with alone(folder.lock):
        catalogue = _catalogue(folder)
        own = folder.project(PROJECT)
        publisher = Publisher(PROJECT, terms.name, terms.text, terms.publisher, versions=1, days=_EXPIRY.project)
        project = Project.open(own, lambda _: b"") if own.settings.exists() else Project.make(own, publisher)
        # A build of the same version with other bytes is what a developer makes all day.
        project.add(image, replace=True)
        take_over(catalogue, project)
        renewal.renew(catalogue)
        return SiteCatalog(url, catalogue.first_root_sha256(), image.facts.name, image.facts.version)


def renew(base: Path) -> None:
    """Sign anew what is needed. Blocks.

    Raises:
        BadInput, OSError
    """
    folder = CatalogueFolder(base)
    with alone(folder.lock):
        renewal.renew(_catalogue(folder))


def _catalogue(folder: CatalogueFolder) -> Catalogue:
    ring = KeyRing([folder.online_keys, folder.offline_keys])
    if folder.metadata_file("timestamp", 0).exists():
        return Catalogue.open(folder, ring)
    return Catalogue.make(folder, replace(Settings(), expiry=_EXPIRY, keep=1), ring)
