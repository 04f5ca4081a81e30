"""Reads the headers of qcow2, vdi, vhd and vhdx disks. Part of `client.appliance.formats`."""

import struct
import uuid
from typing import Final

from client.appliance.formats import SECTOR_BYTES, Format, Found, Reader, Source

_FLATTEN: Final = "make one disk of it and those it builds on, as with: qemu-img convert"
_PLAIN_FEATURES: Final = 0b1
#: dirty, corrupt, external data file, compression type, extended L2 entries
_KNOWN_FEATURES: Final = 0b11111
_CORRUPT, _DATA_FILE = 0b10, 0b100
_OFFSET: Final = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED: Final = 1 << 62
_NO_BLOCK: Final = 0xFFFFFFFF
#: bound memory and time
_MOST_TABLES: Final = 1 << 20
_MOST_BLOCKS: Final = 1 << 23
_KIB64: Final = 64 * 1024
_MIB: Final = 1 << 20
_MOST_ITEMS: Final = 64
_METADATA: Final = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E")
_PARAMETERS: Final = uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B")
_DISK_SIZE: Final = uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8")


def qcow2(source: Source) -> Found | None:
    """A qcow2 disk that needs no other file.

    Source: QEMU, docs/interop/qcow2.txt.
    """
    if source.peek(0, 4) != b"QFI\xfb":
        return None
    header = source.take(0, 72)
    _, version, backing_at, backing_bytes, bits, size, encryption, tables, tables_at = struct.unpack(
        ">4sIQIIQIIQ", header[:48]
    )
    if version not in (2, 3):
        raise source.refused(f"it is a qcow of version {version}", "bring it into qcow2 with qemu-img convert")
    features = struct.unpack(">Q", source.take(72, 8))[0] if version == 3 else 0
    if backing_at or backing_bytes:
        raise source.refused("it builds on another disk (a backing file), which could be any file here", _FLATTEN)
    if features & _DATA_FILE:
        raise source.refused("its data lie in another file, which could be any file here", _FLATTEN)
    if encryption:
        raise source.refused("it is encrypted", "decrypt it with qemu-img convert")
    if features & _CORRUPT:
        raise source.refused("it marks itself as corrupt", "mend it with qemu-img check -r all")
    if features & ~_KNOWN_FEATURES:
        raise source.refused("it has a feature that is not known here", "bring it into a plain qcow2")
    if not 9 <= bits <= 21:
        raise source.nonsense(f"clusters of 2^{bits} bytes")
    source.disk_size(size)
    _qcow2_tables(source, size, bits, tables, tables_at, extended=bool(features & 0b10000))
    plain = not features & ~_PLAIN_FEATURES
    return Found(Format.QCOW2, f"version {version}", size, source.size_bytes, plain)


