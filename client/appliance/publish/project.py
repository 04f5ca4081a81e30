"""A publishing project's side: its keys, its signed list, its files. It needs nothing of the catalogue's."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tuf.api.metadata import Key, Metadata, TargetFile, Targets

from client import filenames
from client.appliance.catalog_facts import version_key
from client.appliance.catalog_list import PROJECT_FILE, TEMPLATES, Listed, ProjectFiles, read_list
from client.appliance.contextual.template import load_template
from client.appliance.publish import settings
from client.appliance.publish.images import SOURCES, Image, with_sources
from client.appliance.publish.keyring import AskPassphrase, KeyRing
from client.appliance.publish.layout import ProjectFolder, link_or_copy, publish_file, role_file, target_file
from client.appliance.publish.repository import Clock, read, utc_now
from client.appliance.publish.settings import Publisher
from client.appliance.publish.store import forget_others, hash_file, take_bytes, take_in
from client.errors import BadInput, CommandFailed, ToolMissing
from client.log import logger

#: field of the signed list with what the catalogue is to know: who the project is, its keys, how many must sign
PUBLISHER: Final = "publisher"
#: makes (old, new, patch) files; raises CommandFailed or ToolMissing if it cannot
MakePatch = Callable[[Path, Path, Path], None]
_WORTH: Final = 0.6


class Project:
    """One project that publishes.

    Attributes:
        listed: its signed list as it is now.
        clock: tells the time, for expiry.
    """

    def __init__(
        self, folder: ProjectFolder, publisher: Publisher, listed: Metadata[Targets], ring: KeyRing, clock: Clock
    ) -> None:
        self.folder = folder
        self.publisher = publisher
        self.listed = listed
        self._ring = ring
        self.clock = clock

    @classmethod
    def make(
        cls,
        folder: ProjectFolder,
        publisher: Publisher,
        *,
        keys: int = 1,
        threshold: int = 1,
        passphrase: bytes = b"",
        clock: Clock = utc_now,
    ) -> "Project":
        """Make keys and an empty list.

        Raises:
            BadInput: there is a project already.
        """
        if folder.settings.exists():
            raise BadInput(str(folder.base), "there is a project in it already", "choose another folder, or use it")
        ring = KeyRing([folder.keys], lambda _: passphrase)
        made = [ring.make(publisher.id, folder.keys, passphrase) for _ in range(keys)]
        listed = Metadata(Targets(version=1))
        found = cls(folder, publisher, listed, ring, clock)
        found._tell(made, threshold)
        found._save()
        settings.write_publisher(folder.settings, publisher)
        return found

    @classmethod
    def open(cls, folder: ProjectFolder, ask: AskPassphrase, clock: Clock = utc_now) -> "Project":
        """The project in a folder.

        Raises:
            BadInput: there is none, or it is damaged.
        """
        publisher = settings.read_publisher(folder.settings)
        listed = read(role_file(folder.outbox, publisher.id), Targets)
        return cls(folder, publisher, listed, KeyRing([folder.keys], ask), clock)

    @property
    def key_ids(self) -> list[str]:
        """The ids of its keys."""
        return sorted(self._told()["keys"])

    def files(self) -> ProjectFiles:
        """What the list holds, read as a client reads it."""
        return read_targets(self.publisher.id, self.listed.signed)

    def add(self, image: Image, *, replace: bool = False, make_patch: MakePatch | None = None) -> list[str]:
        """Take in a version of an appliance and sign the list anew.

        Args:
            replace: whether a version that is listed already may get other bytes.
            make_patch: for files that the version before has too.

        Returns:
            Sentences about what was done.

        Raises:
            BadInput: it cannot be used.
        """
        facts = image.facts
        place = f"{self.publisher.id}/{facts.name}/{facts.version}"
        if self._has(image, place):
            return [f"{facts.name} {facts.version} is listed already, with the same bytes."]
        old = self._version_before(facts.name, facts.version)
        added = self._take(image, place)
        had = {name: one for name, one in self._targets.items() if name.startswith(f"{place}/") and not _patch(one)}
        same = {name: one.hashes for name, one in had.items()} == {name: one.hashes for name, one in added.items()}
        if had and not same and not replace:
            what = f"{facts.name} {facts.version} is listed with other bytes"
            raise BadInput(place, what, "give it a new version, or say --replace")
        said = [f"{facts.name} {facts.version}: {sum(one.length for one in added.values()) / 1e6:,.1f} MB."]
        if make_patch is not None:
            patches = self._patches(place, added, had or old, make_patch)
            added |= patches
            said += [f"  {one.path.rpartition('/')[2]}: {one.length / 1e6:,.1f} MB." for one in patches.values()]
        self._targets = {name: one for name, one in self._targets.items() if not name.startswith(f"{place}/")} | added
        said += self._forget_old(facts.name)
        self.sign()
        return said

    def remove(self, name: str, version: str) -> None:
        """Withdraw a version and sign the list anew. Its files stay readable for a while.

        Raises:
            BadInput: it is not listed.
        """
        place = f"{self.publisher.id}/{name}/{version}/"
        left = {path: one for path, one in self._targets.items() if not path.startswith(place)}
        if len(left) == len(self._targets):
            raise BadInput(place.rstrip("/"), "there is no such version", "see main.py publish status")
        self._targets = left
        self.sign()

    def put(self, source: Path, kind: str) -> None:
        """Take in a small file and sign the list anew.

        Args:
            kind: template (for contextualization), project-file, or picture.

        Raises:
            BadInput: it cannot be read or used.
            BadTemplate: a template that no client could fill in.
        """
        if kind == "template":
            load_template(source)
        places = {"template": f"{TEMPLATES}/{source.name}", "project-file": PROJECT_FILE, "picture": source.name}
        name = f"{self.publisher.id}/{places[kind]}"
        if kind == "picture":
            self.publisher = dataclasses.replace(self.publisher, picture=name)
            settings.write_publisher(self.folder.settings, self.publisher)
        self._targets |= {name: take_in(source, name, self.targets_folder)}
        self.sign()

    def new_keys(self, passphrase: bytes = b"") -> list[str]:
        """Change all keys. The list is signed with the old ones too, where they are there.

        Returns:
            Ids of the new ones.
        """
        told = self._told()
        old = list(told["keys"])
        made = [self._ring.make(self.publisher.id, self.folder.keys, passphrase) for _ in old]
        self._tell(made, told["threshold"])
        self.sign(beside=old)
        self._ring.revoke(old)
        return sorted(key.keyid for key in made)

    def sign(self, beside: list[str] | None = None) -> None:
        """Sign the list anew, as the next version.

        Args:
            beside: ids of older keys that sign as well, as far as they are there.

        Raises:
            BadInput: a key is missing, or the list cannot be read by a client.
        """
        self._tell_again()
        problem = self.files().problem
        if problem:
            raise BadInput(self.publisher.id, problem, "correct it and publish again")
        self.listed.signed.version += 1
        self._save(beside or [])

    @property
    def targets_folder(self) -> Path:
        """Where its files lie."""
        return self.folder.outbox / "targets"

    @property
    def _targets(self) -> dict[str, TargetFile]:
        return self.listed.signed.targets

    @_targets.setter
    def _targets(self, targets: dict[str, TargetFile]) -> None:
        self.listed.signed.targets = targets

    def _has(self, image: Image, place: str) -> bool:
        """Whether an image is listed as it is. Its manifest has the hashes of its files."""
        listed = self._targets.get(f"{place}/{filenames.MANIFEST}")
        if listed is None or listed.hashes["sha256"] != hashlib.sha256(image.manifest).hexdigest():
            return False
        facts, sources = image.facts, self._targets.get(f"{place}/{SOURCES}")
        if image.sources is not None:
            facts = with_sources(facts, f"{place}/{SOURCES}")
            if sources is None or sources.hashes["sha256"] != hash_file(image.sources).sha256:
                return False
        return bool(listed.custom == {"appliance": facts.to_json()})

    def _take(self, image: Image, place: str) -> dict[str, TargetFile]:
        facts, folder = image.facts, self.targets_folder
        added: list[TargetFile] = []
        if image.sources is not None:
            name = f"{place}/{SOURCES}"
            added.append(take_in(image.sources, name, folder))
            facts = with_sources(facts, name)
        known = {
            one.hashes["sha256"]: target_file(folder, one.path, one.hashes["sha256"]) for one in self._targets.values()
        }
        for name, path in sorted(image.files.items()):
            added.append(take_in(path, f"{place}/{name}", folder))
            sha256 = added[-1].hashes["sha256"]
            same, own = known.get(sha256), target_file(folder, f"{place}/{name}", sha256)
            # What did not change since another version takes no space twice.
            if same is not None and same != own and same.is_file():
                link_or_copy(same, own)
        about = {"appliance": facts.to_json()}
        added.append(take_bytes(image.manifest, f"{place}/{filenames.MANIFEST}", folder, about))
        return {one.path: one for one in added}

    def _patches(
        self, place: str, added: Mapping[str, TargetFile], old: Mapping[str, TargetFile], make_patch: MakePatch
    ) -> dict[str, TargetFile]:
        before = {path.rpartition("/")[2]: one for path, one in old.items()}
        found = {}
        for path, new in added.items():
            name = path.rpartition("/")[2]
            one = before.get(name)
            if name in {SOURCES, filenames.MANIFEST} or one is None or one.hashes == new.hashes:
                continue
            patch = self._patch(f"{place}/{name}", one, new, make_patch)
            if patch is not None:
                found[patch.path] = patch
        return found

    def _patch(self, path: str, old: TargetFile, new: TargetFile, make_patch: MakePatch) -> TargetFile | None:
        files = [target_file(self.targets_folder, one.path, one.hashes["sha256"]) for one in (old, new)]
        if not files[0].is_file():
            return None
        name = f"{path}.from-{old.hashes['sha256'][:16]}.xdelta"
        out = self.targets_folder / ".patch.part"
        try:
            make_patch(files[0], files[1], out)
            if out.stat().st_size > _WORTH * new.length:
                return None
            ends = {"from": old.hashes["sha256"], "to": new.hashes["sha256"]}
            return take_in(out, name, self.targets_folder, {"patch": ends})
        except (CommandFailed, ToolMissing) as error:
            # Clients can do without; a version that is not published at all would be worse.
            logger("appliance").warning("%s gets no patch: %s", path, error)
            return None
        finally:
            out.unlink(missing_ok=True)

    def _version_before(self, name: str, version: str) -> dict[str, TargetFile]:
        """The files of the newest other version of an appliance."""
        others = [one for one in self._versions(name) if one != version]
        if not others:
            return {}
        place = f"{self.publisher.id}/{name}/{others[-1]}/"
        return {path: one for path, one in self._targets.items() if path.startswith(place) and not _patch(one)}

    def _versions(self, name: str) -> list[str]:
        place = f"{self.publisher.id}/{name}/"
        found = {path.removeprefix(place).split("/")[0] for path in self._targets if path.startswith(place)}
        return sorted(found, key=version_key)

    def _forget_old(self, name: str) -> list[str]:
        gone = self._versions(name)[: -self.publisher.versions]
        for version in gone:
            place = f"{self.publisher.id}/{name}/{version}/"
            self._targets = {path: one for path, one in self._targets.items() if not path.startswith(place)}
        return [f"{name} {version} is not listed any more." for version in gone]

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = self.listed.signed.unrecognized_fields[PUBLISHER]
        return told

    def _tell(self, keys: list[Key], threshold: int) -> None:
        known = {key.keyid: key.to_dict() for key in keys}
        told = {**self.publisher.told(), "keys": known, "threshold": threshold}
        self.listed.signed.unrecognized_fields[PUBLISHER] = told

    def _tell_again(self) -> None:
        told = self._told()
        self.listed.signed.unrecognized_fields[PUBLISHER] = {**told, **self.publisher.told()}

    def _save(self, beside: list[str] | None = None) -> None:
        told = self._told()
        self.listed.signed.expires = self.clock() + timedelta(days=self.publisher.days)
        self.listed.signatures.clear()
        self._ring.sign(self.listed, self.publisher.id, told["keys"], told["threshold"])
        if beside:
            self._ring.sign(self.listed, self.publisher.id, beside, 0)
        publish_file(role_file(self.folder.outbox, self.publisher.id), self.listed.to_bytes())
        forget_others(self.targets_folder, self.listed.signed.targets.values())


def read_targets(project: str, listed: Targets) -> ProjectFiles:
    """What a list holds, read as a client reads it."""
    lines = {
        name: Listed(one.length, one.hashes.get("sha256", ""), one.unrecognized_fields.get("custom"))
        for name, one in listed.targets.items()
    }
    return read_list(project, lines, ())


def _patch(target: TargetFile) -> bool:
    return isinstance(target.custom, dict) and "patch" in target.custom
