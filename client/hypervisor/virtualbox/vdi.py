"""Writes VirtualBox's own disk format: a base disk that holds only the blocks that are not empty.

VBoxManage would read every byte of a large and empty raw disk to find that out, and would choose the disk's identity
itself; here a base made anew from the same template has the same identity, so that disks over it stay valid.

Source: VirtualBox, "VDI" 1.1 image format (header, block map, blocks of 1 MiB), as other programs read it, too.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

BLOCK_BYTES: Final = 1 << 20
_TITLE: Final = b"<<< Oracle VM VirtualBox Disk Image >>>\n"
_SIGNATURE: Final = 0xBEDA107F
_VERSION: Final = 0x00010001
#: Bytes from the field that says so to the header's end.
_HEADER_BYTES: Final = 400
_DYNAMIC: Final = 1
_SECTOR_BYTES: Final = 512
_FREE: Final = 0xFFFFFFFF
_MAP_AT: Final = 512


def write_vdi(path: Path, size_bytes: int, blocks: Iterable[tuple[int, bytes]], identity: UUID) -> None:
    """Write a growing disk.

    Args:
        size_bytes: of the disk; rounded up to whole blocks.
        blocks: (number, contents) of blocks of BLOCK_BYTES; the last may be shorter. Those left out are zeros.
        identity: the disk's UUID.

    Raises:
        OSError: it could not be written.
    """
    count = -(-size_bytes // BLOCK_BYTES)
    data_at = -(-(_MAP_AT + 4 * count) // BLOCK_BYTES) * BLOCK_BYTES
    places = [_FREE] * count
    written = 0
    with path.open("wb") as file:
        file.seek(data_at)
        for number, data in blocks:
            places[number] = written
            file.write(data.ljust(BLOCK_BYTES, b"\0"))
            written += 1
        file.seek(0)
        file.write(_header(count, written, data_at, identity))
        file.seek(_MAP_AT)
        file.write(struct.pack(f"<{count}I", *places))
        file.truncate(data_at + written * BLOCK_BYTES)


def _header(count: int, written: int, data_at: int, identity: UUID) -> bytes:
    none = bytes(16)
    return b"".join(
        (
            _TITLE.ljust(64, b"\0"),
            struct.pack("<4I", _SIGNATURE, _VERSION, _HEADER_BYTES, _DYNAMIC),
            struct.pack("<I256s", 0, b""),
            struct.pack("<2I", _MAP_AT, data_at),
            # Geometry: not decided; whoever boots from it works it out.
            struct.pack("<4I", 0, 0, 0, _SECTOR_BYTES),
            struct.pack("<I", 0),
            struct.pack("<Q4I", count * BLOCK_BYTES, BLOCK_BYTES, 0, count, written),
            # Its own identity, that of its last change, and no parent.
            identity.bytes_le + identity.bytes_le + none + none,
            struct.pack("<4I", 0, 0, 0, _SECTOR_BYTES),
        )
    )