def _qcow2_tables(source: Source, size: int, bits: int, tables: int, tables_at: int, *, extended: bool) -> None:
    per_table = (1 << bits) // (16 if extended else 8)
    needed = -(-size // (per_table << bits))
    if tables < needed or tables > max(2 * needed, needed + (1 << bits)):
        raise source.nonsense("its tables do not fit its size")
    if needed > _MOST_TABLES:
        raise source.nonsense("its tables are larger than any program makes them")
    if tables_at % (1 << bits) or tables_at + 8 * tables > source.size_bytes:
        raise source.cut()
    cluster = 1 << bits
    inner = {one & _OFFSET for one in struct.unpack(f">{needed}Q", source.take(tables_at, 8 * needed))} - {0}
    if len(inner) * cluster > source.size_bytes:
        raise source.cut()
    compressed = (1 << (62 - (bits - 8))) - 1
    for place in inner:
        entries = struct.unpack(f">{cluster // 8}Q", source.take(place, cluster))[:: 2 if extended else 1]
        if max(one & (compressed if one & _COMPRESSED else _OFFSET) for one in entries) >= source.size_bytes:
            raise source.cut()


def vdi(source: Source) -> Found | None:
    """A VDI that needs no other.

    Source: VirtualBox, "VDI" 1.1 image format, as other programs read it, too.
    """
    if source.peek(64, 4) != struct.pack("<I", 0xBEDA107F):
        return None
    version, _, kind = struct.unpack("<3I", source.take(68, 12))
    if version >> 16 != 1:
        raise source.refused(f"it is a VDI of version {version >> 16}", "bring it into a newer form")
    if kind not in (1, 2):
        raise source.refused("it holds only what differs from another disk", _FLATTEN)
    map_at, data_at = struct.unpack("<2I", source.take(340, 8))
    size, block, extra, blocks, used = struct.unpack("<Q4I", source.take(368, 24))
    if any(source.take(424, 32)):
        raise source.refused("it builds on another disk", _FLATTEN)
    source.disk_size(size)
    if not (SECTOR_BYTES <= block <= 256 * _MIB) or extra or blocks != -(-size // block) or used > blocks:
        raise source.nonsense("its blocks do not fit its size")
    if map_at < SECTOR_BYTES or data_at < map_at + 4 * blocks or data_at + used * block > source.size_bytes:
        raise source.cut()
    return Found(Format.VDI, "growing" if kind == 1 else "fixed", size, source.size_bytes)


def vhd(source: Source) -> Found | None:
    """A VHD that needs no other.

    Source: Microsoft, "Virtual Hard Disk Image Format Specification", 1.0.
    """
    end = source.peek(source.size_bytes - SECTOR_BYTES, SECTOR_BYTES)
    start = source.peek(0, SECTOR_BYTES)
    if not start.startswith(b"conectix") and not end.startswith(b"conectix"):
        return None
    if not end.startswith(b"conectix") or len(end) < SECTOR_BYTES:
        raise source.cut()
    table_at, size, kind = struct.unpack(">16xQ24xQ4xI", end[:64])
    if sum(end[:64] + end[68:]) ^ 0xFFFFFFFF != struct.unpack(">I", end[64:68])[0]:
        raise source.nonsense("its sum is wrong")
    if kind not in (2, 3):
        raise source.refused("it holds only what differs from another disk", _FLATTEN)
    source.disk_size(size)
    if kind == 2:
        if size != source.size_bytes - SECTOR_BYTES:
            raise source.cut()
        return Found(Format.VHD, "fixed", size, source.size_bytes)
    if start != end:
        raise source.nonsense("its two descriptions differ")
    _vhd_tables(source, table_at, size)
    return Found(Format.VHD, "growing", size, source.size_bytes)


def _vhd_tables(source: Source, table_at: int, size: int) -> None:
    header = source.take(table_at, 1024)
    blocks_at, entries, block = struct.unpack(">16xQ4x2I", header[:36])
    if not header.startswith(b"cxsparse") or not SECTOR_BYTES <= block <= 256 * _MIB or entries < -(-size // block):
        raise source.nonsense("its blocks do not fit its size")
    if entries > _MOST_BLOCKS:
        raise source.nonsense("its tables are larger than any program makes them")
    places = struct.unpack(f">{entries}I", source.take(blocks_at, 4 * entries))
    used = [one for one in places if one != _NO_BLOCK]
    if used and max(used) * SECTOR_BYTES + block > source.size_bytes:
        raise source.cut()


def vhdx(source: Source) -> Found | None:
    """A VHDX that needs no other.

    Source: Microsoft, [MS-VHDX].
    """
    if source.peek(0, 8) != b"vhdxfile":
        return None
    at, length = _metadata_of(source)
    signature, count = struct.unpack("<8s2xH", source.take(at, 12))
    if signature != b"metadata" or count > _MOST_ITEMS or length < _KIB64:
        raise source.nonsense("its metadata")
    items: dict[uuid.UUID, int] = {}
    for index in range(count):
        name, offset = struct.unpack("<16sI", source.take(at + 32 + 32 * index, 20))
        items[uuid.UUID(bytes_le=name)] = offset
    if _PARAMETERS not in items or _DISK_SIZE not in items:
        raise source.nonsense("its metadata lack the size")
    if max(items.values()) >= length:
        raise source.nonsense("its metadata lie elsewhere")
    _, flags = struct.unpack("<2I", source.take(at + items[_PARAMETERS], 8))
    if flags & 0b10:
        raise source.refused("it holds only what differs from another disk", _FLATTEN)
    size = struct.unpack("<Q", source.take(at + items[_DISK_SIZE], 8))[0]
    return Found(Format.VHDX, "fixed" if flags & 1 else "growing", source.disk_size(size), source.size_bytes)


def _metadata_of(source: Source) -> tuple[int, int]:
    """Where the metadata lie, by the first of the two region tables that can be read."""
    for table in (3 * _KIB64, 4 * _KIB64):
        signature, _, count = struct.unpack("<4sII", source.take(table, 12))
        for index in range(count if signature == b"regi" and count <= _MOST_ITEMS else 0):
            name, at, length = struct.unpack("<16sQI", source.take(table + 16 + 32 * index, 28))
            if name == _METADATA.bytes_le and at >= _MIB and length <= 64 * _MIB:
                return at, length
    raise source.nonsense("its region tables")


DISK_READERS: Final[tuple[Reader, ...]] = (qcow2, vdi, vhd, vhdx)
