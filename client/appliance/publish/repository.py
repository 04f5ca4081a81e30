"""The signed lists of a catalogue on disk: read whole, changed whole.

A change writes new versions of lists under new names and, last, the timestamp over the old one. Whoever reads gets all
of the old state or all of the new one, wherever the writer was stopped; what an interrupted change left is not named by
anything and is written over by the next.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from filelock import FileLock, Timeout
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from client.appliance.publish.keyring import KeyRing, Signable
from client.appliance.publish.layout import CatalogueFolder, publish_file
from client.appliance.publish.settings import Settings
from client.errors import BadInput

#: a field of the signed timestamp: when it was signed. A client whose clock is before that has a wrong clock.
SIGNED_AT: Final = "signed_at"
TARGETS: Final = Targets.type
_Kind = TypeVar("_Kind", Root, Snapshot, Timestamp, Targets)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now, in whole seconds, as metadata has it."""
    return datetime.now(UTC).replace(microsecond=0)


class Repository:
    """A catalogue's lists as they are now, and the one way to change them.

    Attributes:
        root, snapshot, timestamp: as published.
        lists: role -> signed list: `targets` and one for each project.
    """

    def __init__(
        self,
        folder: CatalogueFolder,
        settings: Settings,
        root: Metadata[Root],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.clock = clock
        self.root = root
        self.snapshot: Metadata[Snapshot] = Metadata(Snapshot(version=1, meta={}))
        self.timestamp: Metadata[Timestamp] = Metadata(Timestamp(version=1))
        self.lists: dict[str, Metadata[Targets]] = {}

    @classmethod
    def open(cls, folder: CatalogueFolder, settings: Settings, *, clock: Clock = utc_now) -> "Repository":
        """Read what is published.

        Raises:
            BadInput: there is no catalogue, or it is damaged.
        """
        version = newest_root(folder)
        if not version:
            raise BadInput(str(folder.base), "there is no catalogue in it", "make one: main.py publish init FOLDER")
        found = cls(folder, settings, read(folder.metadata_file("root", version), Root), clock=clock)
        found.timestamp = read(folder.metadata_file("timestamp", 0), Timestamp)
        found.snapshot = read(folder.metadata_file("snapshot", found.timestamp.signed.snapshot_meta.version), Snapshot)
        found._read_list(TARGETS)
        for project in sorted(found.projects):
            found._read_list(project)
        return found

    @property
    def projects(self) -> set[str]:
        """The ids of all projects: those to whom the list of projects delegates."""
        delegations = self.lists[TARGETS].signed.delegations
        return set(delegations.roles or {}) if delegations else set()

    def listed_version(self, role: str) -> int:
        """The newest version of a list that any client can have seen; 0: none."""
        meta = self.snapshot.signed.meta.get(f"{role}.json")
        return meta.version if meta else 0

    def commit(self, changed: Mapping[str, Metadata[Targets]], ring: KeyRing, extra: Root | None = None) -> None:
        """Publish new lists, signed already, and sign the snapshot and the timestamp for them.

        Args:
            changed: role -> list, each of a higher version than what is published.
            extra: a root that will be published next; what it asks for is signed by its keys as well.

        Raises:
            BadInput: the keys are not there. Nothing is changed then.
            OSError: the disk fails. Readers see the old state.
        """
        snapshot, timestamp = self._next(changed, self.clock())
        self._sign(snapshot, Snapshot.type, ring, extra)
        content = snapshot.to_bytes()
        timestamp.signed.snapshot_meta = MetaFile.from_data(snapshot.signed.version, content, ["sha256"])
        self._sign(timestamp, Timestamp.type, ring, extra)
        for role, one in changed.items():
            publish_file(self.folder.metadata_file(role, one.signed.version), one.to_bytes())
        publish_file(self.folder.metadata_file("snapshot", snapshot.signed.version), content)
        publish_file(self.folder.metadata_file("timestamp", 0), timestamp.to_bytes())
        self.lists |= changed
        self.snapshot, self.timestamp = snapshot, timestamp

    def renew_timestamp(self, ring: KeyRing) -> None:
        """Sign the timestamp anew for the same state.

        Raises:
            BadInput: the key is not there.
        """
        now = self.clock()
        timestamp = self._next_timestamp(now)
        timestamp.signed.snapshot_meta = self.timestamp.signed.snapshot_meta
        self._sign(timestamp, Timestamp.type, ring)
        publish_file(self.folder.metadata_file("timestamp", 0), timestamp.to_bytes())
        self.timestamp = timestamp

    def publish_root(self, root: Metadata[Root], ring: KeyRing) -> None:
        """Sign the next root, by the old root's keys and by its own, and publish it: clients see it at once."""
        for one in (self.root.signed, root.signed):
            asked = one.roles[Root.type]
            ring.sign(root, Root.type, asked.keyids, asked.threshold)
        publish_file(self.folder.metadata_file("root", root.signed.version), root.to_bytes())
        self.root = root

    def until(self, days: int) -> datetime:
        """The time in so many days."""
        return self.clock() + timedelta(days=days)

    def _sign(self, signable: Signable, role: str, ring: KeyRing, extra: Root | None = None) -> None:
        asked = (extra or self.root.signed).roles[role]
        ring.sign(signable, role, asked.keyids, asked.threshold)
        if extra:
            # A key that is changed because it was lost cannot sign.
            ring.sign(signable, role, self.root.signed.roles[role].keyids, 0)

    def _read_list(self, role: str) -> None:
        self.lists[role] = read(self.folder.metadata_file(role, self.listed_version(role)), Targets)

    def _next(
        self, changed: Mapping[str, Metadata[Targets]], now: datetime
    ) -> tuple[Metadata[Snapshot], Metadata[Timestamp]]:
        meta = dict(self.snapshot.signed.meta)
        for role, one in changed.items():
            meta[f"{role}.json"] = MetaFile.from_data(one.signed.version, one.to_bytes(), ["sha256"])
        version = self.snapshot.signed.version + (1 if self.snapshot.signatures else 0)
        expires = now + timedelta(days=self.settings.expiry.snapshot)
        return Metadata(Snapshot(version=version, meta=meta, expires=expires)), self._next_timestamp(now)

    def _next_timestamp(self, now: datetime) -> Metadata[Timestamp]:
        version = self.timestamp.signed.version + (1 if self.timestamp.signatures else 0)
        expires = now + timedelta(days=self.settings.expiry.timestamp)
        return Metadata(Timestamp(version=version, expires=expires, unrecognized_fields={SIGNED_AT: now.isoformat()}))


def read(path: Path, kind: type[_Kind]) -> Metadata[_Kind]:
    """A piece of metadata from a file.

    Raises:
        BadInput: it is missing, damaged, or of another kind.
    """
    remedy = "bring public/ back from a copy; status tells what is missing"
    try:
        found: Metadata[_Kind] = Metadata.from_bytes(path.read_bytes())
    except OSError as error:
        raise BadInput(str(path), error.strerror or "it cannot be read", remedy) from error
    except RepositoryError as error:
        raise BadInput(str(path), "it is no signed metadata", remedy) from error
    if not isinstance(found.signed, kind):
        raise BadInput(str(path), f"it is no {kind.type} metadata", remedy)
    return found


def newest_root(folder: CatalogueFolder) -> int:
    """The version of the newest root that is published; 0: there is none."""
    version = 0
    while folder.metadata_file("root", version + 1).exists():
        version += 1
    return version


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a folder's lock, so that what runs from cron and what a person does come one after the other.

    Raises:
        BadInput: another one works there and does not end.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=60):
            yield
    except Timeout as error:
        raise BadInput(str(lock.parent), "another publish works in it", "wait until it is done") from error
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        if error.filename not in {str(lock), str(lock.parent)}:
            raise
        what = f"this folder cannot be used ({error.strerror})"
        raise BadInput(str(lock.parent), what, "choose another one") from error
