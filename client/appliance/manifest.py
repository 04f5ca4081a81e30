"""The manifest of an appliance: read as hostile input, turned into plain values.

`manifest.json` lies beside the files that it names; docs/appliance.md has its form.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

from client import filenames
from client.appliance.errors import ApplianceMissing, BadManifest

SCHEMA: Final = 1
MAX_MANIFEST_BYTES: Final = 1024 * 1024
MAX_FILES: Final = 64
MAX_FILE_BYTES: Final = 16 * 1024**3
#: What a file of an appliance can be for; a file with another role is kept but not used.
ROLES: Final = frozenset({"iso", "disk", "kernel", "initrd", "system", "software", "scratch"})

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMAND_LINE = re.compile(r"[ -~]{0,1024}")
_KEEP_OUT = {"con", "prn", "aux", "nul", *(f"{device}{n}" for device in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class ApplianceFile:
    """One file: its name without folders, its length, its SHA-256 in lower-case hex, and what it is for."""

    name: str
    size_bytes: int
    sha256: str
    role: str


@final
@dataclass(frozen=True)
class DirectFiles:
    """Names of the files for hypervisors that boot a kernel themselves.

    Attributes:
        command_line: for the kernel, without a console argument.
        machine: hints, all optional: type, memory_mib, cpus, network, option_rom, entropy.
    """

    kernel: str
    initrd: str
    system: str
    command_line: str
    machine: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Software:
    """A software disk: file name and the version of what is on it."""

    file: str
    version: str


@dataclass(frozen=True)
class Appliance:
    """An appliance as its manifest describes it.

    Attributes:
        files: by file name.
        direct: None if it has no files for direct boot.
        iso: the bootable ISO's file name, or None.
        disk: the file name of a disk that boots by itself, for virtual machines of the user's own; or None.
        software: software disks by name.
        scratch: the scratch disk's template, or None.
        confines_jobs: it says that its jobs have no network unless the project asks for it.
    """

    name: str
    version: str
    files: Mapping[str, ApplianceFile]
    direct: DirectFiles | None
    iso: str | None
    software: Mapping[str, Software] = field(default_factory=dict)
    scratch: str | None = None
    confines_jobs: bool = False
    disk: str | None = None

    def media(self, direct: bool = True, software: str | None = None) -> dict[str, str]:
        """The files that a VM sees as disks or CD, by role: system, software, scratch.

        Args:
            direct: for direct boot, if the appliance has it; else the ISO.
            software: which software disk; None for the first by name, empty for none.
        """
        system = self.direct.system if direct and self.direct else self.iso or ""
        chosen = min(self.software, default="") if software is None else software
        disk = self.software[chosen].file if chosen in self.software else ""
        found = {"system": system, "software": disk, "scratch": self.scratch or ""}
        return {role: name for role, name in found.items() if name}

    def needed(self, direct: bool = True, software: str | None = None) -> tuple[str, ...]:
        """The names of all files that a VM needs, sorted; arguments as of `media`."""
        names = set(self.media(direct, software).values())
        if direct and self.direct:
            names |= {self.direct.kernel, self.direct.initrd}
        return tuple(sorted(names))


def read_manifest(folder: Path) -> Appliance:
    """Read the manifest of an appliance that lies in a folder.

    Raises:
        ApplianceMissing: there is none.
        BadManifest: it cannot be used.
    """
    path = folder / filenames.MANIFEST
    try:
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError as missing:
        raise ApplianceMissing(str(path)) from missing
    except OSError as error:
        raise BadManifest(str(path), error.strerror or "it cannot be read") from error
    return parse_manifest(text, str(path))


def parse_manifest(text: bytes, where: str) -> Appliance:
    """Check a manifest and turn it into values.

    Args:
        where: file or address that it came from, for the error.

    Raises:
        BadManifest: with all that is wrong, joined by "; ".
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise BadManifest(where, f"longer than {MAX_MANIFEST_BYTES} bytes")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadManifest(where, "not JSON") from error
    if not isinstance(said, dict):
        raise BadManifest(where, "not a JSON object")
    if said.get("schema") != SCHEMA:
        raise BadManifest(where, f"its schema is not {SCHEMA}")
    return _Reader(where).appliance(said)


