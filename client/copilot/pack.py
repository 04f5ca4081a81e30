"""The size of a work directory, and the archive of it that becomes the job's output."""

import contextlib
import io
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # there is no such module but for the type checker
    from _typeshed import ReadableBuffer

#: Most files and folders that an output may have.
MAX_ENTRIES: Final = 100_000
_COMPRESSION: Final = 5


def folder_size(folder: Path, enough_bytes: int) -> int:
    """Bytes in a folder's files as their sizes say, counting at least a block for each entry.

    Stops counting when it is enough; too many entries count as enough. Links are not followed.
    """
    total = 0
    for count, (_path, status) in enumerate(_walk(folder)):
        total += max(status.st_size, 512) if stat.S_ISREG(status.st_mode) else 512
        if total >= enough_bytes or count > MAX_ENTRIES:
            return max(total, enough_bytes)
    return total


class Stopped(Exception):
    """The archive is not wanted any more. An inner signal."""


def pack_folder(folder: Path, archive: Path, stop: threading.Event | None = None) -> int:
    """Writes a gzipped tar of a folder, members `./` and `./name`, and returns its size in bytes.

    Files, folders and links as such; devices, pipes and sockets are left out, and second names of files that belong to
    somebody else than the folder. Files that vanish meanwhile are skipped.

    Args:
        stop: set from another thread, ends it soon, also in the middle of a file; no half archive is left.

    Raises:
        OSError: something cannot be read or written.
        Stopped: it was ended.
    """
    fresh = archive.with_name(archive.name + ".new")
    try:
        with (
            _Target(fresh, stop or threading.Event()) as file,
            tarfile.open(fileobj=file, mode="w:gz", compresslevel=_COMPRESSION, format=tarfile.PAX_FORMAT) as target,
        ):
            _add_all(folder, target)
        fresh.replace(archive)
    finally:
        fresh.unlink(missing_ok=True)
    return archive.stat().st_size


class _Target(io.BufferedWriter):
    """What tarfile writes to; each piece of a file, however well it packs, is a chance to stop."""

    def __init__(self, path: Path, stop: threading.Event) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._stop = stop

    def write(self, data: "ReadableBuffer", /) -> int:
        if self._stop.is_set():
            raise Stopped
        return super().write(data)


def _add_all(folder: Path, target: tarfile.TarFile) -> None:
    target.add(folder, "./", recursive=False, filter=_plain)
    owner = folder.stat().st_uid
    for path, status in sorted(_walk(folder)):
        if _belongs(status, owner):
            with contextlib.suppress(FileNotFoundError):
                target.add(path, f"./{path.relative_to(folder)}", recursive=False, filter=_plain)


def _belongs(status: os.stat_result, owner: int) -> bool:
    if stat.S_ISREG(status.st_mode):
        # A job can give a file a second name that it could not read.
        return status.st_nlink == 1 or status.st_uid == owner
    return stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    waiting = [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                with contextlib.suppress(FileNotFoundError):
                    yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Who owned it here matters to nobody."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
