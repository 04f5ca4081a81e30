"""Reads the headers of vmdk disks. Part of `client.appliance.formats`.

Source: VMware, "Virtual Disk Format 5.0"; QEMU's block/vmdk.c for what a reader makes of it: it opens the files that a
description names, and takes the description at 512 bytes whatever the header says.
"""

import re
import struct
from typing import Final

from client.appliance.formats import SECTOR_BYTES, Extent, Format, Found, Source

_FLATTEN: Final = "make one disk of it and those it builds on, as with: qemu-img convert"
_DESCRIPTION_AT: Final = 512
#: what QEMU reads of an embedded description
_DESCRIPTION_BYTES: Final = 20 * SECTOR_BYTES
_MOST_DESCRIPTION: Final = 64 * 1024
_MOST_EXTENTS: Final = 256
#: a disk of 8 TiB has so many at most, as VMware and others write them; bounds memory and time
_MOST_TABLES: Final = 1 << 20
_MOST_GRAINS: Final = 1 << 27
_AT_END: Final = 0xFFFFFFFFFFFFFFFF
_COMPRESSED: Final = 1 << 16
_EXTENT: Final = re.compile(r'(RW|RDONLY|NOACCESS) +(\d{1,18}) +([A-Z]+)(?: +"([^"\r\n]*)")?(?: +(\d{1,18}))?[ \t]*')
_PART: Final = re.compile(rb"^[ \t]*(?:rw|rdonly|noaccess)[ \t]+\d+[ \t]+([a-z]+)", re.MULTILINE)
_SETTING: Final = re.compile(r'[ \t]*([A-Za-z0-9.]+)[ \t]*=[ \t]*"?([^"\r\n]*)"?[ \t]*')


def vmdk(source: Source) -> Found | None:
    """A vmdk in one file, or a description of flat files in its own folder."""
    magic = source.peek(0, 4)
    if magic == b"KDMV":
        return _sparse(source)
    if magic == b"COWD":
        raise source.refused("it is a vmdk of an old server", "bring it into another form with qemu-img convert")
    if source.peek(0, 32).lstrip().lower().startswith(b"# disk desc"):
        return _flat(source)
    return None


def _sparse(source: Source) -> Found:
    header = _Header(source, 0)
    if not header.capacity:
        raise source.refused("it is only the description of other files", "get the disk in one file")
    detail = "stream-optimised" if header.flags & _COMPRESSED else "growing"
    if header.table == _AT_END:
        # Marker, header, marker: what the writer of a stream knew at its end only.
        last = _Header(source, source.size_bytes - 2 * SECTOR_BYTES)
        if (last.capacity, last.grain) != (header.capacity, header.grain) or last.table == _AT_END:
            raise source.nonsense("its two descriptions differ")
        header = last
    size = source.disk_size(header.capacity * SECTOR_BYTES)
    if not 8 <= header.grain <= 1 << 16 or header.grain & (header.grain - 1) or not 1 <= header.per_table <= 1 << 16:
        raise source.nonsense("its blocks do not fit its size")
    tables = -(-header.capacity // (header.grain * header.per_table))
    _check_tables(source, header, tables)
    _check_embedded(source, _DESCRIPTION_AT, _DESCRIPTION_BYTES)
    if header.description:
        _check_embedded(
            source,
            header.description * SECTOR_BYTES,
            min(header.description_sectors * SECTOR_BYTES, _MOST_DESCRIPTION),
        )
    return Found(Format.VMDK, detail, size, source.size_bytes)


class _Header:
    def __init__(self, source: Source, at: int) -> None:
        fields = struct.unpack("<4sIIQQQQIQQQ", source.take(at, 72)) if at >= 0 else None
        if fields is None or fields[0] != b"KDMV":
            raise source.cut()
        self.flags, self.capacity, self.grain, self.description = fields[2:6]
        self.description_sectors, self.per_table, _, self.table, _ = fields[6:]


def _check_tables(source: Source, header: _Header, tables: int) -> None:
    """See that all it points at is there: programs read zeros for what is missing."""
    if tables > _MOST_TABLES or tables * header.per_table > _MOST_GRAINS:
        raise source.nonsense("its tables are larger than any program makes them")
    inner = set(struct.unpack(f"<{tables}I", source.take(header.table * SECTOR_BYTES, 4 * tables))) - {0}
    if len(inner) * header.per_table * 4 > source.size_bytes:
        raise source.cut()
    for place in inner:
        places = struct.unpack(f"<{header.per_table}I", source.take(place * SECTOR_BYTES, 4 * header.per_table))
        if max(places) * SECTOR_BYTES >= source.size_bytes:
            raise source.cut()


def _check_embedded(source: Source, at: int, count: int, *, is_flat: bool = False) -> None:
    text = source.peek(at, count).lower()
    parent = re.search(rb"parentcid[ \t]*=[ \t]*([0-9a-f]+)", text)
    if b"parentfilenamehint" in text or (parent and parent[1] != b"ffffffff"):
        raise source.refused("it builds on another disk, which could be any file here", _FLATTEN)
    parts = _PART.findall(text)
    if not is_flat and (len(parts) > 1 or any(kind != b"sparse" for kind in parts)):
        raise source.refused("its description names other files than itself", "get the disk in one file")


def _flat(source: Source) -> Found:
    if source.size_bytes > _MOST_DESCRIPTION:
        raise source.nonsense("a description of this length")
    try:
        text = source.take(0, source.size_bytes).rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        raise source.nonsense("characters that are none") from None
    _check_embedded(source, 0, source.size_bytes, is_flat=True)
    extents = tuple(_extents(source, text))
    size = source.disk_size(sum(one.size_bytes for one in extents))
    return Found(Format.VMDK, "flat", size, source.size_bytes, extents=extents)


def _extents(source: Source, text: str) -> list[Extent]:
    found = []
    for line in text.splitlines():
        words = _EXTENT.fullmatch(line.strip())
        if words is None:
            if line.strip() and not line.lstrip().startswith("#") and not _SETTING.fullmatch(line):
                raise source.nonsense(f"a line that cannot be: {line[:80]!r}")
            continue
        access, sectors, kind, name, offset = words.groups()
        if kind not in ("FLAT", "VMFS") or access == "NOACCESS" or not name:
            raise source.refused(f"it is made of files of the kind {kind}", _FLATTEN)
        found.append(Extent(name, int(offset or 0) * SECTOR_BYTES, int(sectors) * SECTOR_BYTES))
    if not 1 <= len(found) <= _MOST_EXTENTS:
        raise source.nonsense(f"{len(found)} parts")
    return found
