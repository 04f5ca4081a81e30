"""Reads the template of a disk, raw or qcow2, block by block, leaving out what is empty.

Source: QEMU, "qcow2 image file format" (docs/interop/qcow2.txt): header, two levels of tables, compressed clusters.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from client.errors import BadInput

_MAGIC: Final = b"QFI\xfb"
#: Beginnings of formats that must not be taken for raw ones: VDI, VMDK (two kinds), VHDX.
_OTHERS: Final = (b"<<< ", b"KDMV", b"# Di", b"vhdx")
_SECTOR_BYTES: Final = 512
_OFFSET: Final = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED: Final = 1 << 62
_READS_AS_ZEROS: Final = 1
_DEFLATE: Final = 0
#: Features of version 3 that change how the rest is to be read, but for "was not closed" (0) and the choice of
#: compression (3), which is looked at.
_UNKNOWN_FEATURES: Final = ~0b1001


def read_template(path: Path, block_bytes: int) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """The size of the disk in bytes, and (number, contents) of its blocks that hold anything.

    Raises:
        BadInput: a kind of disk that cannot be read.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(len(_MAGIC))
    if beginning in _OTHERS:
        raise _unreadable(path, "it is neither raw nor qcow2")
    if beginning != _MAGIC:
        return path.stat().st_size, _raw_blocks(path, block_bytes)
    image = _Qcow2(path)
    return image.size_bytes, image.blocks(block_bytes)


def _raw_blocks(path: Path, block_bytes: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while data := file.read(block_bytes):
            if data.count(0) != len(data):
                yield number, data
            number += 1


class _Qcow2:
    """A qcow2 image without a backing file and without encryption."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            header = file.read(112).ljust(112, b"\0")
        fields = struct.unpack(">4sIQIIQIIQ", header[:48])
        _, version, backing_at, _, bits, self.size_bytes, encryption, self._tables, self._tables_at = fields
        features = struct.unpack(">Q", header[72:80])[0] if version >= 3 else 0
        compression = header[104] if version >= 3 and features & 8 else _DEFLATE
        if version not in (2, 3) or not 9 <= bits <= 20:
            raise self._unreadable(f"its version is {version}")
        if backing_at or encryption or features & _UNKNOWN_FEATURES or compression != _DEFLATE:
            raise self._unreadable("it has a backing file, encryption or another feature that is not known here")
        self._bits = bits
        self._cluster_bytes = 1 << bits

    def blocks(self, block_bytes: int) -> Iterator[tuple[int, bytes]]:
        """(number, contents) of the blocks that hold anything."""
        each = block_bytes // self._cluster_bytes
        block, number = bytearray(), -1
        with self._path.open("rb") as file:
            for cluster, data in self._clusters(file):
                if cluster // each != number:
                    if block.count(0) != len(block):
                        yield number, bytes(block)
                    block, number = bytearray(block_bytes), cluster // each
                start = cluster % each * self._cluster_bytes
                block[start : start + self._cluster_bytes] = data
        if block.count(0) != len(block):
            yield number, bytes(block)

    def _clusters(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        per_table = self._cluster_bytes // 8
        for first, table_at in enumerate(self._numbers(file, self._tables_at, self._tables)):
            if not table_at & _OFFSET:
                continue
            for second, entry in enumerate(self._numbers(file, table_at & _OFFSET, per_table)):
                if entry & _COMPRESSED:
                    yield first * per_table + second, self._inflated(file, entry)
                elif entry & _OFFSET and not entry & _READS_AS_ZEROS:
                    file.seek(entry & _OFFSET)
                    data = file.read(self._cluster_bytes).ljust(self._cluster_bytes, b"\0")
                    yield first * per_table + second, data

    def _numbers(self, file: BinaryIO, at: int, count: int) -> tuple[int, ...]:
        file.seek(at)
        data = file.read(8 * count)
        if len(data) != 8 * count:
            raise self._unreadable("it is not whole")
        return struct.unpack(f">{count}Q", data)

    def _inflated(self, file: BinaryIO, entry: int) -> bytes:
        split = 62 - (self._bits - 8)
        at = entry & ((1 << split) - 1)
        sectors = (entry >> split & ((1 << (62 - split)) - 1)) + 1
        file.seek(at)
        data = file.read(sectors * _SECTOR_BYTES - at % _SECTOR_BYTES)
        try:
            plain = zlib.decompressobj(-12).decompress(data, self._cluster_bytes)
        except zlib.error as error:
            raise self._unreadable(str(error)) from error
        return plain.ljust(self._cluster_bytes, b"\0")

    def _unreadable(self, what: str) -> BadInput:
        return _unreadable(self._path, what)


def _unreadable(path: Path, what: str) -> BadInput:
    return BadInput(str(path), f"this disk cannot be read: {what}", "give a raw or a plain qcow2 disk")
