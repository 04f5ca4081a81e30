"""A project's signed list of files, turned into its appliances. The list is proven to be the project's, and hostile all
the same: what is wrong in it costs the appliance that it stands at, and is told.

    <project>/project.toml, <project>/<picture>, <project>/templates/<name>.toml
    <project>/<appliance>/<version>/manifest.json            custom: {"appliance": facts}
    <project>/<appliance>/<version>/<file>                   custom: {"pieces": {"bytes", "sha256", "prefixes"}}
    <project>/<appliance>/<version>/<file>.from-<16>.xdelta  custom: {"patch": {"from", "to"}, "pieces": ...}
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from client import filenames
from client.appliance.catalog import MAX_APPLIANCES, MAX_FILES, CatalogAppliance, newest_first
from client.appliance.catalog_facts import Facts, is_path, read_facts
from client.appliance.errors import ApplianceError, BadManifest
from client.appliance.target import PIECE_BYTES, Patch, Target

PROJECT_FILE: Final = "project.toml"
TEMPLATES: Final = "templates"
MAX_LISTED: Final = 8192
#: of a manifest, a list of sources, a template, a picture: what is read whole
MAX_SMALL_BYTES: Final = 4 * 2**20
_TOLD: Final = 8


@dataclass(frozen=True)
class Listed:
    """One line of a signed list. custom: whatever the project put there."""

    size_bytes: int
    sha256: str
    custom: object = None


@dataclass
class ProjectFiles:
    """What a list holds. problems: sentences about what could not be used."""

    appliances: tuple[CatalogAppliance, ...] = ()
    templates: dict[str, Target] = field(default_factory=dict)
    others: dict[str, Target] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """All of them, or the first ones; empty: none."""
        more = len(self.problems) - _TOLD
        return "; ".join(self.problems[:_TOLD]) + (f"; and {more} more" if more > 0 else "")


def read_list(project: str, listed: Mapping[str, Listed], bases: Sequence[str]) -> ProjectFiles:
    """What a project's list holds.

    Args:
        bases: addresses of folders that hold the files, best known first.
    """
    found = ProjectFiles()
    if len(listed) > MAX_LISTED:
        found.problems.append(f"it lists more than {MAX_LISTED} files")
        return found
    usable = dict(_usable(project, listed, found.problems))
    versions: dict[tuple[str, str], dict[str, Listed]] = {}
    for name, one in usable.items():
        parts = name.split("/")
        if len(parts) == 4:
            versions.setdefault((parts[1], parts[2]), {})[parts[3]] = one
        else:
            _put_small(found, parts, name, one, bases)
    appliances = []
    if len(versions) > MAX_APPLIANCES:
        found.problems.append(f"it lists more than {MAX_APPLIANCES} appliances")
        return found
    for (name, version), files in versions.items():
        try:
            appliances.append(_Version(project, name, version, files, bases).appliance(found.templates))
        except ApplianceError as error:
            found.problems.append(f"{name[:64]} {version[:64]}: {error.details().get('what', error.code)}")
    found.appliances = newest_first(appliances)
    return found


def url_path(name: str, sha256: str) -> str:
    """Where a target lies below an address: The Update Framework's name of it with consistent snapshots."""
    folder, _, base = name.rpartition("/")
    return f"{folder}/{sha256}.{base}" if folder else f"{sha256}.{base}"


def make_target(name: str, one: Listed, bases: Sequence[str], patches: tuple[Patch, ...] = ()) -> Target:
    """A line of a list as something to fetch.

    Raises:
        BadManifest: it is none.
    """
    pieces = one.custom.get("pieces", {}) if isinstance(one.custom, Mapping) else {}
    if not isinstance(pieces, Mapping):
        raise BadManifest(name, "its pieces are no object")
    urls = [base + url_path(name, one.sha256) for base in bases]
    said = {
        "name": name,
        "size_bytes": one.size_bytes,
        "sha256": one.sha256,
        "piece_bytes": pieces.get("bytes", PIECE_BYTES),
        "pieces": pieces.get("sha256", []),
        "prefixes": pieces.get("prefixes", []),
        "urls": urls,
    }
    return replace(Target.from_json(said, name), patches=patches)


