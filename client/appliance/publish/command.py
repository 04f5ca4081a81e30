"""`main.py publish`: a signed catalogue of appliances, made and kept (docs/catalogue.md)."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from client.appliance import xdelta
from client.appliance.catalog_source import METADATA, TARGETS
from client.appliance.contextual.template import load_template
from client.appliance.publish import renewal, settings
from client.appliance.publish.accept import accept, take_over
from client.appliance.publish.arguments import (
    Verb,
    add_all,
    add_images,
    add_json,
    add_outbox,
    add_role,
    add_signers,
    add_urls,
    add_what,
    add_who,
    verbs_parser,
)
from client.appliance.publish.catalogue import Catalogue
from client.appliance.publish.images import Image, read_image
from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.layout import CatalogueFolder, ProjectFolder
from client.appliance.publish.project import MakePatch, Project
from client.appliance.publish.repository import alone
from client.appliance.publish.settings import Publisher, Settings
from client.appliance.publish.status import (
    NO_ADDRESS,
    SAY_ADDRESS,
    read_project_status,
    read_status,
    tell,
    tell_project,
)
from client.errors import BadInput


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return verbs_parser(VERBS)


def main(argv: list[str]) -> int:
    """Run a verb; returns the exit code: 0 done, 1 `status` found something to do."""
    given = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = given.run
    if run is _add:
        # Of what cannot be published not even an empty folder stays.
        given.images = _checked(given)
    elif run not in (_init, _make_project) and not (_is_project(given.folder) or _is_catalogue(given.folder)):
        what = "there is no catalogue in it, and no project that publishes"
        raise BadInput(str(given.folder), what, "name another folder, or make one: main.py publish --help")
    with alone(given.folder / "lock"):
        return run(given)


def _init(given: argparse.Namespace) -> int:
    _check_threshold(given)
    _make_catalogue(given, given.signers, given.threshold)
    return 0


def _add(given: argparse.Namespace) -> int:
    if not _is_project(given.folder):
        if not _is_catalogue(given.folder):
            _make_catalogue(given, 1, 1)
        elif given.url:
            _move(given)
            if not _small(given) and not given.images:
                return 0
    project = _project(given) if _is_project(given.folder) else _local_project(given)
    for path, kind in _small(given):
        project.put(path, kind)
    make_patch = None if given.no_patches or not given.image else patch_maker()
    for image in given.images:
        _say(project.add(image, replace=given.replace, make_patch=make_patch))
    if _is_project(given.folder):
        _say([f"Send the folder {project.folder.outbox} to the catalogue. Its keys: {', '.join(project.key_ids)}."])
        return 0
    _say(take_over(_catalogue(given), project))
    return 0


def _checked(given: argparse.Namespace) -> list[Image]:
    """Look at all that is to be published, and at who publishes it, before anything is made."""
    _addresses(given)
    if not (given.image or _small(given) or (given.url and _is_catalogue(given.folder))):
        remedy = "name its folder, or a TOML file of facts beside it; docs/catalogue.md has an example"
        raise BadInput("publish add", "no image is named", remedy)
    for path, kind in _small(given):
        if not path.is_file():
            raise BadInput(str(path), "there is no such file", "look whether the path is right")
        if kind == "template":
            load_template(path)
    if not _is_project(given.folder) and (given.image or _small(given)):
        given.project = _local_id(given)
        if not CatalogueFolder(given.folder).project(given.project).settings.exists():
            _publisher(given)
    return [read_image(path, given.facts) for path in given.image]


def _small(given: argparse.Namespace) -> list[tuple[Path, str]]:
    """The small files that are to be published, and their kinds."""
    small = [(path, "template") for path in given.template]
    small += [(given.project_file, "project-file"), (given.picture, "picture")]
    return [(path, kind) for path, kind in small if path is not None]


def _make_project(given: argparse.Namespace) -> int:
    _check_threshold(given)
    folder = ProjectFolder(given.folder)
    word = _passphrase(given)
    made = Project.make(folder, _publisher(given), keys=given.signers, threshold=given.threshold, passphrase=word)
    _say([f"The project's keys are in {folder.keys}. Their ids: {', '.join(made.key_ids)}."])
    return 0


def _accept(given: argparse.Namespace) -> int:
    _say(accept(_catalogue(given), given.outbox, given.trust, elsewhere=given.elsewhere))
    return 0


def _remove(given: argparse.Namespace) -> int:
    id, _, rest = given.what.partition("/")
    name, _, version = rest.partition("/")
    if _is_project(given.folder):
        _project(given).remove(name, version)
        return 0
    catalogue = _catalogue(given)
    if not rest:
        catalogue.withdraw(id)
        return 0
    project = Project.open(catalogue.folder.project(id), _ask(given))
    project.remove(name, version)
    _say(take_over(catalogue, project))
    return 0


def _renew(given: argparse.Namespace) -> int:
    if _is_project(given.folder):
        _project(given).sign()
        _say([f"Signed anew; send the folder {ProjectFolder(given.folder).outbox} to the catalogue."])
        return 0
    catalogue = _catalogue(given)
    _say(renewal.renew(catalogue, everything=given.all))
    if given.all:
        for id in sorted(catalogue.repository.projects):
            if catalogue.folder.project(id).settings.exists():
                project = Project.open(catalogue.folder.project(id), _ask(given))
                project.sign()
                _say(take_over(catalogue, project))
    _say([f"{one.role}: {one.to_do}" for one in read_status(catalogue).roles if one.to_do])
    return 0


def _rotate(given: argparse.Namespace) -> int:
    if _is_project(given.folder):
        project = _project(given)
        ids = project.new_keys(_passphrase(given))
        _say([f"The new keys: {', '.join(ids)}.", "Send the outbox; the catalogue's operator must say --trust."])
        return 0
    catalogue = _catalogue(given)
    own = catalogue.folder.project(given.role)
    if given.role in catalogue.repository.projects and own.settings.exists():
        project = Project.open(own, _ask(given))
        project.new_keys(_passphrase(given))
        _say(take_over(catalogue, project))
        return 0
    _say(renewal.rotate(catalogue, given.role, _passphrase(given)))
    return 0


def _status(given: argparse.Namespace) -> int:
    if _is_project(given.folder):
        project = read_project_status(_project(given))
        _say([json.dumps(project.to_json(), indent=1)] if given.json else tell_project(project))
        return 1 if project.to_do else 0
    found = read_status(_catalogue(given))
    _say([json.dumps(found.to_json(), indent=1)] if given.json else tell(found))
    return 1 if found.needs_work else 0


def patch_maker() -> MakePatch | None:
    """What makes patches; None where its program is not installed."""
    if xdelta.is_there():
        return xdelta.make_patch
    _say([f"{xdelta.PROGRAM} is not installed: no patches are made, so clients fetch whole files at each new version."])
    return None


def _make_catalogue(given: argparse.Namespace, keys: int, threshold: int) -> None:
    folder = CatalogueFolder(given.folder)
    metadata, targets = _addresses(given)
    ring = KeyRing([folder.online_keys, folder.offline_keys], _ask(given))
    chosen = replace(Settings(), metadata_urls=metadata, target_urls=targets)
    Catalogue.make(folder, chosen, ring, keys=keys, threshold=threshold, passphrase=_passphrase(given))
    _say(
        [
            f"A catalogue is in {folder.base}. Let a web server show {folder.public}.",
            f"Move {folder.offline_keys} to a medium that you keep elsewhere when you are done.",
        ]
    )
    if given.url:
        _say([f"What a project file says of it is in {folder.clients / 'catalogue.toml'}."])
    else:
        _say([f"{NO_ADDRESS} {SAY_ADDRESS}"])


def _move(given: argparse.Namespace) -> None:
    """The web shows the catalogue elsewhere from now on."""
    folder = CatalogueFolder(given.folder)
    metadata, targets = _addresses(given)
    before = settings.read_settings(folder.settings)
    after = replace(before, metadata_urls=metadata, target_urls=targets)
    if after != before:
        settings.write_settings(folder.settings, after)
        _catalogue(given).write_for_clients()
        _say([f"Clients find it at {', '.join(given.url)} from now on: {folder.clients / 'catalogue.toml'}."])


def _addresses(given: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the web shows the lists, and where the files."""
    bases = [url if url.endswith("/") else f"{url}/" for url in given.url]
    wrong: list[str] = []
    metadata, targets = (
        settings.read_urls([base + end for base in bases], "--url", wrong) for end in (METADATA, TARGETS)
    )
    if wrong:
        what = "it is no https address (http only on this computer)"
        raise BadInput("--url", what, "give the address at which the web will show the folder public")
    return metadata, targets


