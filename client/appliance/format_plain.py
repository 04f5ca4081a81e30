"""Knows CDs, packages, packed files and raw disks. Part of `client.appliance.formats`."""

import struct
from typing import Final

from client.appliance.formats import SECTOR_BYTES, Format, Found, Reader, Source

_CD_SECTOR: Final = 2048
_CD_START: Final = 16 * _CD_SECTOR
#: what writers pad a CD with, and copies often lack
_CD_PADDING: Final = 150 * _CD_SECTOR
_GPT_IN_MBR: Final = 0xEE
_PACKED: Final = ((b"\x1f\x8b\x08", Format.GZIP), (b"\xfd7zXZ\0", Format.XZ), (b"\x28\xb5\x2f\xfd", Format.ZSTD))
#: what people take for an image, and what it is
_NO_IMAGES: Final = (
    (b"LUKS\xba\xbe", "an encrypted disk", "decrypt it first"),
    (b"QED\0", "a QED disk", "bring it into qcow2 with qemu-img convert"),
    (b"WithoutFreeSpace", "a Parallels disk", "bring it into qcow2 with qemu-img convert"),
    (b"WithouFreSpacExt", "a Parallels disk", "bring it into qcow2 with qemu-img convert"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it and name the image in it"),
    (b"PK\x05\x06", "a ZIP archive", "unpack it and name the image in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name the image in it"),
    (b"Rar!", "a RAR archive", "unpack it and name the image in it"),
    (b"BZh", "packed with bzip2", "unpack it first"),
    (b"\x7fELF", "a program", "name an image"),
    (b"MZ", "a program", "name an image"),
    (b"%PDF", "a PDF document", "name an image"),
)
_TEXT: Final = frozenset(range(32, 127)) | {9, 10, 13}
_LOOKED_AT: Final = 512


def iso(source: Source) -> Found | None:
    """An ISO 9660 CD.

    Source: ECMA-119, 8.4.
    """
    if source.peek(_CD_START + 1, 5) != b"CD001":
        return None
    head = source.take(_CD_START, _CD_SECTOR)
    kind = head[0]
    sectors, block = struct.unpack("<I", head[80:84])[0], struct.unpack("<H", head[128:130])[0]
    if kind not in (0, 1, 2) or (kind == 1 and block not in (512, 1024, _CD_SECTOR)):
        raise source.nonsense("its first volume")
    if kind == 1 and sectors * block > source.size_bytes + _CD_PADDING:
        raise source.cut()
    hybrid = source.peek(510, 2) == b"\x55\xaa"
    detail = "hybrid: boots as a disk, too" if hybrid else "ISO 9660"
    return Found(Format.ISO, detail, source.size_bytes, source.size_bytes)


def package(source: Source) -> Found | None:
    """An OVA by its archive, or the description of one."""
    if source.peek(257, 5) == b"ustar":
        return Found(Format.OVA, "archive", 0, source.size_bytes)
    head = source.peek(0, 4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<") and (b"<Envelope" in head or b":Envelope" in head):
        return Found(Format.OVF, "description", 0, source.size_bytes)
    return None


def packed(source: Source) -> Found | None:
    """Something packed; what it is shows when it is unpacked."""
    head = source.peek(0, 6)
    return next((Found(one, "packed", 0, source.size_bytes) for magic, one in _PACKED if head.startswith(magic)), None)


def raw(source: Source) -> Found:
    """A disk as it is. For what is nothing else; a text or a program is no disk either."""
    head = source.peek(0, _LOOKED_AT)
    detail = _table(source, head)
    for magic, what, remedy in _NO_IMAGES if detail is None else ():
        if head.startswith(magic):
            raise source.refused(f"it is {what}", remedy)
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise source.refused("it is a page of the web, as servers send one instead of a file", "look at the address")
    if set(head) <= _TEXT:
        raise source.refused("it is text and no disk", "name an image")
    if source.size_bytes % SECTOR_BYTES:
        raise source.refused("it is no form of image that is known, nor a disk of whole sectors", "get it again")
    source.disk_size(source.size_bytes)
    return Found(Format.RAW, detail or "no partition table", source.size_bytes, source.size_bytes)


def _table(source: Source, head: bytes) -> str | None:
    """Its kind of partition table; None if it has none."""
    for sector in (SECTOR_BYTES, 4096):
        if source.peek(sector, 8) == b"EFI PART":
            last = struct.unpack("<Q", source.take(sector + 32, 8))[0]
            if (last + 1) * sector > source.size_bytes:
                raise source.cut()
            return "GPT"
    if head[510:512] != b"\x55\xaa":
        return None
    used = False
    for at in range(446, 510, 16):
        active, kind, first, count = struct.unpack("<B3xB3x2I", head[at : at + 16])
        if active & 0x7F or not kind:
            continue
        used = True
        if kind != _GPT_IN_MBR and (first + count) * SECTOR_BYTES > source.size_bytes:
            raise source.cut()
    return "MBR" if used else None


PLAIN_READERS: Final[tuple[Reader, ...]] = (iso, package, packed)
