"""What an operator has: a built appliance with its manifest.json, or a plain image with a TOML file of facts beside it.

A file of facts:
    [appliance]  name, version, image (file beside it), format, licence, sources; optional: min_client,
                 first_boot_bytes, end_of_life, context
    [needs]      memory_mib, disk_mib, cpus, bits, network ("none", "project", "open")
`sources` is the file that lists the exact source packages of what is in the image, or "none" if all of it is your own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.appliance.catalog_facts import FORMATS, ApplianceNeeds, Facts, Reader, read_facts
from client.appliance.errors import ApplianceError
from client.appliance.manifest import SCHEMA, Appliance, is_file_name, parse_manifest, read_manifest
from client.appliance.publish.store import hash_file
from client.appliance.verify import verify_file
from client.errors import BadInput
from client.messages import sentence
from client.plain_toml import BadToml, read_toml

SOURCES: Final = "sources.json"
_NONE: Final = "none"
#: of a plain image: what is one file and needs no other
_FORMATS: Final = tuple(kind for kind in FORMATS if kind not in {"direct", "ovf"})
#: fields of facts that a file of facts beside a built appliance may change
_MAY_SAY: Final = ("licence", "min_client", "first_boot_bytes", "end_of_life", "context")


@dataclass(frozen=True)
class Image:
    """One version of an appliance, ready to be published.

    Attributes:
        facts: `sources` is empty still; it becomes a target's name.
        files: file name -> where it lies.
        sources: the list of source packages; None: nothing in it is other people's.
    """

    facts: Facts
    manifest: bytes
    files: Mapping[str, Path]
    sources: Path | None


def read_image(path: Path, facts: Path | None = None) -> Image:
    """An image from a folder with manifest.json, or from a file of facts.

    Args:
        facts: for a folder: what is to be said beside what its manifest says.

    Raises:
        BadInput: with what is wrong and what to do.
    """
    if not path.exists():
        raise BadInput(str(path), "there is no such file or folder", "look whether the path is right")
    if path.is_dir() and not (path / filenames.MANIFEST).exists():
        remedy = "build an appliance (make appliance), or name a TOML file of facts beside an image"
        raise BadInput(str(path), f"it is a folder without {filenames.MANIFEST}", f"{remedy} (docs/catalogue.md)")
    try:
        if path.is_dir():
            return _built(path, facts)
        if path.suffix == ".toml":
            return _plain(path)
    except ApplianceError as error:
        raise BadInput(str(path), sentence(error).text.rstrip("."), "build it again: make appliance") from error
    what = "it is neither a folder with manifest.json nor a TOML file of facts"
    raise BadInput(str(path), what, "write one beside the image; docs/catalogue.md has an example")


def _built(folder: Path, said: Path | None) -> Image:
    manifest = read_manifest(folder)
    sources = folder / SOURCES
    if not sources.is_file():
        what = f"it has no {SOURCES}, the list of the exact source packages of what is inside"
        raise BadInput(str(folder), what, "build it again (make appliance): the build writes the list")
    for file in manifest.files.values():
        verify_file(folder / file.name, file.size_bytes, file.sha256)
    facts = _facts_of(manifest)
    if said is not None:
        facts = _changed(facts, said)
    content = (folder / filenames.MANIFEST).read_bytes()
    return Image(facts, content, {name: folder / name for name in manifest.files}, sources)


def _facts_of(manifest: Appliance) -> Facts:
    formats = tuple(kind for kind, has in (("direct", manifest.direct), ("iso", manifest.iso)) if has)
    machine = manifest.direct.machine if manifest.direct else {}
    memory, cpus = machine.get("memory_mib"), machine.get("cpus")
    usual = ApplianceNeeds()
    needs = ApplianceNeeds(
        memory_mib=memory if isinstance(memory, int) and memory >= 16 else usual.memory_mib,
        disk_mib=2048 if manifest.scratch else 0,
        cpus=cpus if isinstance(cpus, int) and cpus > 0 else usual.cpus,
        network="project" if manifest.confines_jobs else "open",
    )
    licence = f"free software of many authors; {SOURCES} names each part"
    return Facts(manifest.name, manifest.version, formats, needs=needs, licence=licence)


def _changed(facts: Facts, path: Path) -> Facts:
    said = _toml(path)
    table = said.get("appliance", {})
    if not isinstance(table, dict):
        raise BadInput(str(path), "[appliance] is no table", "correct the file")
    body = facts.to_json() | {key: table[key] for key in _MAY_SAY if key in table}
    needs = said.get("needs", {})
    body["needs"] = body["needs"] | needs if isinstance(needs, dict) else needs
    return _read(body, path)


def _plain(path: Path) -> Image:
    said = _toml(path)
    reader = Reader(said.get("appliance", {}), str(path))
    image, kind = str(reader.get("image", "")), reader.choice("format", _FORMATS, "")
    if not is_file_name(image):
        reader.wrong.append("image is no plain file name")
    sources = reader.get("sources", "")
    if not isinstance(sources, str) or not sources:
        reader.wrong.append('sources is missing: name the list of exact source packages, or say "none"')
    if reader.wrong:
        raise BadInput(str(path), "; ".join(reader.wrong), "correct the file")
    body = {key: value for key, value in said["appliance"].items() if key not in {"image", "format", "sources"}}
    facts = _read(body | {"formats": [kind], "needs": said.get("needs", {})}, path)
    file = path.parent / image
    listed = None if sources == _NONE else path.parent / sources
    for needed in (file, *([listed] if listed else [])):
        if not needed.is_file():
            raise BadInput(str(path), f"it names {needed.name}, which is not beside it", "put it there")
    manifest = _manifest_of(facts, kind, file)
    # As a client reads it.
    parse_manifest(manifest, str(path))
    return Image(facts, manifest, {image: file}, listed)


def _manifest_of(facts: Facts, kind: str, file: Path) -> bytes:
    found = hash_file(file)
    role = "iso" if kind == "iso" else "disk"
    about = {"size_bytes": found.size_bytes, "sha256": found.sha256, "role": role}
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "name": facts.name,
        "version": facts.version,
        "formats": [{"format": kind, "files": [file.name]}],
        "files": {file.name: about},
    }
    body |= {"iso": {"system": file.name}} if kind == "iso" else {"disk": {"file": file.name, "format": kind}}
    return json.dumps(body, indent=1).encode()


def with_sources(facts: Facts, name: str) -> Facts:
    """The facts, naming the target that lists the source packages."""
    return replace(facts, sources=name)


def _read(body: Mapping[str, Any], path: Path) -> Facts:
    try:
        return read_facts(body, str(path))
    except ApplianceError as error:
        raise BadInput(str(path), str(error.details()["what"]), "correct the file") from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except (OSError, BadToml) as error:
        raise BadInput(str(path), f"it cannot be read ({error})", "correct the file") from error