def _catalogue(given: argparse.Namespace) -> Catalogue:
    folder = CatalogueFolder(given.folder)
    ring = KeyRing([folder.online_keys, folder.offline_keys, *given.keys], _ask(given))
    return Catalogue.open(folder, ring)


def _project(given: argparse.Namespace) -> Project:
    return Project.open(ProjectFolder(given.folder), _ask(given))


def _local_project(given: argparse.Namespace) -> Project:
    """The project of a catalogue's own folder that is meant; made if it is new."""
    given.project = _local_id(given)
    own = CatalogueFolder(given.folder).project(given.project)
    if own.settings.exists():
        return Project.open(own, _ask(given))
    return Project.make(own, _publisher(given), passphrase=_passphrase(given))


def _local_id(given: argparse.Namespace) -> str:
    here = sorted(path.name for path in (given.folder / "projects").glob("*") if path.is_dir())
    if not given.project and len(here) == 1:
        return str(here[0])
    if not given.project:
        remedy = f"add --project ID; here: {', '.join(here)}" if here else "give it an id, as in --project my-project"
        raise BadInput("publish add", "it is not said which project publishes", remedy)
    return str(given.project)


def _publisher(given: argparse.Namespace) -> Publisher:
    said = {key: getattr(given, key) for key in ("name", "text", "publisher", "homepage")}
    wrong: list[str] = []
    said["name"] = said["name"] or given.project
    found = settings.publisher_from({"id": given.project, **said, "mirrors": given.mirror}, "command line", wrong)
    if wrong:
        raise BadInput(f"--project {given.project}", "; ".join(wrong), "say it otherwise")
    return found


