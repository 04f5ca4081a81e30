"""Small files written whole, the disk they lie on, the files that a VM needs: what every driver asks of a folder."""

import errno
import os
import shutil
from pathlib import Path

from client import filenames
from client.errors import DiskFull
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import MediumMissing


def check_media(spec: VmSpec) -> None:
    """See that every file of the spec is there.

    Raises:
        MediumMissing: the first that is not.
    """
    files = [medium.path for medium in spec.media]
    if spec.direct_boot is not None:
        files += [spec.direct_boot.kernel, spec.direct_boot.initrd]
    for file in files:
        if not exists(file):
            raise MediumMissing(spec.vm_id, str(file))


def exists(path: Path) -> bool:
    """Whether a file of a spec is there and can be read."""
    return path.is_file() and os.access(path, os.R_OK)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the new one.

    Raises:
        DiskFull: there is no space.
    """
    part = path.with_name(path.name + filenames.PART_SUFFIX)
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_full_or(error, path.parent) from error


def disk_full_or(error: OSError, folder: Path) -> Exception:
    """The error as DiskFull if that is what it is, else itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(str(folder), 0, free_bytes(folder))
    return error


def free_bytes(folder: Path) -> int:
    """Space left on the folder's disk."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def sync(path: Path) -> None:
    """Have a file's or folder's contents on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
