"""Images of the user's own, in the store of appliances: files by their content, and a TOML beside for each image.

<folder>/own-images/<name>.toml            what it is, where it came from, what a package asked for
<folder>/own-images/templates/<name>.toml  the contextualization template that a catalogue has for it
Every file that such a TOML names is needed, by whoever it is; only `remove` lets go of it.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.appliance.errors import ImageExists, ImageNeeded, NoSuchImage, OwnNoteDamaged
from client.appliance.formats import Format
from client.appliance.objects import Objects, is_digest
from client.appliance.ovf import Asked, Disk
from client.errors import BadInput
from client.log import logger
from client.paths import write_atomic

SUFFIX: Final = ".toml"
_TEMPLATES: Final = "templates"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Form:
    """One file in one form."""

    format: Format
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class OwnFile:
    """A disk or CD of an image.

    Attributes:
        name: it had when it came.
        detail: kind within the format, for people.
        virtual_bytes: of the disk that a guest sees.
        plain: whether it is a qcow2 without later features.
        forms: the same disk in other forms, made here.
    """

    name: str
    format: Format
    sha256: str
    size_bytes: int
    detail: str = ""
    virtual_bytes: int = 0
    plain: bool = True
    forms: tuple[Form, ...] = ()

    def form(self, wanted: Iterable[Format]) -> Form | None:
        """The file in the first of these forms that it has; None if it has none."""
        own = Form(self.format, self.sha256, self.size_bytes)
        have = (*((own,) if self.format is not Format.QCOW2 or self.plain else ()), *self.forms)
        return next((one for kind in wanted for one in have if one.format is kind), None)

    @property
    def digests(self) -> frozenset[str]:
        """SHA-256 of all that belongs to it."""
        return frozenset({self.sha256, *(one.sha256 for one in self.forms)})


@dataclass(frozen=True)
class OwnImage:
    """An image that the user added.

    Attributes:
        name: what commands call it.
        origin: path that it had when it was added.
        came_as: its form then: "iso", "gzip.raw", "ova".
        added_at: ISO 8601, UTC.
        files: its disks and CDs, the one to boot from first.
        asked: what a package says its machine needs; None for one that was no package.
        proof: who vouches for a package: manifest, signer, issuer, expired_at.
        end_of_life: date of the last update of the system in it, if it is known to be over.
    """

    name: str
    origin: str
    came_as: str
    added_at: str
    files: tuple[OwnFile, ...]
    asked: Asked | None = None
    proof: Mapping[str, str] = field(default_factory=dict)
    end_of_life: str = ""

    @property
    def digests(self) -> frozenset[str]:
        """SHA-256 of all its files, in all forms."""
        return frozenset().union(*(one.digests for one in self.files))

    @property
    def size_bytes(self) -> int:
        """What all its files take, in all forms."""
        sizes = {one.sha256: one.size_bytes for one in self.files}
        sizes |= {form.sha256: form.size_bytes for one in self.files for form in one.forms}
        return sum(sizes.values())

    def to_json(self) -> dict[str, Any]:
        """The value as JSON and TOML have it; `read_own_image` reads it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class OwnImages:
    """The own images of one store. Every method may block for as long as the disk does."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: of all appliances; it need not be there."""
        self.folder = folder / filenames.OWN_IMAGES
        self.objects = Objects(folder)

    def images(self) -> tuple[OwnImage, ...]:
        """All of them by name.

        Raises:
            OSError, OwnNoteDamaged: one cannot be read, so that it is not known which files are needed.
        """
        paths = sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else ()
        return tuple(self._read(path) for path in paths)

    def find(self, name: str) -> OwnImage:
        """One of them.

        Raises:
            NoSuchImage
            OSError, OwnNoteDamaged: it cannot be read.
        """
        path = self._path(name) if _NAME.fullmatch(name) else None
        if path is None or not path.is_file():
            raise NoSuchImage(name, ", ".join(one.name for one in self.images()) or "none")
        return self._read(path)

    def place(self, form: Form) -> Path:
        """Where a file lies."""
        return self.objects.place(form.sha256, f"disk.{form.format.value}")

    def free_name(self, name: str, path: Path) -> str:
        """The name that an image will have. name: what the user wants; empty: made of the file's.

        Raises:
            BadInput: it is none.
            ImageExists: there is one of that name.
        """
        wanted = name or name_from(path)
        if not _NAME.fullmatch(wanted):
            raise BadInput("--name", f"{wanted!r} is no name for an image", "take letters, digits and . _ -")
        if self._path(wanted).exists():
            raise ImageExists(wanted)
        return wanted

    def origin(self, path: Path) -> Path:
        """Where a file of the user's is, whatever folder the program that reads it runs in."""
        return path.absolute()

    def template(self, name: str) -> Path:
        """Where the template of an image lies that came out of a catalogue, if it has one."""
        return self.folder / _TEMPLATES / f"{name}{SUFFIX}"

    def write(self, image: OwnImage) -> None:
        """Keep what is known of an image; from now on its files are needed."""
        import tomlkit

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._path(image.name), tomlkit.dumps(image.to_json()).encode())

    def with_form(self, image: OwnImage, file: OwnFile, form: Form) -> OwnImage:
        """Note another form of one of its disks."""
        forms = (*(one for one in file.forms if one.format is not form.format), form)
        files = tuple(replace(one, forms=forms) if one == file else one for one in image.files)
        changed = replace(image, files=files)
        self.write(changed)
        return changed

    def remove(self, image: OwnImage, needed: Mapping[str, Iterable[str]]) -> int:
        """Remove an image, and its files that nobody else needs. Returns the bytes that were freed.

        Args:
            needed: SHA-256 -> who needs it, besides own images.

        Raises:
            ImageNeeded: a virtual machine was made from it.
            OSError, OwnNoteDamaged: another one cannot be read; nothing is removed.
        """
        who = sorted({one for sha256 in image.digests for one in needed.get(sha256, ())})
        if who:
            raise ImageNeeded(image.name, ", ".join(who))
        # First, since one that cannot be read must leave this one as it is.
        others = frozenset().union(*(one.digests for one in self.images() if one.name != image.name))
        self._path(image.name).unlink(missing_ok=True)
        self.template(image.name).unlink(missing_ok=True)
        freed = sum(self.objects.remove(sha256) for sha256 in sorted(image.digests - others))
        logger("appliance").info("Removed the own image %s: %.1f MB", image.name, freed / 1e6)
        return freed

    def holders(self) -> dict[str, set[str]]:
        """Who needs which files of the store, in words: every own image its own.

        Raises:
            OSError, OwnNoteDamaged: one cannot be read.
        """
        return {f"your image {one.name}": set(one.digests) for one in self.images()}

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _read(self, path: Path) -> OwnImage:
        with path.open("rb") as file:
            said = file.read(_MOST_BYTES)
        try:
            return read_own_image(tomllib.loads(said.decode()), path.stem)
        except (ValueError, RecursionError) as error:
            raise OwnNoteDamaged(path.stem, str(path), str(error).rstrip(".")) from error


