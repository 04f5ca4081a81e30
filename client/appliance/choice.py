"""Which appliance is wanted, and which one that came to be: plain values, on disk and between processes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin

from client import filenames
from client.appliance.catalog import CatalogAppliance
from client.appliance.catalog_facts import Facts, read_facts
from client.appliance.errors import BadManifest
from client.appliance.manifest import Appliance, is_file_name, parse_manifest
from client.appliance.target import Target

_MOST_FILES: Final = 64


@dataclass(frozen=True)
class Wish:
    """An appliance that somebody wants: by its manifest, or by its name out of a catalogue.

    Attributes:
        manifest_url: empty for one out of a catalogue.
        manifest_sha256: empty: whatever version the catalogue has.
        catalogue_url: folder, with its slash; empty for one by its manifest alone.
        root_sha256: of the catalogue's first root.
        name: of the appliance.
        version: empty: the newest that this client can run.
        project: id within the catalogue; empty: whichever has it.
    """

    manifest_url: str = ""
    manifest_sha256: str = ""
    catalogue_url: str = ""
    root_sha256: str = ""
    name: str = ""
    version: str = ""
    project: str = ""

    @property
    def id(self) -> str:
        """Names it on disk. The same thing at another address is the same wish."""
        known = astuple(replace(self, manifest_url="", catalogue_url=""))
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]

    @property
    def is_fixed(self) -> bool:
        """Whether there can be no other version."""
        return bool(self.manifest_sha256)


@dataclass(frozen=True)
class Choice:
    """One version of an appliance, with all that is needed to fetch it or to mend it.

    Attributes:
        files: all files that its manifest names, by name.
        facts: what the catalogue says of it; None for one that is known by its manifest only.
    """

    name: str
    version: str
    manifest: Target
    files: Mapping[str, Target] = field(default_factory=dict)
    facts: Facts | None = None

    @property
    def id(self) -> str:
        """SHA-256 of its manifest."""
        return self.manifest.sha256

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of its files, the manifest first."""
        return (self.manifest, *self.files.values())

    def needed(self, appliance: Appliance, direct: bool) -> tuple[Target, ...]:
        """The files that a VM needs of it, the manifest first. appliance: what its manifest says."""
        return (self.manifest, *(self.files[name] for name in appliance.needed(direct)))

    def with_urls_of(self, other: "Choice") -> "Choice":
        """The same, to be fetched from where `other` lies: an operator may have moved."""
        urls = {target.sha256: (target.urls, target.patches) for target in other.targets}

        def moved(target: Target) -> Target:
            found = urls.get(target.sha256)
            return replace(target, urls=found[0], patches=found[1]) if found else target

        files = {name: moved(target) for name, target in self.files.items()}
        return replace(self, manifest=moved(self.manifest), files=files)

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it; `read_choice` reads it."""
        return {
            "name": self.name,
            "version": self.version,
            "manifest": self.manifest.to_json(),
            "files": {name: target.to_json() for name, target in self.files.items()},
            "facts": self.facts.to_json() if self.facts else None,
        }


def read_choice(said: object, where: str) -> Choice:
    """A choice out of JSON.

    Raises:
        BadManifest: it cannot be used.
    """
    try:
        if not isinstance(said, dict) or len(said["files"]) > _MOST_FILES:
            raise BadManifest(where, "it is no appliance")
        files = {name: Target.from_json(one, where) for name, one in said["files"].items()}
        if not all(map(is_file_name, files)):
            raise BadManifest(where, "it names files that cannot be")
        facts = read_facts(said["facts"], where) if said["facts"] else None
        manifest = Target.from_json(said["manifest"], where)
        return Choice(str(said["name"]), str(said["version"]), manifest, files, facts)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadManifest(where, f"it is incomplete ({type(error).__name__})") from error


def from_catalogue(found: CatalogAppliance, manifest: bytes) -> Choice:
    """The choice that a catalogue's appliance makes, whose manifest says what its files are for.

    Raises:
        BadManifest: the manifest cannot be used, or contradicts the catalogue.
    """
    where = found.manifest.name
    appliance = parse_manifest(manifest, where)
    for name, file in appliance.files.items():
        target = found.files.get(name)
        if target is None or (target.sha256, target.size_bytes) != (file.sha256, file.size_bytes):
            raise BadManifest(where, f"it names {name}, of which the catalogue says something else")
    files = {name: found.files[name] for name in appliance.files}
    return Choice(found.facts.name, found.facts.version, found.manifest, files, found.facts)


def from_manifest(url: str, sha256: str, content: bytes) -> Choice:
    """The choice that a manifest makes by itself; its files lie beside it.

    Raises:
        BadManifest: it cannot be used, or is not the one with that SHA-256.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BadManifest(url, "it is not the one that the project file names")
    appliance = parse_manifest(content, url)
    files = {
        name: Target(name, file.size_bytes, file.sha256, urls=(urljoin(url, name),))
        for name, file in appliance.files.items()
    }
    manifest = Target(filenames.MANIFEST, len(content), sha256, urls=(url,))
    return Choice(appliance.name, appliance.version, manifest, files)
