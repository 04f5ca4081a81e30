"""Fetches one file over HTTP: hashed while it streams, under its name only when it is whole and right."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from client import filenames, web
from client.appliance.errors import ApplianceAltered, ApplianceTruncated, DownloadFailed
from client.appliance.fault import cause_of, need_space
from client.errors import DiskFull

__all__ = ["Cancelled", "cause_of", "download", "fetch_small", "need_space"]

#: a server that sends nothing for so long is given up
STALL_S: Final = 30.0
CHUNK_BYTES: Final = 256 * 1024


class Cancelled(Exception):
    """The fetch was called off; what was fetched so far is removed."""


def download(
    url: str, target: Path, size_bytes: int, sha256: str, seen: Callable[[int], None], is_cancelled: Callable[[], bool]
) -> None:
    """Fetch `url` to `target`. Blocks; call it in a thread.

    Args:
        size_bytes, sha256: as the manifest says; nothing else is accepted, and no byte more is read.
        seen: called with the number of bytes of each piece.
        is_cancelled: asked between pieces.

    Raises:
        DownloadFailed: worth trying again.
        ApplianceTruncated, ApplianceAltered: the server sent other bytes.
        DiskFull: nothing of the file stays.
        Cancelled
    """
    part = target.with_name(target.name + filenames.PART_SUFFIX)
    try:
        _stream(url, part, size_bytes, sha256, seen, is_cancelled)
        part.replace(target)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(str(target.parent), size_bytes, shutil.disk_usage(target.parent).free) from error
        raise DownloadFailed(url, cause_of(error)) from error
    finally:
        part.unlink(missing_ok=True)


def _stream(
    url: str, part: Path, size_bytes: int, sha256: str, seen: Callable[[int], None], is_cancelled: Callable[[], bool]
) -> None:
    digest, found = hashlib.sha256(), 0
    with web.request(url, timeout_s=STALL_S) as reply:
        if reply.status != 200:
            raise DownloadFailed(url, f"status {reply.status}")
        with part.open("wb") as file:
            while chunk := reply.read(CHUNK_BYTES):
                found += len(chunk)
                if found > size_bytes:
                    raise ApplianceTruncated(url, size_bytes, found)
                if is_cancelled():
                    raise Cancelled
                file.write(chunk)
                digest.update(chunk)
                seen(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if found != size_bytes:
        raise ApplianceTruncated(url, size_bytes, found)
    if digest.hexdigest() != sha256:
        raise ApplianceAltered(url, sha256, digest.hexdigest())


def fetch_small(url: str, limit_bytes: int) -> bytes:
    """A small file's bytes. Blocks.

    Raises:
        DownloadFailed: no answer, or more than `limit_bytes`.
    """
    try:
        with web.request(url, timeout_s=STALL_S) as reply:
            if reply.status != 200:
                raise DownloadFailed(url, f"status {reply.status}")
            content = reply.read_at_most(limit_bytes + 1)
    except OSError as error:
        raise DownloadFailed(url, cause_of(error)) from error
    if len(content) > limit_bytes:
        raise DownloadFailed(url, f"more than {limit_bytes} bytes")
    return content