def name_from(path: Path) -> str:
    """A name for an image, made of its file's name."""
    stem = path.name
    for suffix in (".gz", ".xz", ".zst", *(f".{one.value}" for one in Format), ".img", ".hdd", ".raw"):
        stem = stem.removesuffix(suffix) or stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:63] or "image"


def read_own_image(said: Mapping[str, Any], name: str) -> OwnImage:
    """An image out of TOML or JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        files = tuple(_file(one) for one in said["files"])
        if not files or not _NAME.fullmatch(name):
            raise ValueError(f"{name} has no files")
        return OwnImage(
            name=name,
            origin=str(said["origin"]),
            came_as=str(said["came_as"]),
            added_at=str(said["added_at"]),
            files=files,
            asked=_asked(said["asked"]) if said.get("asked") else None,
            proof={str(key): str(value) for key, value in (said.get("proof") or {}).items()},
            end_of_life=str(said.get("end_of_life", "")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is damaged ({error})") from error


def _file(said: Mapping[str, Any]) -> OwnFile:
    forms = tuple(_form(one) for one in said.get("forms", ()))
    own = _form(said)
    about = str(said["name"]), own.format, own.sha256, own.size_bytes
    return OwnFile(*about, str(said["detail"]), int(said["virtual_bytes"]), bool(said.get("plain", True)), forms)


def _form(said: Mapping[str, Any]) -> Form:
    if not is_digest(str(said["sha256"])):
        raise ValueError("no SHA-256")
    return Form(Format(said["format"]), str(said["sha256"]), int(said["size_bytes"]))


def _asked(said: Mapping[str, Any]) -> Asked:
    disks = tuple(Disk(str(one["file"]), int(one["virtual_bytes"]), bool(one["packed"])) for one in said["disks"])
    return Asked(
        name=str(said["name"]),
        os=str(said["os"]),
        memory_mib=int(said["memory_mib"]),
        cpus=int(said["cpus"]),
        networks=int(said["networks"]),
        disks=disks,
        files=tuple(map(str, said["files"])),
    )
