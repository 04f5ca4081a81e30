"""Images of the user's own out of a signed catalogue: what one has, and one of them fetched and taken in.

Everything is done by worker processes. <folder>/own-images/coming/<sha256>/ holds what is on its way: it is gone on
with when the same image is asked for again, and removed when any has been taken in.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.appliance.catalog import Catalog, CatalogAppliance, read_catalog
from client.appliance.catalog_source import Source
from client.appliance.choice import from_catalogue
from client.appliance.errors import NotInCatalog
from client.appliance.manifest import parse_manifest
from client.appliance.needs import Offer, check_needs
from client.appliance.ovf import Asked
from client.appliance.own_images import OwnImage, OwnImages
from client.appliance.own_import import import_image
from client.appliance.target import Target
from client.appliance.transfers import RunWorker
from client.appliance.worker import OnProgress, run_worker
from client.paths import write_atomic

_COMING: Final = "coming"


async def read_source(source: Source, appliances: Path, *, run: RunWorker = run_worker) -> Catalog:
    """What a catalogue has, every signature of it checked just now; its `problem` says why it may not be the newest.

    Raises:
        ClientError: see `client.appliance.trust.refresh`.
    """
    return read_catalog(await run("refresh", source.order(appliances)), source.url)


def images_of(catalog: Catalog) -> tuple[CatalogAppliance, ...]:
    """What an own virtual machine can be made from: what is not made for jobs alone."""
    return tuple(one for place in catalog.projects for one in place.appliances if one.facts.formats != ("direct",))


async def fetch_image(
    images: OwnImages,
    source: Source,
    found: CatalogAppliance,
    name: str = "",
    *,
    offer: Offer | None = None,
    limit_bytes_per_s: int | None = None,
    on_progress: OnProgress = lambda said: None,
    run: RunWorker = run_worker,
) -> OwnImage:
    """Fetch an image out of a catalogue, and take it in as if the user had added its file.

    Args:
        name: what commands will call it; empty: as the catalogue does.
        offer: what a virtual machine could have here; None: it is not looked at.

    Raises:
        ClientError: what was fetched so far stays, to be gone on with.
    """
    if offer is not None:
        check_needs(found.facts, offer)
    wanted = images.free_name(name or found.facts.name, Path(found.facts.name))
    coming = images.folder / _COMING / found.manifest.sha256
    _forget_but(coming)
    fetch = _Fetch(coming, limit_bytes_per_s, on_progress, run)
    manifest = (await fetch.have(found.manifest)).read_bytes()
    choice = from_catalogue(found, manifest)
    appliance = parse_manifest(manifest, found.manifest.name)
    file = appliance.disk or appliance.iso
    if file is None:
        raise NotInCatalog(f"image {found.facts.name} for a virtual machine of your own", "files for jobs only")
    # Before the image is taken in: one without its template would be in the way when it is asked for again.
    context = (await fetch.have(found.context)).read_bytes() if found.context is not None else None
    path = await fetch.have(choice.files[file])
    # Whoever signed the catalogue's list has signed each byte of it.
    image = await import_image(images, path, wanted, trust_unsigned=True, on_progress=on_progress, run=run)
    image = _with_facts(image, found, f"{source.url} ({found.project} {found.facts.name} {found.facts.version})")
    images.write(image)
    if context is not None:
        template = images.template(image.name)
        template.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(template, context)
    shutil.rmtree(coming.parent, ignore_errors=True)
    return image


def _with_facts(image: OwnImage, found: CatalogAppliance, origin: str) -> OwnImage:
    """The image with what its catalogue says of it; what its own package says goes before that."""
    facts = found.facts
    asked = image.asked or Asked(facts.name, memory_mib=facts.needs.memory_mib, cpus=facts.needs.cpus)
    return replace(image, origin=origin, asked=asked, end_of_life=image.end_of_life or facts.end_of_life)


class _Fetch:
    """Files of one image on their way."""

    def __init__(self, folder: Path, limit_bytes_per_s: int | None, on_progress: OnProgress, run: RunWorker) -> None:
        self._folder = folder
        self._limit = limit_bytes_per_s
        self._on_progress = on_progress
        self._run = run

    async def have(self, target: Target) -> Path:
        """A file, whole and verified."""
        to = self._folder / target.name.rpartition("/")[2]
        part = self._folder / f"{target.sha256}{filenames.PART_SUFFIX}"
        order: dict[str, Any] = {
            "target": target.to_json(),
            "to": str(to),
            "part": str(part),
            "limit_bytes_per_s": self._limit,
        }
        await self._run("download", order, on_progress=self._on_progress)
        return to


def forget_old(images: OwnImages, before: float) -> None:
    """Remove what came of images that nobody has gone on with since a time, in seconds since 1970."""
    folder = images.folder / _COMING
    for coming in folder.iterdir() if folder.is_dir() else ():
        times = [path.stat().st_mtime for path in (coming, *coming.glob("*")) if path.exists()]
        if max(times, default=0.0) < before:
            shutil.rmtree(coming, ignore_errors=True)


def _forget_but(coming: Path) -> None:
    """Remove what came of other images, and was not taken in."""
    for other in coming.parent.iterdir() if coming.parent.is_dir() else ():
        if other != coming:
            shutil.rmtree(other, ignore_errors=True)
