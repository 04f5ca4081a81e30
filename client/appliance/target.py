"""What can be fetched: one file by its name, length, SHA-256, the hashes of its pieces, and where it lies.

The values come out of signed metadata, or over the pipe of a worker process; both are checked again here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from client.appliance.errors import BadManifest

#: pieces of a file are hashed on their own, so that a cut or a flipped bit costs one of them
PIECE_BYTES: Final = 4 * 2**20
MAX_TARGET_BYTES: Final = 64 * 2**30
MAX_MIRRORS: Final = 32
MAX_PATCHES: Final = 16
_PIECE_LIMITS: Final = (4096, 64 * 2**20)
_MAX_NAME: Final = 400
_MAX_URL: Final = 2048

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: printable ASCII, without what splits a header line or an argument
_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """A file to fetch.

    Attributes:
        name: path within the catalogue, folders parted by "/"; never absolute, never with "..".
        sha256: of the whole file, lower-case hex.
        piece_bytes: length of each piece but the last.
        pieces: SHA-256 of each piece; empty if none are known, then a damaged file is fetched whole again.
        prefixes: SHA-256 of the file from its beginning to the end of each piece, the last that of the whole; empty if
            not known. Who reads the file from its beginning checks pieces and whole with these in one go.
        urls: mirrors, best known first; whether one is as good as the next is found out.
        patches: ways to make this file out of an older one.
    """

    name: str
    size_bytes: int
    sha256: str
    piece_bytes: int = PIECE_BYTES
    pieces: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    patches: tuple["Patch", ...] = field(default=())
    prefixes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it; `from_json` reads it."""
        return {
            "name": self.name,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "piece_bytes": self.piece_bytes,
            "pieces": list(self.pieces),
            "prefixes": list(self.prefixes),
            "urls": list(self.urls),
            "patches": [{"from_sha256": one.from_sha256, "target": one.target.to_json()} for one in self.patches],
        }

    @classmethod
    def from_json(cls, said: object, where: str = "target") -> "Target":
        """Check what was said and turn it into a value.

        Args:
            where: file or address that it came from, for the error.

        Raises:
            BadManifest: with the first thing that is wrong.
        """
        return _read(said, where, with_patches=True)


@dataclass(frozen=True)
class Patch:
    """An xdelta3 patch: applied to the file with `from_sha256`, it gives the target that holds it."""

    from_sha256: str
    target: Target


def piece_count(size_bytes: int, piece_bytes: int) -> int:
    """How many pieces a file has."""
    return -(-size_bytes // piece_bytes)


def is_url(text: str) -> bool:
    """Whether it is an address that may be asked: http or https, a host, no name and password, nothing odd."""
    return len(text) <= _MAX_URL and bool(_URL.fullmatch(text)) and _has_host(text)


def _read(said: object, where: str, *, with_patches: bool) -> Target:
    table = _mapping(said, where)
    size = _whole(table.get("size_bytes"), 1, MAX_TARGET_BYTES, where, "size_bytes")
    piece = _whole(table.get("piece_bytes", PIECE_BYTES), *_PIECE_LIMITS, where, "piece_bytes")
    sha256 = _sha256(table.get("sha256"), where, "sha256")
    pieces, prefixes = (_hashes(table, key, piece_count(size, piece), where) for key in ("pieces", "prefixes"))
    if prefixes and prefixes[-1] != sha256:
        raise BadManifest(where, "its prefixes end in another hash than its own")
    urls = tuple(_url(one, where) for one in _list(table, "urls", MAX_MIRRORS, where))
    patches = _list(table, "patches", MAX_PATCHES if with_patches else 0, where)
    return Target(
        name=_name(table.get("name"), where),
        size_bytes=size,
        sha256=sha256,
        piece_bytes=piece,
        pieces=pieces,
        prefixes=prefixes,
        urls=urls,
        patches=tuple(_patch(one, where) for one in patches),
    )


def _patch(said: object, where: str) -> Patch:
    table = _mapping(said, where)
    return Patch(
        _sha256(table.get("from_sha256"), where, "from_sha256"), _read(table.get("target"), where, with_patches=False)
    )


def _mapping(said: object, where: str) -> Mapping[str, Any]:
    if isinstance(said, Mapping):
        return said
    raise BadManifest(where, "a file's facts are not an object")


def _list(table: Mapping[str, Any], key: str, most: int, where: str) -> list[Any]:
    found = table.get(key, [])
    if isinstance(found, list) and len(found) <= most:
        return found
    raise BadManifest(where, f"{key} is not a list of at most {most}")


def _hashes(table: Mapping[str, Any], key: str, count: int, where: str) -> tuple[str, ...]:
    """One hash for each piece, or none at all."""
    found = tuple(_sha256(one, where, key) for one in _list(table, key, count, where))
    if found and len(found) != count:
        raise BadManifest(where, f"it has {len(found)} {key}, and not as many as its length makes")
    return found


def _whole(said: object, least: int, most: int, where: str, key: str) -> int:
    if isinstance(said, int) and not isinstance(said, bool) and least <= said <= most:
        return said
    raise BadManifest(where, f"{key} is not a possible length")


def _sha256(said: object, where: str, key: str) -> str:
    if isinstance(said, str) and _SHA256.fullmatch(said):
        return said
    raise BadManifest(where, f"{key} is not SHA-256 in lower-case hex")


def _name(said: object, where: str) -> str:
    if isinstance(said, str) and len(said) <= _MAX_NAME and all(map(_SEGMENT.fullmatch, said.split("/"))):
        return said
    raise BadManifest(where, "name is not a plain path")


def _url(said: object, where: str) -> str:
    if isinstance(said, str) and is_url(said):
        return said
    raise BadManifest(where, "urls holds what is no plain http or https address")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        return False
