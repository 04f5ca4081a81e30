"""Reads the list of an OVA's members: a tar of plain files in no folder. Its bytes are an enemy's.

The standard library's reader takes what a header says of the length of names and comments, however much memory that
is, and knows links, devices and folders, none of which an OVA has.

Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar for long names and numbers.
"""

from dataclasses import dataclass
from typing import Final

from client.appliance.formats import Source, is_plain_name

_BLOCK: Final = 512
_MOST_MEMBERS: Final = 64
_MOST_EXTRA: Final = 64 * 1024
_FILES: Final = (b"0", b"\0", b"7")
_BINARY: Final = 0x80
_OCTAL: Final = frozenset(b"01234567")
_REMEDY: Final = "get it again, or from somebody else"


@dataclass(frozen=True)
class Member:
    """One file in the archive."""

    name: str
    at: int
    size_bytes: int


def members_of(source: Source) -> tuple[Member, ...]:
    """The files of an archive, in order.

    Raises:
        ImageRefused: it is damaged, or holds what no OVA has.
    """
    found: list[Member] = []
    extra: dict[str, str] = {}
    at = empty = 0
    while empty < 2 and at < source.size_bytes:
        header = source.take(at, _BLOCK)
        at += _BLOCK
        if not any(header):
            empty += 1
            continue
        size = _size(source, header)
        kind = header[156:157]
        if kind in (b"x", b"g", b"L"):
            extra |= _extra(source, kind, source.take(at, _bounded(source, size)))
        else:
            member = _member(source, header, at, _claimed(source, extra, size))
            size, extra = member.size_bytes, {}
            _check(source, member, found)
            found.append(member)
        at += -(-size // _BLOCK) * _BLOCK
    return tuple(found)


def _member(source: Source, header: bytes, at: int, claimed: tuple[str | None, int]) -> Member:
    kind = header[156:157]
    if kind not in _FILES:
        raise source.refused("its archive holds a link, a folder or a device", _REMEDY)
    name = claimed[0] if claimed[0] is not None else _text(source, header[345:500], header[:100])
    return Member(name.removeprefix("./"), at, claimed[1])


def _check(source: Source, member: Member, found: list[Member]) -> None:
    if not is_plain_name(member.name):
        raise source.refused(f"its archive holds a file with the name {member.name[:200]!r}", _REMEDY)
    if any(one.name.casefold() == member.name.casefold() for one in found):
        raise source.refused(f"its archive holds {member.name!r} twice", _REMEDY)
    if len(found) >= _MOST_MEMBERS:
        raise source.refused(f"its archive holds more than {_MOST_MEMBERS} files", _REMEDY)
    if member.at + member.size_bytes > source.size_bytes:
        raise source.cut()


def _size(source: Source, header: bytes) -> int:
    summed = sum(header[:148]) + 8 * 0x20 + sum(header[156:])
    if _octal(source, header[148:156]) != summed:
        raise source.nonsense("a sum in its archive is wrong")
    return _number(source, header[124:136])


def _number(source: Source, field: bytes) -> int:
    if field[0] & _BINARY:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return _octal(source, field)


def _octal(source: Source, field: bytes) -> int:
    """Digits only: Python would take a sign, too, and a file of less than no length would be read without end."""
    said = field.replace(b"\0", b" ").strip() or b"0"
    if not set(said) <= _OCTAL:
        raise source.nonsense("a number in its archive")
    return int(said, 8)


def _bounded(source: Source, size: int) -> int:
    if size > _MOST_EXTRA:
        raise source.nonsense("a name in its archive is too long")
    return size


def _extra(source: Source, kind: bytes, data: bytes) -> dict[str, str]:
    """What stands before a file about it: a longer name, or the records of pax."""
    try:
        if kind == b"L":
            return {"path": data.rstrip(b"\0").decode()}
        return _records(data.decode()) if kind == b"x" else {}
    except ValueError:
        raise source.nonsense("a name in its archive") from None


def _records(text: str) -> dict[str, str]:
    found = {}
    data = text.encode()
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 1 < int(length) <= len(data):
            raise ValueError("record")
        key, _, value = data[len(length) + 1 : int(length) - 1].decode().partition("=")
        if key in ("path", "size"):
            found[key] = value
        data = data[int(length) :]
    return found


def _claimed(source: Source, extra: dict[str, str], size: int) -> tuple[str | None, int]:
    said = extra.get("size")
    if said is not None and not (said.isascii() and said.isdigit() and len(said) < 20):
        raise source.nonsense("a length in its archive")
    return extra.get("path"), int(said) if said is not None else size


def _text(source: Source, prefix: bytes, name: bytes) -> str:
    try:
        before, last = (one.partition(b"\0")[0].decode() for one in (prefix, name))
    except UnicodeDecodeError:
        raise source.nonsense("a name in its archive") from None
    return f"{before}/{last}" if before else last
