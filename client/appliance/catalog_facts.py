"""What a catalogue says of one appliance: read as hostile input, whoever signed it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from client.appliance.errors import BadManifest

SCHEMA: Final = 1
#: what an image can be; `direct` is kernel, initrd and root file system for hypervisors that boot a kernel themselves
FORMATS: Final = ("direct", "iso", "raw", "hdd", "vdi", "vmdk", "vhd", "qcow2", "ova", "ovf")
NETWORKS: Final = ("none", "project", "open")
MAX_MEMORY_MIB: Final = 1024 * 1024
MAX_DISK_MIB: Final = 64 * 1024 * 1024
MAX_FIRST_BOOT_BYTES: Final = 1 << 40
#: names of metadata, which no project can have; the first four are The Update Framework's own
RESERVED: Final = frozenset({"root", "timestamp", "snapshot", "targets", "catalog", "metadata", "keys", "templates"})

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._+-]{0,99}){0,4}")
_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]{1,260}(/[A-Za-z0-9._~%@+=,-]*){0,20}")
_PART = re.compile(r"\d+|[A-Za-z]+")
_DEVICES: Final = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class ApplianceNeeds:
    """What a VM of the appliance needs. network: one of NETWORKS, of which `project` means its project's servers."""

    memory_mib: int = 256
    disk_mib: int = 0
    cpus: int = 1
    bits: int = 64
    network: str = "project"


@dataclass(frozen=True)
class Facts:
    """What is known of one version of an appliance before a byte of it is fetched.

    Attributes:
        min_client: the oldest version of this program that can run it.
        first_boot_bytes: what its first boot downloads beside; 0: nothing, or not known.
        context: target name of its contextualization template; empty: none.
        sources: target name of the list of exact source packages; empty: nothing in it is other people's.
        end_of_life: date as YYYY-MM-DD from which its system gets no more updates; empty: none is known.
    """

    name: str
    version: str
    formats: tuple[str, ...]
    min_client: str = "0"
    needs: ApplianceNeeds = ApplianceNeeds()
    licence: str = ""
    first_boot_bytes: int = 0
    context: str = ""
    sources: str = ""
    end_of_life: str = ""

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it; `read_facts` reads it."""
        return {**asdict(self), "formats": list(self.formats)}


def read_facts(said: object, where: str) -> Facts:
    """Check facts and turn them into a value; keys that are not known are for later versions.

    Raises:
        BadManifest: with all that is wrong, joined by "; ".
    """
    reader = Reader(said, where)
    needs = Reader(reader.get("needs", {}), where, reader.wrong)
    usual = ApplianceNeeds()
    facts = Facts(
        name=reader.word("name"),
        version=reader.word("version"),
        formats=reader.choices("formats", FORMATS),
        min_client=reader.word("min_client", "0"),
        needs=ApplianceNeeds(
            memory_mib=needs.whole("memory_mib", 16, MAX_MEMORY_MIB, usual.memory_mib),
            disk_mib=needs.whole("disk_mib", 0, MAX_DISK_MIB, usual.disk_mib),
            cpus=needs.whole("cpus", 1, 1024, usual.cpus),
            bits=needs.whole("bits", 32, 64, usual.bits),
            network=needs.choice("network", NETWORKS, usual.network),
        ),
        licence=reader.text("licence", 400),
        first_boot_bytes=reader.whole("first_boot_bytes", 0, MAX_FIRST_BOOT_BYTES, 0),
        context=reader.path("context"),
        sources=reader.path("sources"),
        end_of_life=reader.day("end_of_life"),
    )
    reader.end()
    return facts


class Reader:
    """Takes typed values out of an object and collects what is wrong with it."""

    def __init__(self, said: object, where: str, wrong: list[str] | None = None) -> None:
        self._where = where
        self.wrong: list[str] = [] if wrong is None else wrong
        self._said: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        if not isinstance(said, Mapping):
            self.wrong.append("what should be an object is none")

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is."""
        return self._said.get(key, default)

    def word(self, key: str, default: str | None = None) -> str:
        """A name or version."""
        found = self._said.get(key, default)
        return found if is_word(found) else self._refuse(key, "is no plain word")

    def text(self, key: str, limit: int) -> str:
        """Words for people: no control characters, nothing that turns the direction of writing."""
        found = self._said.get(key, "")
        if isinstance(found, str) and len(found) <= limit and found.isprintable():
            return found
        return self._refuse(key, f"is no plain text of at most {limit} characters")

    def path(self, key: str) -> str:
        """A target's name, or nothing."""
        found = self._said.get(key, "")
        return found if found == "" or is_path(found) else self._refuse(key, "is no plain path")

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds."""
        found = self._said.get(key, default)
        if isinstance(found, int) and not isinstance(found, bool) and low <= found <= high:
            return found
        self._refuse(key, f"is no whole number from {low} to {high}")
        return default

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        """One of some words."""
        found = self._said.get(key, default)
        return found if isinstance(found, str) and found in known else self._refuse(key, f"is none of {known}", default)

    def choices(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """Those of a list that are known here; the list itself may hold others, of later versions."""
        found = self._said.get(key)
        if isinstance(found, list) and 0 < len(found) <= 32 and all(is_word(one) for one in found):
            return tuple(one for one in known if one in found)
        self._refuse(key, "is no list of words")
        return ()

    def day(self, key: str) -> str:
        """A date, or nothing."""
        found = self._said.get(key, "")
        try:
            return date.fromisoformat(found).isoformat() if found else ""
        except (TypeError, ValueError):
            return self._refuse(key, "is no date as YYYY-MM-DD")

    def end(self) -> None:
        """Say all that was wrong.

        Raises:
            BadManifest
        """
        if self.wrong:
            raise BadManifest(self._where, "; ".join(self.wrong[:20]))

    def _refuse(self, key: str, what: str, instead: str = "") -> str:
        self.wrong.append(f"{key} {what}")
        return instead


def is_id(said: object) -> bool:
    """Whether this can name a project: it is a folder, a file name and a role at once, on any operating system."""
    return isinstance(said, str) and bool(_ID.fullmatch(said)) and said not in RESERVED | _DEVICES


def is_word(said: object) -> bool:
    """Whether this can be the name or version of an appliance."""
    return isinstance(said, str) and bool(_WORD.fullmatch(said)) and _is_portable(said)


def is_path(said: object) -> bool:
    """Whether this can name a target: plain folders and a plain file name, on any operating system."""
    return isinstance(said, str) and bool(_PATH.fullmatch(said)) and all(map(_is_portable, said.split("/")))


def is_folder_url(said: object) -> bool:
    """Whether this is an address of a folder: https, or http on this computer; nothing after the path."""
    if not isinstance(said, str) or len(said) > 500 or not _URL.fullmatch(said) or "/../" in f"{said}/":
        return False
    return said.startswith("https://") or is_local_url(said)


def is_local_url(url: str) -> bool:
    """Whether an address is on this computer."""
    try:
        return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"} and urlsplit(url).port != 0
    except ValueError:
        return False


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """A key that puts versions in order: 1.2 < 1.10, and 2.0rc1 < 2.0 < 2.0.1."""
    parts = ((2, int(one), "") if one.isdecimal() else (0, 0, one.lower()) for one in _PART.findall(version))
    return (*parts, (1, 0, ""))


def _is_portable(name: str) -> bool:
    return not name.endswith(".") and name.partition(".")[0].lower() not in _DEVICES
