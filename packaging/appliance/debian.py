"""Debian packages: resolved, fetched and unpacked by apt and dpkg-deb in folders of the builder's own, without root."""

import hashlib
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from packaging.appliance.failure import BuildFailed, run
from packaging.appliance.sources import read_stanzas, write_sources


@dataclass(frozen=True, order=True)
class DebianPackage:
    """One binary package, exactly. source, source_version: the source package that it was built from."""

    name: str
    version: str
    sha256: str
    source: str
    source_version: str

    @property
    def file_name(self) -> str:
        """Its name in the builder's cache."""
        return f"{self.name}_{self.version.replace(':', '%3a')}.deb"


class Archive:
    """Debian's archive for one release, seen through apt with state folders of our own."""

    def __init__(self, cache: Path, suite: str) -> None:
        self._folder = cache / "apt"
        self._debs = cache / "debs"
        self._suite = suite
        for name in ("lists/partial", "archives/partial", "empty"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        self._debs.mkdir(parents=True, exist_ok=True)

    def update(self) -> None:
        """Fetch the lists of packages.

        Raises:
            BuildFailed: no archive is configured or it does not answer.
        """
        write_sources(self._folder / "debian.sources", self._suite)
        (self._folder / "status").touch()
        run(["apt-get", *self._options(), "-o", "Acquire::Retries=3", "--error-on=any", "update"])

    def resolve(self, names: list[str]) -> list[DebianPackage]:
        """The newest version of each package.

        Raises:
            BuildFailed: the release has no such package.
        """
        said = run(["apt-cache", *self._options(), "show", "--no-all-versions", *names])
        found = {stanza["Package"]: _package(stanza) for stanza in read_stanzas(said.splitlines())}
        missing = sorted(set(names) - set(found))
        if missing:
            raise BuildFailed(f"Debian {self._suite} has no package {', '.join(missing)}")
        return sorted(found.values())

    def kernel_image(self, meta: str) -> str:
        """The package of the kernel image that a meta-package stands for today."""
        said = run(["apt-cache", *self._options(), "show", "--no-all-versions", meta])
        depends = next(read_stanzas(said.splitlines())).get("Depends", "")
        first = depends.split(",")[0].split("(")[0].split("|")[0].strip()
        if not first.startswith("linux-image-"):
            raise BuildFailed(f"{meta} names no kernel image: {depends!r}")
        return first

    def fetch(self, packages: list[DebianPackage]) -> list[Path]:
        """The packages' files, downloaded unless the cache has them; their SHA-256 is checked each time.

        Raises:
            BuildFailed: a download failed or a file is not what the archive's list says.
        """
        wanted = [package for package in packages if not _holds(self._debs / package.file_name, package.sha256)]
        if wanted:
            if not any((self._folder / "lists").glob("*_Packages*")):
                self.update()
            names = [f"{package.name}={package.version}" for package in wanted]
            run(["apt-get", *self._options(), "-o", "Acquire::Retries=3", "download", *names], folder=self._debs)
        for package in wanted:
            self._take_in(package)
        return [self._debs / package.file_name for package in packages]

    def _take_in(self, package: DebianPackage) -> None:
        version = package.version.replace(":", "%3a")
        for path in self._debs.glob(f"{package.name}_{version}_*.deb"):
            path.replace(self._debs / package.file_name)
        if not _holds(self._debs / package.file_name, package.sha256):
            raise BuildFailed(
                f"the package {package.name} {package.version} did not arrive as the archive describes it"
            )

    def _options(self) -> list[str]:
        values = {
            "Dir::Etc::sourcelist": self._folder / "debian.sources",
            "Dir::Etc::sourceparts": self._folder / "empty",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self._folder / "empty",
            "Dir::State": self._folder,
            "Dir::State::lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder,
            "Dir::Cache::archives": self._folder / "archives",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": pwd.getpwuid(os.getuid()).pw_name if os.getuid() == 0 else "",
            "Acquire::Languages": "none",
        }
        return ["-q", *(word for key, value in values.items() for word in ("-o", f"{key}={value}"))]


def unpack(debs: list[Path], folder: Path) -> None:
    """Unpack packages into a folder, one over the other."""
    folder.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        run(["dpkg-deb", "--extract", deb, folder])


def _package(stanza: dict[str, str]) -> DebianPackage:
    source, _, version = stanza.get("Source", stanza["Package"]).partition(" ")
    source_version = version.strip("() ") or stanza["Version"]
    return DebianPackage(stanza["Package"], stanza["Version"], stanza["SHA256"], source, source_version)


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
