"""The catalogue's side: begins it, changes its list of projects, publishes, and clears away what is out of use."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import tomlkit
from tuf.api.metadata import Delegations, Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from client.appliance.catalog_facts import SCHEMA
from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.layout import CatalogueFolder, publish_file, target_file
from client.appliance.publish.repository import TARGETS, Clock, Repository, newest_root, read, utc_now
from client.appliance.publish.settings import Settings, read_settings, write_settings
from client.appliance.publish.store import forget_others, take_bytes
from client.errors import BadInput

CATALOG: Final = "catalog.json"
ONLINE: Final = (Timestamp.type, Snapshot.type)
OFFLINE: Final = (Root.type, TARGETS)
_LIST_FILE = re.compile(r"(\d+)\.([a-z0-9-]+)\.json")


class Catalogue:
    """One catalogue, opened to be changed."""

    def __init__(self, repository: Repository, ring: KeyRing) -> None:
        self.repository = repository
        self.ring = ring
        self.folder = repository.folder

    @classmethod
    def open(cls, folder: CatalogueFolder, ring: KeyRing, clock: Clock = utc_now) -> "Catalogue":
        """The catalogue in a folder.

        Raises:
            BadInput: there is none, or it is damaged.
        """
        return cls(Repository.open(folder, read_settings(folder.settings), clock=clock), ring)

    @classmethod
    def make(
        cls,
        folder: CatalogueFolder,
        settings: Settings,
        ring: KeyRing,
        *,
        keys: int = 1,
        threshold: int = 1,
        passphrase: bytes = b"",
        clock: Clock = utc_now,
    ) -> "Catalogue":
        """Make keys and an empty catalogue.

        Args:
            keys, threshold: of root and of targets: how many there are, and how many must sign.
            passphrase: for these; the keys of timestamp and snapshot have none, so that cron can use them.

        Raises:
            BadInput: there is a catalogue already.
        """
        if folder.metadata_file(Timestamp.type, 0).exists():
            raise BadInput(str(folder.base), "there is a catalogue in it already", "choose another folder, or use it")
        folder.make()
        write_settings(folder.settings, settings)
        root = Root(version=1, consistent_snapshot=True)
        for role in OFFLINE:
            for _ in range(keys):
                root.add_key(ring.make(role, folder.offline_keys, passphrase), role)
            root.roles[role].threshold = threshold
        for role in ONLINE:
            root.add_key(ring.make(role, folder.online_keys), role)
        repository = Repository(folder, settings, Metadata(root), clock=clock)
        root.expires = repository.until(settings.expiry.root)
        found = cls(repository, ring)
        repository.publish_root(repository.root, ring)
        listed = Metadata(Targets(version=1, delegations=Delegations({}, {})))
        found.publish({TARGETS: found.with_projects(listed, [])})
        return found

    def projects(self) -> list[dict[str, Any]]:
        """What the catalogue tells of its projects.

        Raises:
            BadInput: the file is missing or damaged.
        """
        listed = self.repository.lists[TARGETS].signed.targets[CATALOG]
        path = target_file(self.folder.targets, CATALOG, listed.hashes["sha256"])
        try:
            told: list[dict[str, Any]] = json.loads(path.read_bytes())["projects"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(str(path), "it is missing or damaged", "bring public/ back from a copy") from error
        return told

    def next_targets(self) -> Metadata[Targets]:
        """A copy of the list of projects to be changed, as the next version, not signed."""
        found: Metadata[Targets] = Metadata.from_bytes(self.repository.lists[TARGETS].to_bytes())
        found.signed.version += 1
        return found

    def with_projects(self, listed: Metadata[Targets], told: list[dict[str, Any]]) -> Metadata[Targets]:
        """The list with other words about its projects, signed.

        Raises:
            BadInput: the keys are not there.
        """
        body = {"schema": SCHEMA, "projects": sorted(told, key=lambda one: str(one["id"]))}
        content = json.dumps(body, indent=1, ensure_ascii=False).encode()
        listed.signed.targets = {CATALOG: take_bytes(content, CATALOG, self.folder.targets)}
        listed.signed.expires = self.repository.until(self.repository.settings.expiry.targets)
        return self.signed(listed)

    def signed(self, listed: Metadata[Targets]) -> Metadata[Targets]:
        """The list of projects, signed anew by the keys that root names for it.

        Raises:
            BadInput: the keys are not there.
        """
        listed.signatures.clear()
        asked = self.repository.root.signed.roles[TARGETS]
        self.ring.sign(listed, TARGETS, asked.keyids, asked.threshold)
        return listed

    def publish(self, changed: Mapping[str, Metadata[Targets]], extra: Root | None = None) -> None:
        """Publish new lists, then clear away what is out of use and write what clients are given."""
        self.repository.commit(changed, self.ring, extra)
        self.tidy()
        self.write_for_clients()

    def withdraw(self, id: str) -> None:
        """Trust a project no more, and remove its files.

        Raises:
            BadInput: there is no such project, or the keys are not there.
        """
        listed = self.next_targets()
        delegations = listed.signed.delegations
        if delegations is None or not delegations.roles or id not in delegations.roles:
            raise BadInput(id, "there is no such project", "see main.py publish status")
        del delegations.roles[id]
        left = {keyid for role in delegations.roles.values() for keyid in role.keyids}
        delegations.keys = {keyid: key for keyid, key in delegations.keys.items() if keyid in left}
        told = [one for one in self.projects() if one["id"] != id]
        signed = self.with_projects(listed, told)
        self.repository.lists.pop(id, None)
        self.publish({TARGETS: signed})

    def tidy(self) -> None:
        """Remove lists that are older than those to be kept, and files that no kept list names."""
        keep = self.repository.settings.keep
        current = {role: one.signed.version for role, one in self.repository.lists.items()}
        current[Snapshot.type] = self.repository.snapshot.signed.version
        wanted: list[TargetFile] = []
        for path in self.folder.metadata.iterdir():
            named = _LIST_FILE.fullmatch(path.name)
            if named is None or named[2] == Root.type:
                continue
            version, newest = int(named[1]), current.get(named[2], 0)
            if not newest - keep <= version <= newest:
                path.unlink()
            elif named[2] != Snapshot.type:
                wanted += read(path, Targets).signed.targets.values()
        forget_others(self.folder.targets, wanted)

    def write_for_clients(self) -> None:
        """Write root.json and catalogue.toml: what a client must be given to trust this catalogue."""
        content = self.folder.metadata_file(Root.type, newest_root(self.folder)).read_bytes()
        publish_file(self.folder.clients / "root.json", content)
        settings = self.repository.settings
        addresses = {"metadata": list(settings.metadata_urls), "targets": list(settings.target_urls)}
        url = next((one.removesuffix("metadata/") for one in settings.metadata_urls), "")
        body = {"catalogue": {"url": url, "root_sha256": self.first_root_sha256(), **addresses}}
        publish_file(self.folder.clients / "catalogue.toml", tomlkit.dumps(body).encode())

    def first_root_sha256(self) -> str:
        """SHA-256 of the first root: what a project file names as the beginning of trust."""
        return hashlib.sha256(self.folder.metadata_file(Root.type, 1).read_bytes()).hexdigest()
