"""A catalogue of projects and their appliances, as plain values. Trust is not made here but in `trust`.

What the worker process returns is checked once more on its way in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from client.appliance.catalog_facts import Facts, Reader, is_id, is_path, read_facts, version_key
from client.appliance.errors import ApplianceError, BadManifest, ClientTooOld, NotInCatalog
from client.appliance.target import Target

MAX_PROJECTS: Final = 256
MAX_APPLIANCES: Final = 512
MAX_FILES: Final = 64


@dataclass(frozen=True)
class CatalogAppliance:
    """One version of an appliance.

    Attributes:
        manifest: its manifest.json, which says what its files are for.
        files: the files that the manifest can name, by file name.
        context, sources: contextualization template and list of source packages, where the facts name one.
    """

    project: str
    facts: Facts
    manifest: Target
    files: Mapping[str, Target]
    context: Target | None = None
    sources: Target | None = None

    @property
    def size_bytes(self) -> int:
        """All its files together; one hypervisor needs a part of them only."""
        return sum(file.size_bytes for file in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it."""
        return {
            "facts": self.facts.to_json(),
            "manifest": self.manifest.to_json(),
            "files": {name: file.to_json() for name, file in self.files.items()},
            "context": self.context.to_json() if self.context else None,
            "sources": self.sources.to_json() if self.sources else None,
        }


@dataclass(frozen=True)
class CatalogProject:
    """A project and what it publishes.

    Attributes:
        picture, project_file: None if it has none.
        templates: contextualization templates by file name.
        appliances: all versions, by name and then the newest first.
        problem: why its appliances, or some, are not shown; empty: all is well.
    """

    id: str
    name: str
    text: str = ""
    publisher: str = ""
    homepage: str = ""
    mirrors: tuple[str, ...] = ()
    picture: Target | None = None
    project_file: Target | None = None
    templates: Mapping[str, Target] = field(default_factory=dict)
    appliances: tuple[CatalogAppliance, ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it."""
        return {
            **{key: getattr(self, key) for key in ("id", "name", "text", "publisher", "homepage", "problem")},
            "mirrors": list(self.mirrors),
            "picture": self.picture.to_json() if self.picture else None,
            "project_file": self.project_file.to_json() if self.project_file else None,
            "templates": {name: one.to_json() for name, one in self.templates.items()},
            "appliances": [one.to_json() for one in self.appliances],
        }


@dataclass(frozen=True)
class Catalog:
    """All that a catalogue holds.

    Attributes:
        expires_at: until when it may be used without being asked again (aware UTC).
        fetched_at: when a server last confirmed it (aware UTC).
        is_fresh: whether that was just now; else no server could be asked, or none that proved to be genuine.
        problem: the error that kept it from being fresh, as the worker tells errors; None: none.
        contents: small files that the order asked for, by target name.
    """

    projects: tuple[CatalogProject, ...]
    expires_at: datetime
    fetched_at: datetime
    is_fresh: bool = True
    problem: Mapping[str, Any] | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it; `read_catalog` reads it."""
        return {
            "projects": [one.to_json() for one in self.projects],
            "expires_at": self.expires_at.isoformat(),
            "fetched_at": self.fetched_at.isoformat(),
            "is_fresh": self.is_fresh,
            "problem": self.problem,
            "contents": {name: content.hex() for name, content in self.contents.items()},
        }

    def project(self, id: str) -> CatalogProject:
        """The project of that id.

        Raises:
            NotInCatalog
        """
        for one in self.projects:
            if one.id == id:
                return one
        raise NotInCatalog(f"project {id}", ", ".join(one.id for one in self.projects) or "none")

    def choose(self, name: str, client_version: str, *, project: str = "", version: str = "") -> CatalogAppliance:
        """The appliance of that name and version, or its newest that this client can run.

        Args:
            project: id; empty: whichever has it.

        Raises:
            NotInCatalog: there is none.
            ClientTooOld: all want a newer client.
        """
        every = [one for place in self.projects if project in ("", place.id) for one in place.appliances]
        named = [one for one in every if one.facts.name == name and version in ("", one.facts.version)]
        if not named:
            known = ", ".join(sorted({f"{one.facts.name} {one.facts.version}" for one in every})[:20])
            raise NotInCatalog(f"appliance {name} {version}".rstrip(), known or "none")
        mine = version_key(client_version)
        fit = [one for one in named if version_key(one.facts.min_client) <= mine]
        if not fit:
            raise ClientTooOld(name, min((one.facts.min_client for one in named), key=version_key), client_version)
        return max(fit, key=lambda one: version_key(one.facts.version))


def newest_first(appliances: list[CatalogAppliance]) -> tuple[CatalogAppliance, ...]:
    """By name, and the versions of one name from the newest to the oldest."""
    by_version = sorted(appliances, key=lambda one: version_key(one.facts.version), reverse=True)
    return tuple(sorted(by_version, key=lambda one: one.facts.name))


def read_catalog(said: object, where: str) -> Catalog:
    """A catalogue out of what the worker process returned.

    Raises:
        BadManifest: it cannot be used.
    """
    if not isinstance(said, Mapping):
        raise BadManifest(where, "it is no object")
    try:
        return Catalog(
            projects=tuple(_project(one, where) for one in _list(said.get("projects"), MAX_PROJECTS, where)),
            expires_at=_time(said["expires_at"]),
            fetched_at=_time(said["fetched_at"]),
            is_fresh=said.get("is_fresh") is True,
            problem=said["problem"] if isinstance(said.get("problem"), dict) else None,
            contents=MappingProxyType({str(key): bytes.fromhex(value) for key, value in said["contents"].items()}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadManifest(where, f"it is incomplete ({type(error).__name__})") from error
    except ApplianceError as error:
        raise BadManifest(where, str(error)) from error


def _project(said: Mapping[str, Any], where: str) -> CatalogProject:
    if not is_id(said["id"]):
        raise BadManifest(where, "a project's id is none")
    reader = Reader(said, where)
    texts = {"name": 80, "text": 400, "publisher": 120, "homepage": 400, "problem": 4000}
    appliances = [_appliance(said["id"], one, where) for one in _list(said["appliances"], MAX_APPLIANCES, where)]
    found = CatalogProject(
        id=said["id"],
        **{key: reader.text(key, limit) for key, limit in texts.items()},
        mirrors=tuple(map(str, _list(said["mirrors"], 32, where))),
        picture=_maybe(said.get("picture"), where),
        project_file=_maybe(said.get("project_file"), where),
        templates=_targets(said["templates"], where),
        appliances=tuple(appliances),
    )
    reader.end()
    return found


def _appliance(project: str, said: Mapping[str, Any], where: str) -> CatalogAppliance:
    return CatalogAppliance(
        project,
        read_facts(said["facts"], where),
        Target.from_json(said["manifest"], where),
        _targets(said["files"], where),
        _maybe(said.get("context"), where),
        _maybe(said.get("sources"), where),
    )


def _targets(said: Mapping[str, Any], where: str) -> Mapping[str, Target]:
    if len(said) > MAX_APPLIANCES or not all(map(is_path, said)):
        raise BadManifest(where, "it names files that cannot be")
    return MappingProxyType({name: Target.from_json(one, where) for name, one in said.items()})


def _maybe(said: object, where: str) -> Target | None:
    return None if said is None else Target.from_json(said, where)


def _list(said: object, most: int, where: str) -> list[Any]:
    if isinstance(said, list) and len(said) <= most:
        return said
    raise BadManifest(where, f"it has more than {most} of something")


def _time(said: str) -> datetime:
    found = datetime.fromisoformat(said)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