def _usable(project: str, listed: Mapping[str, Listed], problems: list[str]) -> Iterator[tuple[str, Listed]]:
    alike = Counter(name.lower() for name in listed)
    for name, one in listed.items():
        if not is_path(name) or not name.startswith(f"{project}/"):
            problems.append(f"{name[:100]!r} is no name of a file of {project}")
        elif alike[name.lower()] > 1:
            problems.append(f"{name[:100]!r} is there twice but for the case of its letters")
        else:
            yield name, one


def _put_small(found: ProjectFiles, parts: list[str], name: str, one: Listed, bases: Sequence[str]) -> None:
    try:
        target = make_target(name, one, bases)
    except ApplianceError as error:
        found.problems.append(f"{name[:100]}: {error.details().get('what', error.code)}")
        return
    if target.size_bytes > MAX_SMALL_BYTES:
        found.problems.append(f"{name[:100]} is too long")
    elif len(parts) == 3 and parts[1] == TEMPLATES:
        found.templates[parts[2]] = target
    elif len(parts) == 2:
        found.others[parts[1]] = target


class _Version:
    """Reads the files of one version of an appliance."""

    def __init__(
        self, project: str, name: str, version: str, files: Mapping[str, Listed], bases: Sequence[str]
    ) -> None:
        self._project = project
        self._name, self._version = name, version
        self._files = files
        self._bases = bases

    def appliance(self, templates: Mapping[str, Target]) -> CatalogAppliance:
        if filenames.MANIFEST not in self._files or len(self._files) > 2 * MAX_FILES:
            raise BadManifest(self._name, "it has no manifest.json, or too many files")
        facts = self._facts(self._files[filenames.MANIFEST])
        sources = self._named(facts.sources)
        patches = self._patches()
        plain = {name for name, one in self._files.items() if not _is_patch(one)}
        files = {
            name: self._target(name, tuple(patches.get(self._files[name].sha256, ())))
            for name in sorted(plain - {filenames.MANIFEST, facts.sources.rpartition("/")[2] if sources else ""})
        }
        if not files:
            raise BadManifest(self._name, "it has no files")
        context = templates.get(facts.context.removeprefix(f"{self._project}/{TEMPLATES}/"))
        if facts.context and context is None:
            raise BadManifest(self._name, "its contextualization template is not in the list")
        manifest = self._target(filenames.MANIFEST)
        if manifest.size_bytes > MAX_SMALL_BYTES:
            raise BadManifest(self._name, "its manifest is too long")
        return CatalogAppliance(self._project, facts, manifest, files, context, sources)

    def _facts(self, manifest: Listed) -> Facts:
        custom = manifest.custom if isinstance(manifest.custom, Mapping) else {}
        facts = read_facts(custom.get("appliance"), self._name)
        if (facts.name, facts.version) != (self._name, self._version):
            raise BadManifest(self._name, "its facts are those of another appliance")
        if not facts.formats:
            raise BadManifest(self._name, "it has no format that this program knows")
        return facts

    def _named(self, target: str) -> Target | None:
        if not target:
            return None
        place = f"{self._project}/{self._name}/{self._version}/"
        name = target.removeprefix(place)
        if not target.startswith(place) or name not in self._files or name == filenames.MANIFEST:
            raise BadManifest(self._name, "its list of source packages is not among its files")
        return self._target(name)

    def _patches(self) -> dict[str, list[Patch]]:
        found: dict[str, list[Patch]] = {}
        for name, one in self._files.items():
            if not _is_patch(one):
                continue
            about = _custom(one)["patch"]
            ends = (about.get("from"), about.get("to")) if isinstance(about, Mapping) else (None, None)
            if not all(isinstance(end, str) and len(end) == 64 for end in ends):
                raise BadManifest(self._name, "a patch does not say from what to what")
            found.setdefault(str(ends[1]), []).append(Patch(str(ends[0]), self._target(name)))
        return found

    def _target(self, name: str, patches: tuple[Patch, ...] = ()) -> Target:
        path = f"{self._project}/{self._name}/{self._version}/{name}"
        return make_target(path, self._files[name], self._bases, patches)


def _is_patch(one: Listed) -> bool:
    return "patch" in _custom(one)


def _custom(one: Listed) -> Mapping[str, Any]:
    return one.custom if isinstance(one.custom, Mapping) else {}
