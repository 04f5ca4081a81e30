"""Reads the headers of a tar archive of unknown honesty: ustar, GNU long names and pax, nothing else.

The standard library's reader keeps a header's announced size in memory, recurses over chained headers and expands
sparse files; here every size is bounded before it is read.

Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.gunzip import Feed

_BLOCK: Final = 512
_MAX_EXTRA_BYTES: Final = 64 * 1024
_MAX_EXTRAS: Final = 4


class Kind(StrEnum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    #: links, devices, pipes: never made here
    OTHER = "other"


@dataclass(frozen=True)
class Member:
    """A member as the archive states it; name is not checked. size_bytes of content follow in the feed."""

    name: str
    kind: Kind
    size_bytes: int


def members(feed: Feed) -> Iterator[Member]:
    """The members in order. The consumer reads `size_bytes` and then calls `skip_padding` before it goes on.

    Raises:
        OutputRefused: this is no tar archive, or one that only an attacker would make.
    """
    while True:
        block = feed.exactly(_BLOCK)
        if block == bytes(_BLOCK):
            return
        name, size_bytes, extras = "", -1, 0
        while (flag := _check(block)) in (b"L", b"K", b"x", b"g"):
            extras += 1
            if extras > _MAX_EXTRAS:
                raise OutputRefused("the archive has chained headers")
            found = _extra(feed, block)
            if flag == b"L":
                name = _text(found)
            elif flag == b"x":
                name, size_bytes = _pax(found, name, size_bytes)
            block = feed.exactly(_BLOCK)
        yield Member(
            name or _name(block), _kind(flag), _size_after(flag, size_bytes if size_bytes >= 0 else _number(block))
        )


def skip_padding(feed: Feed, size_bytes: int) -> None:
    """Skip what fills the last block of a content of `size_bytes`."""
    feed.exactly(-size_bytes % _BLOCK)


def _check(block: bytes) -> bytes:
    """The type flag of a header whose checksum holds."""
    stated = _octal(block[148:156])
    if stated != sum(block[:148]) + 8 * 0x20 + sum(block[156:]):
        raise OutputRefused("the archive is damaged: a header's checksum is wrong")
    return block[156:157]


def _kind(flag: bytes) -> Kind:
    if flag in (b"0", b"\0", b"7"):
        return Kind.FILE
    return Kind.FOLDER if flag == b"5" else Kind.OTHER


def _size_after(flag: bytes, size_bytes: int) -> int:
    """Links, devices and folders have no content, whatever their header states; unknown kinds are read past."""
    return 0 if flag in (b"1", b"2", b"3", b"4", b"5", b"6") else size_bytes


def _number(block: bytes) -> int:
    """The size field; base 256 when the first bit is set."""
    raw = block[124:136]
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    return _octal(raw)


def _octal(raw: bytes) -> int:
    digits = raw.replace(b"\0", b" ").strip()
    if not digits or any(digit not in b"01234567" for digit in digits):
        if not digits:
            return 0
        raise OutputRefused("the archive is damaged: a header's number is none")
    return int(digits, 8)


def _name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _extra(feed: Feed, block: bytes) -> bytes:
    size_bytes = _number(block)
    if size_bytes > _MAX_EXTRA_BYTES:
        raise OutputRefused("the archive has a header that is too large")
    content = feed.exactly(size_bytes)
    skip_padding(feed, size_bytes)
    return content


def _pax(records: bytes, name: str, size_bytes: int) -> tuple[str, int]:
    """Path and size of pax records `<length> <key>=<value>\\n`; the others do not matter here."""
    while records:
        length, blank, _ = records[:20].partition(b" ")
        if not blank or not length.isdigit() or not len(length) + 2 < int(length) <= len(records):
            raise OutputRefused("the archive is damaged: a pax header is none")
        key, _, value = records[len(length) + 1 : int(length) - 1].partition(b"=")
        records = records[int(length) :]
        if key.startswith(b"GNU.sparse"):
            raise OutputRefused("the archive has sparse files")
        if key == b"path":
            name = _text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise OutputRefused("the archive is damaged: a pax size is none")
            size_bytes = int(value)
    return name, size_bytes
