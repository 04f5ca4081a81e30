"""From proven lists to a catalogue: small files are fetched and checked, each project's list is read."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface

from client.appliance.catalog import MAX_PROJECTS, Catalog, CatalogProject
from client.appliance.catalog_facts import SCHEMA, Reader, is_folder_url, is_id, is_local_url, is_path
from client.appliance.catalog_list import MAX_SMALL_BYTES, PROJECT_FILE, Listed, read_list, url_path
from client.appliance.trust_lists import Lists
from client.appliance.trust_words import said_of

CATALOG: Final = "catalog.json"
MAX_MIRRORS: Final = 8


class Files:
    """Small files of a catalogue: fetched into memory, and handed on only when they are what a signed list names.

    Attributes:
        known: SHA-256 -> content: those that were used.
    """

    def __init__(self, urls: Sequence[str], fetcher: FetcherInterface | None, kept: Mapping[str, bytes]) -> None:
        """Args: fetcher: None: nothing can be fetched now. kept: from before, not trusted."""
        self.urls = tuple(urls)
        self.known: dict[str, bytes] = {}
        self._fetcher = fetcher
        self._kept = kept

    def content(self, name: str, target: TargetFile, bases: Sequence[str]) -> bytes:
        """A file's bytes.

        Raises:
            RepositoryError: every server has other bytes, or the list asks for what cannot be.
            DownloadError: no server has it.
        """
        sha256 = target.hashes.get("sha256", "")
        if len(sha256) != 64 or target.length > MAX_SMALL_BYTES:
            raise RepositoryError(f"{name[:100]} has no SHA-256, or is too long")
        errors: list[Exception] = [DownloadError("it was not kept")]
        for base in ("", *bases):
            try:
                content = self._kept.get(sha256) if not base else self._fetched(base + url_path(name, sha256), target)
                if content is not None:
                    target.verify_length_and_hashes(content)
                    self.known[sha256] = content
                    return content
            except (DownloadError, RepositoryError) as error:
                errors.append(error)
        raise errors[-1]

    def _fetched(self, url: str, target: TargetFile) -> bytes | None:
        return self._fetcher.download_bytes(url, target.length) if self._fetcher else None


def read_lists(
    lists: Lists,
    files: Files,
    now: datetime,
    contents: Sequence[str] = (),
    wanted: frozenset[str] | None = None,
) -> Catalog:
    """What a catalogue holds.

    Args:
        now: for `fetched_at`.
        contents: names of small files to be read as well; those that are not there are left out.
        wanted: ids of the projects whose lists are read; None: all. The others come without appliances.

    Raises:
        RepositoryError: the catalogue's own part is wrong.
        DownloadError: a part of it cannot be fetched.
    """
    told = _told(lists, files)
    is_local = all(map(is_local_url, files.urls))
    projects: list[CatalogProject] = []
    found: dict[str, bytes] = {}
    for one in told:
        if not isinstance(one, Mapping) or not is_id(one.get("id")) or one["id"] not in lists.projects:
            continue
        about = _about(one, is_local)
        if wanted is not None and about.id not in wanted:
            projects.append(about)
            continue
        bases = (*about.mirrors, *files.urls)
        listed, problem = _listed(lists, about.id)
        for name in contents:
            # One project's missing file shall not hide the others.
            try:
                if name in listed and is_path(name):
                    found[name] = files.content(name, listed[name], bases)
            except (RepositoryError, DownloadError) as error:
                problem = f"{name}: {said_of(error)}"
        projects.append(_with_files(about, listed, bases, str(one.get("picture", "")), problem))
    return Catalog(tuple(projects), lists.expires_at, now, contents=found)


def _told(lists: Lists, files: Files) -> list[Any]:
    target = lists.top(CATALOG)
    if target is None:
        raise RepositoryError(f"it has no {CATALOG}")
    try:
        said = json.loads(files.content(CATALOG, target, files.urls))
    except (ValueError, RecursionError) as error:
        raise RepositoryError(f"its {CATALOG} cannot be read") from error
    projects = said.get("projects") if isinstance(said, dict) and said.get("schema") == SCHEMA else None
    if not isinstance(projects, list) or len(projects) > MAX_PROJECTS:
        raise RepositoryError(f"its {CATALOG} is of another form than this program knows")
    return projects


def _about(said: Mapping[str, Any], is_local: bool) -> CatalogProject:
    """What the catalogue tells of a project; what cannot be shown is left out."""
    reader = Reader(said, CATALOG)
    mirrors = [one for one in _list(said.get("mirrors")) if is_folder_url(one) and (is_local or not is_local_url(one))]
    return CatalogProject(
        id=said["id"],
        name=reader.text("name", 80) or said["id"],
        text=reader.text("text", 400),
        publisher=reader.text("publisher", 120),
        homepage=reader.text("homepage", 400) if is_folder_url(said.get("homepage")) else "",
        mirrors=tuple(one if one.endswith("/") else f"{one}/" for one in mirrors),
    )


def _list(said: object) -> list[Any]:
    return said[:MAX_MIRRORS] if isinstance(said, list) else []


def _listed(lists: Lists, id: str) -> tuple[Mapping[str, TargetFile], str]:
    """A project's files, or none and why: what is wrong with one project shall not hide the others.

    Raises:
        DownloadError: it is not known whether anything is wrong with it.
    """
    try:
        return lists.project(id), ""
    except RepositoryError as error:
        return {}, said_of(error)


def _with_files(
    about: CatalogProject, listed: Mapping[str, TargetFile], bases: Sequence[str], picture: str, problem: str
) -> CatalogProject:
    lines = {
        name: Listed(one.length, one.hashes.get("sha256", ""), one.unrecognized_fields.get("custom"))
        for name, one in listed.items()
    }
    found = read_list(about.id, lines, bases)
    return CatalogProject(
        id=about.id,
        name=about.name,
        text=about.text,
        publisher=about.publisher,
        homepage=about.homepage,
        mirrors=about.mirrors,
        picture=found.others.get(picture.removeprefix(f"{about.id}/")),
        project_file=found.others.get(PROJECT_FILE),
        templates=found.templates,
        appliances=found.appliances,
        problem="".join(letter if letter.isprintable() else "?" for letter in (problem or found.problem)[:2000]),
    )
