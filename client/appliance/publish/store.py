"""Files on their way into the published folder: hashed whole and in pieces while they are copied, once."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from tuf.api.metadata import TargetFile

from client.appliance.publish.layout import PUBLIC_MODE, link_or_copy, target_file
from client.appliance.target import PIECE_BYTES
from client.errors import BadInput

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Hashed:
    """Length and SHA-256 of a file, of each of its pieces, and of the file up to the end of each piece."""

    size_bytes: int
    sha256: str
    pieces: tuple[str, ...]
    prefixes: tuple[str, ...]

    def target(self, name: str, custom: dict[str, Any] | None = None) -> TargetFile:
        """The file as a signed list names it; pieces are named if there is more than one."""
        about = dict(custom or {})
        if len(self.pieces) > 1:
            about["pieces"] = {
                "bytes": PIECE_BYTES,
                "sha256": list(self.pieces),
                "prefixes": list(self.prefixes),
            }
        return TargetFile(self.size_bytes, {"sha256": self.sha256}, name, {"custom": about} if about else {})


def hash_file(path: Path) -> Hashed:
    """Hash a file where it lies.

    Raises:
        OSError
    """
    with path.open("rb") as file:
        return _hash(file, None)


def take_in(source: Path, name: str, targets: Path, custom: dict[str, Any] | None = None) -> TargetFile:
    """Copy a file to where it is published. It is there under its name only when it is whole.

    Raises:
        BadInput: it is empty, or cannot be read.
        OSError: the disk fails; nothing half-written stays under a name.
    """
    part = targets / f".{os.getpid()}.{name.replace('/', '.')}.part"
    targets.mkdir(parents=True, exist_ok=True)
    try:
        with _opened(source) as file, part.open("wb") as copy:
            found = _hash(file, copy)
            copy.flush()
            os.fsync(copy.fileno())
        if not found.size_bytes:
            raise BadInput(str(source), "the file is empty", "leave it out or make it anew")
        part.chmod(PUBLIC_MODE)
        place = target_file(targets, name, found.sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return found.target(name, custom)


def take_bytes(content: bytes, name: str, targets: Path, custom: dict[str, Any] | None = None) -> TargetFile:
    """As `take_in`, for what is not in a file."""
    part = targets / f".{os.getpid()}.small.part"
    targets.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    try:
        return take_in(part, name, targets, custom)
    finally:
        part.unlink(missing_ok=True)


def hand_over(target: TargetFile, outbox: Path, public: Path, *, own: bool = False) -> bool:
    """Have a project's file among the public ones, verified.

    Args:
        own: whether the sender is this program itself; else the file is copied, since somebody may still write to it.

    Returns:
        Whether it is there now: False if it was not sent.

    Raises:
        BadInput: it was sent with other bytes than the list names.
    """
    sha256 = target.hashes.get("sha256", "")
    place, sent = (target_file(folder, target.path, sha256) for folder in (public, outbox))
    if place.is_file() and place.stat().st_size == target.length:
        return True
    if sent.is_symlink() or not sent.is_file():
        return False
    wrong = BadInput(str(sent), "its bytes are not those that the signed list names", "have it sent again")
    if sent.stat().st_size != target.length:
        raise wrong
    found = hash_file(sent).target(target.path) if own else take_in(sent, target.path, public)
    if (found.length, found.hashes) != (target.length, target.hashes):
        raise wrong
    if own:
        link_or_copy(sent, place)
    return True


def forget_others(targets: Path, wanted: Iterable[TargetFile]) -> None:
    """Remove all files below a folder but those of these targets; empty folders go too."""
    keep = {target_file(targets, one.path, one.hashes.get("sha256", "")) for one in wanted}
    for path in sorted(targets.rglob("*"), reverse=True):
        if path.is_file() and path not in keep:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise BadInput(str(source), error.strerror or "it cannot be read", "look whether the path is right") from error


def _hash(file: BinaryIO, copy: BinaryIO | None) -> Hashed:
    whole, piece, size, room = hashlib.sha256(), hashlib.sha256(), 0, PIECE_BYTES
    pieces: list[str] = []
    prefixes: list[str] = []
    while chunk := file.read(min(_CHUNK_BYTES, room)):
        whole.update(chunk)
        piece.update(chunk)
        size += len(chunk)
        room -= len(chunk)
        if copy is not None:
            copy.write(chunk)
        if not room:
            pieces.append(piece.hexdigest())
            prefixes.append(whole.hexdigest())
            piece, room = hashlib.sha256(), PIECE_BYTES
    if room < PIECE_BYTES:
        pieces.append(piece.hexdigest())
        prefixes.append(whole.hexdigest())
    return Hashed(size, whole.hexdigest(), tuple(pieces), tuple(prefixes))