class _Reader:
    """Reads one manifest; collects what is wrong with it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._wrong: list[str] = []
        self._files: dict[str, ApplianceFile] = {}

    def appliance(self, said: Mapping[str, Any]) -> Appliance:
        name, version = self._word(said, "name"), self._word(said, "version")
        self._read_files(self._table(said, "files"))
        direct = self._direct(said)
        iso = self._file(self._table(said, "iso"), "system", "iso") if "iso" in said else None
        software = {key: disk for key, disk in map(self._software, self._table(said, "software").items()) if disk}
        scratch = self._file(said, "scratch", "scratch") if "scratch" in said else None
        disk = self._file(self._table(said, "disk"), "file", "disk") if "disk" in said else None
        if not direct and not iso and not disk:
            self._wrong.append("nothing in it can be booted")
        if self._wrong:
            raise BadManifest(self._where, "; ".join(self._wrong[:20]))
        frozen = MappingProxyType
        confines = said.get("confines_jobs") is True
        return Appliance(name, version, frozen(self._files), direct, iso, frozen(software), scratch, confines, disk)

    def _table(self, said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        found = said.get(key, {})
        if isinstance(found, dict):
            return found
        self._wrong.append(f"{key} is not an object")
        return {}

    def _word(self, said: Mapping[str, Any], key: str, pattern: re.Pattern[str] = _WORD) -> str:
        found = said.get(key)
        if isinstance(found, str) and pattern.fullmatch(found):
            return found
        self._wrong.append(f"{key} is missing or not a plain word")
        return ""

    def _read_files(self, said: Mapping[str, Any]) -> None:
        if not 0 < len(said) <= MAX_FILES:
            self._wrong.append(f"it names {len(said)} files")
            return
        for name, about in said.items():
            if not is_file_name(name):
                self._wrong.append(f"{name[:100]!r} is not a plain file name")
            elif not isinstance(about, dict):
                self._wrong.append(f"files.{name} is not an object")
            else:
                self._files[name] = ApplianceFile(name, *self._measures(name, about))

    def _measures(self, name: str, about: Mapping[str, Any]) -> tuple[int, str, str]:
        size = about.get("size_bytes")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_FILE_BYTES:
            self._wrong.append(f"files.{name}.size_bytes is not a possible size")
            size = 0
        sha256 = about.get("sha256")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            self._wrong.append(f"files.{name}.sha256 is not a SHA-256 in lower-case hex")
            sha256 = ""
        return size, sha256, self._word(about, "role")

    def _file(self, said: Mapping[str, Any], key: str, role: str) -> str:
        name = said.get(key)
        file = self._files.get(name) if isinstance(name, str) else None
        if file and file.role == role:
            return file.name
        self._wrong.append(f"{key} names no file of the role {role}")
        return ""

    def _direct(self, said: Mapping[str, Any]) -> DirectFiles | None:
        if "direct" not in said:
            return None
        table = self._table(said, "direct")
        kernel, initrd, system = (self._file(table, role, role) for role in ("kernel", "initrd", "system"))
        command_line = self._word(table, "command_line", _COMMAND_LINE)
        machine = {
            key: value
            for key, value in self._table(table, "machine").items()
            if _WORD.fullmatch(key) and (isinstance(value, int) or (isinstance(value, str) and _WORD.fullmatch(value)))
        }
        return DirectFiles(kernel, initrd, system, command_line, MappingProxyType(machine))

    def _software(self, item: tuple[str, Any]) -> tuple[str, Software | None]:
        name, about = item
        if not _WORD.fullmatch(name) or not isinstance(about, dict):
            self._wrong.append(f"software.{name[:100]!r} is not usable")
            return name, None
        return name, Software(self._file(about, "file", "software"), self._word(about, "version"))


def is_file_name(name: str) -> bool:
    """Whether a name is plain enough to be a file of one folder on any operating system."""
    if not _FILE_NAME.fullmatch(name) or name.endswith(".") or name == filenames.MANIFEST:
        return False
    return name.partition(".")[0].lower() not in _KEEP_OUT and not name.endswith(filenames.PART_SUFFIX)
