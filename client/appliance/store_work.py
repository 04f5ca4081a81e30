"""What the store has done in worker processes: look into a catalogue, fetch files, check them. Kinds of `worker_child`.

look       {"catalogue": order of `trust.refresh`, "wish": {...}, "folder", "client_version"}
           -> {"choice": Choice as JSON, "is_fresh", "problem"}
manifest   {"url", "sha256"} -> {"choice": Choice as JSON}, the manifest itself at "to"
files      {"files": [{"target", "to", "part", "aside", "from": {sha256: path}}], ...} -> {"files": [results]}
verify     {"files": [{"path", "target", "from_piece"}]} -> {"good": [sha256], "bad": [sha256]}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from client.appliance.catalog import Catalog, CatalogAppliance, read_catalog
from client.appliance.choice import Wish, from_catalogue, from_manifest
from client.appliance.delta import update
from client.appliance.errors import ApplianceError, NotInCatalog
from client.appliance.fetch import Order, fetch
from client.appliance.objects import Objects
from client.appliance.repair import Repair, bad_pieces
from client.appliance.target import Target, piece_count
from client.appliance.verify import verify_file
from client.appliance.worker_child import Face
from client.host.computer import low_priority
from client.log import logger
from client.paths import write_atomic

_MANIFEST_BYTES: Final = 1 << 20


def look(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Bring a catalogue up to date and choose what is wished for; its manifest is in the store then.

    Raises:
        ApplianceError: see `trust.refresh`, `Catalog.choose` and `from_catalogue`.
    """
    from client.appliance.trust import refresh

    wish = Wish(**order["wish"])
    catalog = read_catalog(refresh(order["catalogue"], face), wish.catalogue_url)
    found = choose(catalog, wish, order["client_version"])
    objects = Objects(Path(order["folder"]))
    place = objects.place(found.manifest.sha256, "manifest.json")
    part = objects.part(found.manifest.sha256)
    said = {"target": found.manifest.to_json(), "to": str(place), "part": str(part)}
    fetch({**_common(order), **said}, face)
    choice = from_catalogue(found, place.read_bytes())
    return {"choice": choice.to_json(), "is_fresh": catalog.is_fresh, "problem": catalog.problem}


def choose(catalog: Catalog, wish: Wish, client_version: str) -> CatalogAppliance:
    """What is wished for.

    Raises:
        NotInCatalog, ClientTooOld
    """
    found = catalog.choose(wish.name, client_version, project=wish.project, version=wish.version)
    if wish.manifest_sha256 in ("", found.manifest.sha256):
        return found
    every = [one for project in catalog.projects for one in project.appliances]
    exact = [one for one in every if one.manifest.sha256 == wish.manifest_sha256]
    if not exact:
        what = f"appliance {wish.name} whose manifest has the SHA-256 {wish.manifest_sha256}"
        raise NotInCatalog(what, f"{found.facts.name} {found.facts.version} with {found.manifest.sha256}")
    return exact[0]


def manifest(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Fetch a manifest by its address and SHA-256.

    Raises:
        DownloadFailed, BadManifest
    """
    from client.appliance.trust_web import fetch_small

    content = fetch_small(order["url"], _MANIFEST_BYTES, face)
    choice = from_manifest(order["url"], order["sha256"], content)
    place = Objects(Path(order["folder"])).place(choice.id, "manifest.json")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(place, content)
    return {"choice": choice.to_json()}


def files(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Have files in their places: mended, made out of older ones, or fetched, whatever costs least.

    Raises:
        ApplianceError, DiskFull: those that came before it stay.
    """
    results = []
    for one in order["files"]:
        face.progress(force=True, file=one["target"]["sha256"])
        results.append(dict(_have({**_common(order), **one}, face)))
    return {"files": results}


def verify(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Read files and see whether they are right, without being in anybody's way."""
    low_priority()
    good: list[str] = []
    bad: list[str] = []
    for one in order["files"]:
        target = _checked_whole(one["target"]) or Target.from_json(one["target"], "the order")
        face.progress(force=True, file=target.sha256)
        is_right = _is_right(Path(one["path"]), target, int(one.get("from_piece", 0)), face)
        (good if is_right else bad).append(target.sha256)
    return {"good": good, "bad": bad}


def _have(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    aside = Path(order["aside"])
    Path(order["to"]).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if aside.exists():
        try:
            return Repair(Order.from_json({**order, "part": str(aside)}), face).run()
        except ApplianceError as error:
            # Worth a whole download only if pieces cannot mend it; a server that is silent would be silent then too.
            if error.code != "appliance-altered":
                raise
            logger("appliance").info("It cannot be mended by pieces: %s", error)
            aside.unlink()
    if order.get("from"):
        return update(order, face)
    return fetch(order, face)


def _checked_whole(said: Mapping[str, Any]) -> Target | None:
    """A file whose pieces are not known; own images may be longer than what can be fetched."""
    if said.get("pieces"):
        return None
    return Target(str(said["name"]), int(said["size_bytes"]), str(said["sha256"]))


def _is_right(path: Path, target: Target, first: int, face: Face) -> bool:
    try:
        if path.stat().st_size != target.size_bytes:
            return False
        if not target.pieces:
            return _is_whole(path, target, face)
        total = piece_count(target.size_bytes, target.piece_bytes)
        for index, is_bad in bad_pieces(path, target, first):
            _obey(face)
            if is_bad:
                return False
            done = min((index + 1) * target.piece_bytes, target.size_bytes)
            face.progress(step="checking", pieces=index + 1, of=total, done_bytes=done, total_bytes=target.size_bytes)
    except OSError as error:
        logger("appliance").warning("%s cannot be read: %s", path, error)
        return False
    return True


def _is_whole(path: Path, target: Target, face: Face) -> bool:
    done = 0

    def seen(count: int) -> None:
        nonlocal done
        _obey(face)
        done += count
        face.progress(step="checking", done_bytes=done, total_bytes=target.size_bytes)

    try:
        verify_file(path, target.size_bytes, target.sha256, seen)
    except ApplianceError:
        return False
    return True


def _obey(face: Face) -> None:
    while face.held:
        face.rest(3600)
    face.check()


def _common(order: Mapping[str, Any]) -> dict[str, Any]:
    return {key: order[key] for key in ("proxy", "stall_s", "pause_s") if key in order}
