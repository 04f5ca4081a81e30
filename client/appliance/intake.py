"""Takes a user's image file in: copies, unpacks and checks it. Kind "import" of `worker_child`. The file itself stays.

order   {"path", "folder": for what grows, "trust_unsigned": bool}
result  {"came_as", "files": [{"part", "name", "sha256", "size_bytes", "format", "detail", "virtual_bytes", "plain"}],
         "asked": {...} or null, "proof": {...} or null, "end_of_life": date or ""}

What is copied is looked at again, so that a file which changes meanwhile gains nothing.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from client import filenames
from client.appliance.errors import ImageRefused
from client.appliance.fault import need_space
from client.appliance.formats import (
    DISKS,
    PACKED,
    Format,
    Found,
    look_at,
    open_beside,
    open_image,
)
from client.appliance.ova import Package, open_archive, open_folder
from client.appliance.unpack import unpack_zstd, unpacked
from client.appliance.worker_child import Face

_CHUNK_BYTES: Final = 1 << 20
#: so often the free space is looked at
_LOOK_BYTES: Final = 16 << 20
#: zeros of this length and place are left out of the copy
_HOLE_BYTES: Final = 64 * 1024
#: Source: CernVM's releases; their system follows Enterprise Linux 7, whose maintenance ended then.
CERNVM_4_END: Final = "2024-06-30"
_CERNVM: Final = re.compile(r"(cernvm4-micro-|ucernvm-(?:images|prod|v4prod|sl7)\.)", re.IGNORECASE)
#: what the builders of uCernVM append to an iso or hdd
_CERNVM_MARK: Final = b'"ucernvm-version"'
_CERNVM_TAIL_BYTES: Final = 64 * 1024


def take(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Have an image in the folder, each disk of it a file.

    Raises:
        ImageRefused, ImageUnproven, ImageForged, ToolMissing, DiskFull
        Stopped: nothing is left.
    """
    intake = Intake(Path(order["folder"]), face)
    try:
        return intake.take(Path(order["path"]), bool(order.get("trust_unsigned")))
    except BaseException:
        intake.forget()
        raise


