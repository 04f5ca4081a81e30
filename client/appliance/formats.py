"""What an image file is, by its content and never by its name. Every header is read as if an enemy had written it.

A file that fits two forms at once is refused, since programs would not agree on it. Nothing is changed, and no more
than headers is read. docs/images.md tells what is refused, and why.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from client.appliance.errors import ImageRefused

#: more than any disk of a volunteer's virtual machine; bounds what tables of a disk can take
MAX_VIRTUAL_BYTES: Final = 8 * 2**40
#: all bytes of a file are read and hashed when it is added
MAX_FILE_BYTES: Final = 512 * 2**30
SECTOR_BYTES: Final = 512
_AGAIN: Final = "get it again"


class Format(StrEnum):
    """Forms that can be used. RAW: the disk's bytes as they are (img, hdd, raw)."""

    ISO = "iso"
    RAW = "raw"
    VDI = "vdi"
    VMDK = "vmdk"
    VHD = "vhd"
    VHDX = "vhdx"
    QCOW2 = "qcow2"
    OVA = "ova"
    OVF = "ovf"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"


PACKED: Final = frozenset({Format.GZIP, Format.XZ, Format.ZSTD})
DISKS: Final = frozenset({Format.RAW, Format.VDI, Format.VMDK, Format.VHD, Format.VHDX, Format.QCOW2})


@dataclass(frozen=True)
class Extent:
    """Part of a disk that is a range of a file beside its description. name: of that file, without a folder."""

    name: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Found:
    """What a file is.

    Attributes:
        detail: kind within the form, for people: "stream-optimised", "GPT".
        virtual_bytes: of the disk that a guest sees; 0 where that is not known before more is read.
        size_bytes: of the file.
        plain: whether it is a qcow2 that every reader knows, without features that came later.
        extents: of a flat vmdk, in order; empty for all else.
    """

    format: Format
    detail: str
    virtual_bytes: int
    size_bytes: int
    plain: bool = True
    extents: tuple[Extent, ...] = ()


class Source:
    """A file that is read at given places only."""

    def __init__(self, file: BinaryIO, size_bytes: int, path: str) -> None:
        """Args: path: for errors."""
        self._file = file
        self.size_bytes = size_bytes
        self.path = path

    def peek(self, at: int, count: int) -> bytes:
        """Up to so many bytes; fewer, or none, where the file has no more."""
        if not 0 <= at < self.size_bytes:
            return b""
        self._file.seek(at)
        return self._file.read(count)

    def take(self, at: int, count: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            ImageRefused: the file has no more.
        """
        data = self.peek(at, count)
        if len(data) != count:
            raise self.cut()
        return data

    def refused(self, what: str, remedy: str) -> ImageRefused:
        """The error that says why."""
        return ImageRefused(self.path, what, remedy)

    def cut(self) -> ImageRefused:
        """The error for a file that ends too soon."""
        return self.refused("it is not whole: it ends before its own description says", _AGAIN)

    def nonsense(self, what: str) -> ImageRefused:
        """The error for a header that cannot be."""
        return self.refused(f"its header is damaged ({what})", _AGAIN)

    def disk_size(self, size_bytes: int) -> int:
        """The size of a disk, if it can be one.

        Raises:
            ImageRefused
        """
        if size_bytes > MAX_VIRTUAL_BYTES:
            what = f"it claims to be a disk of {size_bytes / 2**40:,.0f} TiB, more than {MAX_VIRTUAL_BYTES >> 40} TiB"
            raise self.refused(what, "use a smaller disk")
        if size_bytes < SECTOR_BYTES:
            raise self.nonsense("a disk of no size")
        return size_bytes


#: says what a source is, if it has that form; raises ImageRefused for one of that form that cannot be used
Reader = Callable[[Source], Found | None]


def open_image(path: Path) -> tuple[BinaryIO, int]:
    """Open a file that somebody names, and tell its length. What is no file is not even waited for.

    Raises:
        ImageRefused: it is not there, not readable, or no plain file.
    """
    try:
        # A pipe would let us wait for ever, and may have come in the file's place since anybody looked.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise ImageRefused(str(path), _why_not_open(path, error), "name a file that you may read") from error
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        raise ImageRefused(str(path), f"it is {_kind_of(about.st_mode)} and no file", "name a file")
    if about.st_size > MAX_FILE_BYTES:
        os.close(handle)
        what = f"it has {about.st_size / 2**30:,.0f} GiB, more than {MAX_FILE_BYTES >> 30} GiB"
        raise ImageRefused(str(path), what, "use a smaller image, or a form that leaves out what is empty, as qcow2")
    return os.fdopen(handle, "rb"), about.st_size


def open_beside(folder: Path, name: str, path: str) -> tuple[BinaryIO, int]:
    """Open a file that another file names: only in the same folder, never through a link.

    Args:
        path: of the file that names it, for the error.

    Raises:
        ImageRefused
    """
    if not is_plain_name(name):
        raise ImageRefused(path, f"it names a file outside its own folder: {name[:200]!r}", "get a whole, single image")
    beside = folder / name
    if beside.is_symlink():
        raise ImageRefused(path, f"the file {name!r} that it names is a link", "put the file itself there")
    return open_image(beside)


def is_plain_name(name: str) -> bool:
    """Whether it names a file in the same folder on every system."""
    return (
        0 < len(name) <= 255
        and name not in (".", "..")
        and name.isprintable()
        and not set('/\\:*?"<>|') & set(name)
        and not name.endswith((" ", "."))
    )


def look_at(path: Path) -> Found:
    """What a file is.

    Raises:
        ImageRefused: nothing that can be used, and why.
    """
    file, size_bytes = open_image(path)
    with file:
        return examine(Source(file, size_bytes, str(path)))


def examine(source: Source) -> Found:
    """What an open file is.

    Raises:
        ImageRefused: nothing that can be used, and why.
    """
    # Imported here since these modules are made of the values above.
    from client.appliance.format_disks import DISK_READERS
    from client.appliance.format_plain import PLAIN_READERS, raw
    from client.appliance.format_vmdk import vmdk

    if not source.size_bytes:
        raise source.refused("it is empty", _AGAIN)
    found = [one for read in (*DISK_READERS, vmdk, *PLAIN_READERS) if (one := read(source)) is not None]
    if len(found) > 1:
        names = " and ".join(one.format.value for one in found)
        raise source.refused(f"it is {names} at the same time, and programs would not agree on it", "do not use it")
    return found[0] if found else raw(source)


def _why_not_open(path: Path, error: OSError | ValueError) -> str:
    if path.is_symlink() and isinstance(error, FileNotFoundError):
        return "it is a link to a file that is not there"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"it cannot be opened ({getattr(error, 'strerror', None) or error})"


def _kind_of(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