def _check_threshold(given: argparse.Namespace) -> None:
    if given.threshold > given.signers:
        what = f"{given.threshold} of {given.signers} keys can never sign"
        raise BadInput("--threshold", what, "make more keys: --signers")


def _is_project(folder: Path) -> bool:
    return ProjectFolder(folder).settings.exists()


def _is_catalogue(folder: Path) -> bool:
    return CatalogueFolder(folder).settings.exists()


def _ask(given: argparse.Namespace) -> Callable[[Path], bytes]:
    def ask(path: Path) -> bytes:
        if given.passphrase_file is not None or not sys.stdin.isatty():
            return _passphrase(given)
        return getpass.getpass(f"Passphrase of {path.name}: ").encode()

    return ask


def _passphrase(given: argparse.Namespace) -> bytes:
    if given.passphrase_file is None:
        return b""
    try:
        content: bytes = given.passphrase_file.read_bytes()
    except OSError as error:
        raise BadInput(
            str(given.passphrase_file), error.strerror or "it cannot be read", "name another file"
        ) from error
    return content.rstrip(b"\r\n")


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


VERBS: Final[dict[str, Verb]] = {
    "add": (_add, "publish images; the catalogue is made if there is none", (add_images, add_who, add_urls)),
    "renew": (_renew, "sign anew before signatures end; for cron, daily", (add_all,)),
    "status": (
        _status,
        "what is published, how long it is good, what is to be done (exit code 1: something)",
        (add_json,),
    ),
    "remove": (_remove, "withdraw a version, or a whole project", (add_what,)),
    "init": (_init, "make an empty catalogue, with several keys if you like", (add_urls, add_signers)),
    "project": (_make_project, "make a project's own folder and key, on its own machine", (add_who, add_signers)),
    "accept": (_accept, "take over what a project sent, after checking it", (add_outbox,)),
    "rotate": (_rotate, "change the keys of a role or project", (add_role,)),
}