class Intake:
    """One import."""

    def __init__(self, folder: Path, face: Face) -> None:
        self._folder = folder
        self._face = face
        self._parts: list[Path] = []
        self._done = 0
        self._total = 0

    def take(self, path: Path, trust_unsigned: bool) -> Mapping[str, Any]:
        """See `take`."""
        found = look_at(path)
        self._total = found.size_bytes
        came_as = [found.format.value]
        source = path
        if found.format in PACKED:
            source, _ = self._unpack(path, found)
            found = _look_again(source, path)
            came_as.insert(0, found.format.value)
            if found.format in PACKED or found.format is Format.OVF or found.extents:
                raise ImageRefused(str(path), f"what is packed in it is {found.format.value}", "unpack it first")
        said: dict[str, Any] = {"came_as": ".".join(came_as), "asked": None, "proof": None}
        if found.format in (Format.OVA, Format.OVF):
            said |= self._package(source, path, found, trust_unsigned)
            self._drop(source)
        elif found.extents:
            said["files"] = [self._flat(path, found)]
        else:
            said["files"] = [self._single(source, path)]
        return {**said, "end_of_life": self._end_of_life(path, said["files"])}

    def forget(self) -> None:
        """Remove all that grew."""
        for part in self._parts:
            part.unlink(missing_ok=True)

    def _single(self, source: Path, path: Path) -> dict[str, Any]:
        if source != path:
            return self._described(source, path.stem, self._digest(source), path)
        part = self._part()
        file, size = open_image(path)
        with file:
            before = os.fstat(file.fileno())
            need_space(self._folder, min(size, _allocated(before)))
            digest = self._write(part, self._counted(_read(file, size)))
            if _stamp(os.fstat(file.fileno())) != _stamp(before):
                raise ImageRefused(str(path), "it was changed while it was read", "end what writes to it")
        return self._described(part, path.name, digest, path)

    def _flat(self, path: Path, found: Found) -> dict[str, Any]:
        """A disk that is described in one file and lies in others: its bytes as they are, in one."""
        need_space(self._folder, 0)
        self._total = found.virtual_bytes
        part = self._part()
        digest = self._write(part, self._counted(_extents(path, found)))
        return self._described(part, path.name, digest, path)

    def _package(self, source: Path, path: Path, found: Found, trust_unsigned: bool) -> dict[str, Any]:
        opened = open_archive(source, str(path)) if found.format is Format.OVA else open_folder(path)
        with opened as package:
            proof, asked = package.proof(trust_unsigned), package.asked()
            names = tuple(dict.fromkeys(one.file for one in asked.disks if one.file))
            if not names:
                raise ImageRefused(str(path), "its virtual machine has no disk in it", "name another")
            packed = {one.file for one in asked.disks if one.packed}
            rest = package.others(names)
            self._total = sum(package.size_of(name) for name in (*names, *rest))
            self._done = 0
            need_space(self._folder, self._total)
            files = [self._member(package, name, name in packed, path) for name in names]
            for name in rest:
                for _ in self._counted(package.chunks(name)):
                    pass
        return {"files": files, "asked": asdict(asked), "proof": proof.to_json()}

    def _member(self, package: Package, name: str, packed: bool, path: Path) -> dict[str, Any]:
        part = self._part()
        data: Iterable[bytes] = self._counted(package.chunks(name))
        if packed:
            data = unpacked(data, Format.GZIP, str(path))
        digest = self._write(part, data)
        return self._described(part, name, digest, path)

    def _described(self, part: Path, name: str, digest: str, path: Path) -> dict[str, Any]:
        found = _look_again(part, path)
        if (found.format not in DISKS and found.format is not Format.ISO) or found.extents:
            raise ImageRefused(str(path), f"{name} in it is {found.format.value} and no disk", "unpack it first")
        return {
            "part": str(part),
            "name": name,
            "sha256": digest,
            "size_bytes": found.size_bytes,
            "format": found.format.value,
            "detail": found.detail,
            "virtual_bytes": found.virtual_bytes,
            "plain": found.plain,
        }

    def _unpack(self, path: Path, found: Found) -> tuple[Path, str]:
        part = self._part()
        need_space(self._folder, found.size_bytes)
        if found.format is Format.ZSTD:
            unpack_zstd(path, part, str(path), self._face)
            return part, ""
        file, size = open_image(path)
        with file:
            return part, self._write(part, unpacked(self._counted(_read(file, size)), found.format, str(path)))

    def _write(self, part: Path, chunks: Iterable[bytes]) -> str:
        """Write a file that has holes where there are only zeros. Returns its SHA-256."""
        digest, size, looked_at = hashlib.sha256(), 0, 0
        with part.open("xb") as file:
            for data in chunks:
                digest.update(data)
                size += len(data)
                if size - looked_at >= _LOOK_BYTES:
                    # How much comes out of something packed is not known before; the last of the disk is not ours.
                    need_space(self._folder, 0)
                    looked_at = size
                for start in range(0, len(data), _HOLE_BYTES):
                    piece = data[start : start + _HOLE_BYTES]
                    if piece.count(0) == len(piece):
                        file.seek(len(piece), os.SEEK_CUR)
                    else:
                        file.write(piece)
            file.truncate(size)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def _digest(self, path: Path) -> str:
        digest = hashlib.sha256()
        file, size = open_image(path)
        self._done, self._total = 0, size
        with file:
            for data in self._counted(_read(file, size)):
                digest.update(data)
        return digest.hexdigest()

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for data in chunks:
            self._face.check()
            self._done += len(data)
            self._face.progress(step="reading", done_bytes=self._done, total_bytes=self._total)
            yield data

    def _part(self) -> Path:
        part = self._folder / f"{secrets.token_hex(8)}{filenames.PART_SUFFIX}"
        self._parts.append(part)
        return part

    def _drop(self, source: Path) -> None:
        if source in self._parts:
            source.unlink()
            self._parts.remove(source)

    def _end_of_life(self, path: Path, files: list[dict[str, Any]]) -> str:
        if any(_CERNVM.match(name) for name in (path.name, *(one["name"] for one in files))):
            return CERNVM_4_END
        for one in files:
            file, size = open_image(Path(one["part"]))
            with file:
                file.seek(max(0, size - _CERNVM_TAIL_BYTES))
                if _CERNVM_MARK in file.read(_CERNVM_TAIL_BYTES):
                    return CERNVM_4_END
        return ""


def _extents(path: Path, found: Found) -> Iterator[bytes]:
    for extent in found.extents:
        file, size = open_beside(path.parent, extent.name, str(path))
        with file:
            if extent.offset_bytes + extent.size_bytes > size:
                raise ImageRefused(str(path), f"{extent.name} beside it is not whole", "get it again")
            file.seek(extent.offset_bytes)
            yield from _read(file, extent.size_bytes)


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left and (data := file.read(min(left, _CHUNK_BYTES))):
        left -= len(data)
        yield data


def _look_again(part: Path, path: Path) -> Found:
    """Look at a copy, and speak of the file that its user knows."""
    try:
        return look_at(part)
    except ImageRefused as error:
        raise ImageRefused(str(path), error.what, error.remedy) from error


def _allocated(about: os.stat_result) -> int:
    blocks: int = getattr(about, "st_blocks", -1)
    return blocks * 512 if blocks >= 0 else about.st_size


def _stamp(about: os.stat_result) -> tuple[int, int]:
    return about.st_size, about.st_mtime_ns
