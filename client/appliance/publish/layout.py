"""The folders of those who publish.

A catalogue's folder:                                A project's folder (its own machine, or projects/<id>):
  catalogue.toml    settings, for people to change     publisher.toml     who it is, for people to change
  public/metadata   signed lists     } what the web    outbox/metadata    its signed list  } what it sends to
  public/targets    the files        } server shows    outbox/targets     its files        } the catalogue
  keys/online       needed every day                   keys               its own keys
  keys/offline      to be kept elsewhere
  projects/<id>     projects that are published here
  clients           root.json and catalogue.toml, for those who build or configure clients
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.paths import write_atomic

#: the metadata of roles and what the web server shows is for all to read
PUBLIC_MODE: Final = 0o644


@dataclass(frozen=True)
class CatalogueFolder:
    """Where everything of a catalogue lies."""

    base: Path

    @property
    def settings(self) -> Path:
        """Expiry, thresholds, addresses."""
        return self.base / "catalogue.toml"

    @property
    def public(self) -> Path:
        """What a web server shows."""
        return self.base / "public"

    @property
    def metadata(self) -> Path:
        """Signed lists."""
        return self.public / "metadata"

    @property
    def targets(self) -> Path:
        """The files that they name."""
        return self.public / "targets"

    @property
    def online_keys(self) -> Path:
        """Keys of timestamp and snapshot."""
        return self.base / "keys" / "online"

    @property
    def offline_keys(self) -> Path:
        """Keys of root and targets."""
        return self.base / "keys" / "offline"

    @property
    def clients(self) -> Path:
        """What clients are given."""
        return self.base / "clients"

    @property
    def lock(self) -> Path:
        """Held while something is changed."""
        return self.base / "lock"

    def project(self, id: str) -> "ProjectFolder":
        """The folder of a project that is published on this machine."""
        return ProjectFolder(self.base / "projects" / id)

    def metadata_file(self, role: str, version: int) -> Path:
        """A version of a role's metadata; the timestamp has one name always."""
        return self.metadata / ("timestamp.json" if role == "timestamp" else f"{version}.{role}.json")

    def make(self) -> None:
        """Make the folders; keys are their owner's only."""
        for folder in (self.metadata, self.targets, self.clients):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.online_keys, self.offline_keys, self.base / "projects"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


@dataclass(frozen=True)
class ProjectFolder:
    """Where everything of one publishing project lies."""

    base: Path

    @property
    def settings(self) -> Path:
        """Who the project is."""
        return self.base / "publisher.toml"

    @property
    def keys(self) -> Path:
        """The project's own keys."""
        return self.base / "keys"

    @property
    def outbox(self) -> Path:
        """What is sent to the catalogue."""
        return self.base / "outbox"

    @property
    def lock(self) -> Path:
        """Held while something is changed."""
        return self.base / "lock"


def role_file(outbox: Path, id: str) -> Path:
    """The signed list of a project in what it sends."""
    return outbox / "metadata" / f"{id}.json"


def target_file(targets: Path, name: str, sha256: str) -> Path:
    """Where a target lies: The Update Framework's name of it in a repository with consistent snapshots."""
    folder, _, base = name.rpartition("/")
    return targets / folder / f"{sha256}.{base}"


def publish_file(path: Path, content: bytes) -> None:
    """Write a file for all to read, whole or not at all; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content, PUBLIC_MODE)


def link_or_copy(source: Path, target: Path) -> None:
    """Have a file under a second name: the same bytes on disk if the file system can, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.chmod(PUBLIC_MODE)
    part.replace(target)
