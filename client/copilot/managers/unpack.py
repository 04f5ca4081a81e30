"""Unpacks the output of a job, sent by a computer that nobody trusts.

Only files and folders below the target are made, with names that mean the same everywhere. Links and devices are left
out and named in the result; anything that tries to get out, or beyond a limit, refuses the whole output.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from client.copilot.fields import check_path
from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.gunzip import Feed, gunzip
from client.copilot.managers.tar import Kind, Member, members, skip_padding

MAX_DEPTH: Final = 32
#: Headers count too, so that an archive of nothing but headers has an end.
_HEADER_BYTES: Final = 1536
#: What file systems say of names; some take only 143 bytes, or no colons.
_UNFIT: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})


@dataclass(frozen=True)
class Limits:
    """Largest archive, largest content in all, most members."""

    packed_bytes: int = 100 * 1024 * 1024
    unpacked_bytes: int = 1024 * 1024 * 1024
    members: int = 10_000


@dataclass(frozen=True)
class Unpacked:
    """What an archive held. skipped: names of members that were not made."""

    files: int
    size_bytes: int
    skipped: tuple[str, ...]


def unpack(packed: BinaryIO, target: Path, limits: Limits) -> Unpacked:
    """Unpack into `target`, an existing empty folder. On an error, what was unpacked stays for the caller to remove.

    Raises:
        OutputRefused: damaged, hostile, or beyond a limit.
        OSError: the disk fails.
    """
    feed = Feed(gunzip(packed, limits.unpacked_bytes + limits.members * _HEADER_BYTES))
    files, size_bytes, skipped = 0, 0, []
    for number, member in enumerate(members(feed), 1):
        if number > limits.members:
            raise OutputRefused(f"the archive has more than {limits.members} members")
        path = _place(target, member)
        size_bytes += member.size_bytes
        if size_bytes > limits.unpacked_bytes:
            raise OutputRefused(f"the output is larger than {limits.unpacked_bytes} bytes unpacked")
        if member.kind is Kind.OTHER:
            skipped.append(member.name)
        files += member.kind is Kind.FILE
        _make(feed, member, path)
        skip_padding(feed, member.size_bytes)
    feed.drain()
    return Unpacked(files, size_bytes, tuple(skipped))


def _place(target: Path, member: Member) -> Path:
    name = member.name
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    name = name.rstrip("/")
    if name in {"", "."} and member.kind is Kind.FOLDER:
        return target
    try:
        path = PurePosixPath(check_path(name))
    except ValueError as wrong:
        raise OutputRefused(f"the archive has a member that {wrong}: {name[:100]!r}") from wrong
    if len(path.parts) > MAX_DEPTH:
        raise OutputRefused("the archive has folders that are too deep")
    return target / path


def _make(feed: Feed, member: Member, path: Path) -> None:
    try:
        if member.kind is Kind.FOLDER:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            return
        if member.kind is Kind.FILE:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                _copy(feed, member.size_bytes, file)
            return
    except (FileExistsError, NotADirectoryError) as twice:
        raise OutputRefused(f"the archive has {member.name[:100]!r} twice") from twice
    except OSError as failed:
        if failed.errno not in _UNFIT:
            raise
        # It would fail every time: this is the archive's fault, and not the disk's.
        raise OutputRefused(f"the archive has a name that cannot be used here: {member.name[:100]!r}") from failed
    _copy(feed, member.size_bytes, None)


def _copy(feed: Feed, size_bytes: int, file: BinaryIO | None) -> None:
    while size_bytes:
        part = feed.some(size_bytes)
        size_bytes -= len(part)
        if file is not None:
            file.write(part)
