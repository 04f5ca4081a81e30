"""A catalogue's signed lists in the client, checked by The Update Framework's own client.

WORKAROUND (tuf 7.0): its Updater gives single files only and no whole list, cannot do without a server, and writes its
state without waiting for the disk. The few of its inner methods that are used for these stand here and nowhere else.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import DelegatedRole, Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from client.appliance.catalog_facts import is_id
from client.paths import write_atomic

#: of each kind of list; what is longer is not read
CONFIG: Final = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=8,
    root_max_length=128 * 1024,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=512 * 1024,
    targets_max_length=8 * 2**20,
)
ROOT_HISTORY: Final = "root_history"


class Lists(Updater):
    """All signed lists of one catalogue, as one address (or what was kept) has them."""

    def __init__(self, folder: Path, url: str, fetcher: FetcherInterface, anchor: bytes, now: datetime) -> None:
        """Args: anchor: the root that is trusted to begin with. now: what expiry is compared with (aware UTC)."""
        super().__init__(str(folder), url, fetcher=fetcher, config=CONFIG, bootstrap=anchor)
        self._trusted_set.reference_time = now
        self._folder = folder

    @property
    def signed_at(self) -> object:
        """When the timestamp says that it was signed."""
        return self._trusted_set.timestamp.unrecognized_fields.get("signed_at")

    @property
    def expires_at(self) -> datetime:
        """When the first of the lists that all else depends on ends."""
        known = self._trusted_set
        return min(one.expires for one in (known.root, known.timestamp, known.snapshot, known.targets))

    @property
    def projects(self) -> frozenset[str]:
        """The projects that the catalogue trusts."""
        return frozenset(self._roles)

    def project(self, id: str) -> dict[str, TargetFile]:
        """A project's files: those of its list that the catalogue lets it name.

        Raises:
            RepositoryError: its list is not genuine, or has expired.
            DownloadError
            OSError
        """
        listed, own = self._load_targets(id, Targets.type), self._trusted_set.targets
        role = self._roles[id]
        # No name can be meant by two projects, since each is below the id of one.
        return {
            path: one
            for path, one in listed.targets.items()
            if path.startswith(f"{id}/") and role.is_delegated_path(path) and path not in own.targets
        }

    def top(self, path: str) -> TargetFile | None:
        """A file that the catalogue itself names, not one of its projects."""
        return self._trusted_set.targets.targets.get(path)

    def contents(self, before: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files of all current lists, under the names that a server has them by.

        Args:
            before: what was kept, for those that were not loaded now.
        """
        known = self._trusted_set
        roots = {f"{number}.root.json": self._root(number) for number in range(1, known.root.version + 1)}
        found = {name: content for name, content in roots.items() if content is not None}
        for role in (Timestamp.type, Snapshot.type, Targets.type, *sorted(self.projects)):
            meta = known.snapshot.meta.get(f"{role}.json")
            version = known.snapshot.version if role == Snapshot.type else meta.version if meta else 0
            name = f"{role}.json" if role == Timestamp.type else f"{version}.{role}.json"
            if role in known:
                found[name] = self._load_local_metadata(role)
            elif name in before:
                found[name] = before[name]
        return found

    def expired(self, fetched: Mapping[str, bytes]) -> tuple[str, datetime | None]:
        """Which list has expired, and when; after an ExpiredMetadataError.

        Args:
            fetched: what came last, by file name.
        """
        known, now = self._trusted_set, self._trusted_set.reference_time
        for name in (Root.type, Timestamp.type, Snapshot.type):
            if name in known and known[name].is_expired(now):
                return name, known[name].expires
        if Snapshot.type in known and (meta := known.snapshot.meta.get("targets.json")):
            content = fetched.get(f"{meta.version}.targets.json")
            if content:
                return "list of projects", Metadata.from_bytes(content).signed.expires
        return "list of projects", None

    @property
    def _roles(self) -> dict[str, DelegatedRole]:
        delegations = self._trusted_set.targets.delegations
        return (delegations.roles or {}) if delegations else {}

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        # A role's name becomes a file's name here, and some file systems do not tell Root from root.
        if role != Targets.type and (not is_id(role) or parent_role != Targets.type):
            raise RepositoryError("a project delegates further, or to a name that cannot be")
        found = super()._load_targets(role, parent_role)
        if role != Targets.type and found.delegations is not None:
            raise RepositoryError("a project's list delegates further")
        return found

    def _persist_file(self, filename: str, data: bytes) -> None:
        write_atomic(Path(filename), data)

    def _update_root_symlink(self) -> None:
        """Nothing here begins with what was kept, so no link to it is needed; not every file system has links."""

    def _root(self, version: int) -> bytes | None:
        try:
            return (self._folder / ROOT_HISTORY / f"{version}.root.json").read_bytes()
        except FileNotFoundError:
            return None
