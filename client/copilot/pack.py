"""The size of a work directory, and the archive of it that becomes the job's output."""

import contextlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

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


def pack_folder(folder: Path, archive: Path) -> int:
    """Writes a gzipped tar of a folder, members `./` and `./name`, and returns its size in bytes.

    Files, folders and links as such; devices, pipes and sockets are left out. Files that vanish meanwhile are skipped.
    """
    fresh = archive.with_name(archive.name + ".new")
    with tarfile.open(fresh, "w:gz", compresslevel=_COMPRESSION, format=tarfile.PAX_FORMAT) as target:
        target.add(folder, "./", recursive=False, filter=_plain)
        for path, status in sorted(_walk(folder)):
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
                with contextlib.suppress(FileNotFoundError):
                    target.add(path, f"./{path.relative_to(folder)}", recursive=False, filter=_plain)
    fresh.replace(archive)
    return archive.stat().st_size


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
