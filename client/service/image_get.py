"""`main.py image get`: images out of a signed catalogue, for virtual machines of the user's own.

The catalogue is the one that is named, else that of the project attached to, else the one that came with the program.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

from client import __version__
from client.appliance.catalog import Catalog, CatalogAppliance
from client.appliance.catalog_facts import is_folder_url
from client.appliance.catalog_source import Source
from client.appliance.objects import is_digest
from client.appliance.own_catalog import fetch_image, images_of, read_source
from client.appliance.own_images import OwnImage, OwnImages
from client.appliance.transfers import metered
from client.appliance.worker import OnProgress
from client.appliance.worker_words import error_from
from client.appliances import offer_of
from client.clock import SystemClock
from client.errors import AlreadyRunning, BadInput
from client.messages import sentence
from client.meter import Meter, clock_ns
from client.paths import Paths
from client.preferences.limits import limits_of
from client.preferences.store import load
from client.project.definition import load_project
from client.project.shipped import shipped_catalogue
from client.service.control import InstanceLock
from client.traffic import TrafficWarden


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `get` takes."""
    parser.add_argument("image", metavar="NAME", nargs="?", default="", help="as the catalogue calls it")
    parser.add_argument("--name", default="", help="what to call it here; else as the catalogue does")
    parser.add_argument("--version", default="", help="else the newest that this program can use")
    parser.add_argument("--project", default="", metavar="ID", help="whose it is, if several have one of that name")
    parser.add_argument("--catalogue", default="", metavar="URL", help="folder of the catalogue; else your project's")
    parser.add_argument("--root-sha256", default="", metavar="HASH", help="of that catalogue's first root")


def offers(paths: Paths, given: argparse.Namespace) -> list[str]:
    """What the catalogue has, in lines; with --json in one."""
    catalog = asyncio.run(_read(_source(paths, given), paths))
    found = images_of(catalog)
    if given.json:
        return [json.dumps({"ok": True, "images": [_told(one) for one in found]})]
    problems = [f"{one.name}: {one.problem}" for one in catalog.projects if one.problem]
    return [line for one in found for line in _described(one)] + problems or ["It has no images to make machines from."]


async def get(paths: Paths, images: OwnImages, given: argparse.Namespace, on_progress: OnProgress) -> OwnImage:
    """Fetch the image that is meant.

    Raises:
        ClientError: what came of it stays, to be gone on with.
    """
    source = _source(paths, given)
    catalog = await _read(source, paths)
    preferences = load(paths.preferences)
    return await fetch_image(
        images,
        source,
        _chosen(catalog, given),
        given.name,
        offer=await asyncio.to_thread(offer_of, preferences, paths.base),
        limit_bytes_per_s=preferences.number("appliances.limit_kib_per_s") * 1024 or None,
        on_progress=on_progress,
        run=metered(paths.meter),
    )


async def _read(source: Source, paths: Paths) -> Catalog:
    heed_rules(paths)
    catalog = await read_source(source, paths.appliances, run=metered(paths.meter))
    if catalog.problem is not None:
        said = sentence(error_from(catalog.problem))
        print(f"{said.text} {said.doing}", file=sys.stderr)
    return catalog


def heed_rules(paths: Paths) -> None:
    """See that what is fetched keeps to the limits, and say it if nothing may be fetched now.

    The program that runs has written them. If none does, they are written here; its rule of another time whether
    anything may be fetched at all does not hold then: somebody asks for it, now.
    """
    try:
        with InstanceLock(paths):
            warden = TrafficWarden(paths, SystemClock())
            warden.obey(limits_of(load(paths.preferences)).network, allowed=True)
            warden.close()
    except AlreadyRunning:
        meter = Meter(str(paths.meter))
        if meter.look(clock_ns()) and meter.closed:
            print("Your rules let nothing over the network now; it is fetched as soon as they do.", file=sys.stderr)
        meter.close()


def _chosen(catalog: Catalog, given: argparse.Namespace) -> CatalogAppliance:
    return catalog.choose(given.image, __version__, project=given.project, version=given.version)


def _source(paths: Paths, given: argparse.Namespace) -> Source:
    if given.catalogue or given.root_sha256:
        return _named(given.catalogue, given.root_sha256.lower())
    if paths.project.is_file():
        project = load_project(paths.project)
        if project.catalogue_url:
            return Source(project.catalogue_url, project.root_sha256, project.root_file)
    shipped = shipped_catalogue()
    if shipped is None:
        what = "this program came without a catalogue, and your project names none"
        raise BadInput("--catalogue", what, "name one with its --root-sha256, as its operator tells them")
    return Source(shipped.url, shipped.root_sha256, shipped.root)


def _named(url: str, root_sha256: str) -> Source:
    if not is_folder_url(url):
        raise BadInput("--catalogue", f"{url!r} is no https address (http only on this computer)", "write it whole")
    if not is_digest(root_sha256):
        what = "the SHA-256 of the catalogue's first root is missing, or is none"
        raise BadInput("--root-sha256", what, "ask the catalogue's operator: main.py publish status tells it")
    return Source(url if url.endswith("/") else f"{url}/", root_sha256)


def _described(one: CatalogAppliance) -> list[str]:
    facts = one.facts
    more = [f"licence: {facts.licence}"] if facts.licence else []
    more += [f"its first boot downloads {facts.first_boot_bytes / 1e6:,.0f} MB"] if facts.first_boot_bytes else []
    more += [f"no updates since {facts.end_of_life}"] if facts.end_of_life else []
    cpus = facts.needs.cpus
    needs = f"needs {facts.needs.memory_mib} MiB of memory, {cpus} processor{'s' if cpus > 1 else ''}"
    head = f"{facts.name} {facts.version} of {one.project}: {one.size_bytes / 1e6:,.1f} MB, {', '.join(facts.formats)}"
    return [head, f"  {'; '.join([needs, *more])}"]


def _told(one: CatalogAppliance) -> dict[str, Any]:
    return {"project": one.project, "size_bytes": one.size_bytes, **one.facts.to_json()}
