"""The guest's side of the way for large files: finds inbox and outbox, reads and writes them past the page cache.

The inbox is a disk with the serial number `inbox`, or a CD; what lies in it begins with a header, that of
`client.link.inbox_header`. The outbox is a disk with the serial number `outbox`, or the one that begins with
OUTBOX_MARK.
"""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from client.link import INBOX_HEADER_BYTES

OUTBOX_HEADER_BYTES: Final = 4096
OUTBOX_MARK: Final = b"VOLUNTEER-CLOUD-OUTBOX\n"
BLOCK_BYTES: Final = 2048
_CHUNK_BYTES: Final = 1 << 20
_BLKFLSBUF: Final = 0x1261
_BLOCK: Final = Path("/sys/block")


class NoDisk(OSError):
    """There is no such disk, or not what should be in it."""


def read_inbox(header: bytes, size: int, into: BinaryIO) -> str | None:
    """Copies the `size` bytes that lie behind a header to `into`; their hash, or None if no drive has it now. Blocks.

    Raises:
        OSError: it ends too soon, or there is no room.
    """
    for path in _inboxes():
        try:
            found = _opened(path)
        except OSError:
            # A drive without a medium.
            continue
        try:
            if _begins_with(found, header):
                return _copy_in(found, size, into)
        finally:
            os.close(found)
    return None


def find_outbox() -> Path:
    """The disk that the host reads. Raises NoDisk."""
    for disk in _disks():
        if _serial(disk) == "outbox":
            return Path("/dev") / disk.name
    for disk in _disks():
        with contextlib.suppress(OSError):
            path = Path("/dev") / disk.name
            with path.open("rb") as file:
                if file.read(len(OUTBOX_MARK)) == OUTBOX_MARK:
                    return path
    raise NoDisk(errno.ENODEV, "this machine has no outbox")


def write_outbox(path: Path, source: BinaryIO, most: int) -> tuple[int, str]:
    """Copies from `source` behind the header, as much as there is and fits, to the disk; (bytes, SHA-256). Blocks.

    Raises:
        OSError: it cannot be read or written.
    """
    digest, size = hashlib.sha256(), 0
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        most = min(most, os.lseek(number, 0, os.SEEK_END) - OUTBOX_HEADER_BYTES)
        os.lseek(number, OUTBOX_HEADER_BYTES, os.SEEK_SET)
        while size < most and (data := source.read(min(_CHUNK_BYTES, most - size))):
            digest.update(data)
            size += len(data)
            _write_all(number, data)
        os.fsync(number)
    finally:
        os.close(number)
    return size, digest.hexdigest()


def _write_all(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def _copy_in(disk: int, size: int, into: BinaryIO) -> str | None:
    digest, left = hashlib.sha256(), size
    while left:
        wanted = min(_CHUNK_BYTES, -(-left // BLOCK_BYTES) * BLOCK_BYTES)
        try:
            data = _reads(disk, wanted)[:left]
        except OSError:
            # The host puts it in anew at this moment.
            return None
        if not data:
            raise NoDisk(errno.EIO, "the medium ends too soon")
        digest.update(data)
        into.write(data)
        left -= len(data)
    return digest.hexdigest()


def _reads(disk: int, size: int) -> bytes:
    """Past the page cache, which may hold what lay there before; the memory must be aligned for that."""
    with mmap.mmap(-1, size) as memory:
        count = os.readv(disk, [memory])
        return memory[:count]


def _begins_with(disk: int, header: bytes) -> bool:
    try:
        return _reads(disk, INBOX_HEADER_BYTES) == header
    except OSError:
        return False


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as failed:
        if failed.errno != errno.EINVAL:
            raise
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.ioctl(number, _BLKFLSBUF, 0)
    return number


def _inboxes() -> Iterator[Path]:
    for disk in _disks():
        if _serial(disk) == "inbox":
            yield Path("/dev") / disk.name
    yield from (Path("/dev") / drive.name for drive in sorted(_BLOCK.glob("sr*")))


def _disks() -> list[Path]:
    return [disk for pattern in ("vd*", "sd*") for disk in sorted(_BLOCK.glob(pattern))]


def _serial(disk: Path) -> str:
    for place in (disk / "serial", disk / "device" / "serial"):
        with contextlib.suppress(OSError):
            return place.read_text(encoding="ascii").strip()
    return ""
