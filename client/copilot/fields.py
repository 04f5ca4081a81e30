"""How single values of Co-Pilot commands are checked and written: one codec per kind of value.

Everything that arrives is hostile: lengths, counts, ids and paths are limited here and nowhere else.
Values that are shell text of the job (`exact`) keep bytes that are not UTF-8 as surrogates; all others lose them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: Ids of jobs and leases; they become names of directories.
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_JID_PATTERN: Final = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f@/<>'\"&]{1,255}(@[^\s\x00-\x1f\x7f-\x9f@/<>'\"&]{1,255})?(/[^\x00-\x1f\x7f-\x9f]{1,255})?"
)
_SERVER_PATTERN: Final = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,255}")
_URL_PATTERN: Final = re.compile(r"https://[A-Za-z0-9._\-\[\]:]{1,255}/[!-~]{0,1500}")
#: what an upload service may ask to be sent along, and nothing else. Source: XEP-0363, 5.
_HEADER_PATTERN: Final = re.compile(r"(Authorization|Cookie|Expires): ([!-~][ -~]{0,4095})")
MAX_INPUT_FILES: Final = 1000
MAX_PATH: Final = 1000
MAX_JOB_TEXT: Final = 64 * 1024
MAX_DATA_PAIRS: Final = 100
_PAIR_END = "####"
#: Control characters: C0, DEL and C1. Terminals obey them.
_CONTROLS: Final = (*range(0x20), *range(0x7F, 0xA0))
_IN_A_LINE: Final = dict.fromkeys(_CONTROLS, "?") | dict.fromkeys(map(ord, "\t\n\r\v\f\x85"), " ")
_IN_LINES: Final = {code: sign for code, sign in _IN_A_LINE.items() if code not in map(ord, "\t\n")}


@dataclass(frozen=True)
class Codec:
    """A kind of value: `parse` raises ValueError with what is wrong; `build` writes it."""

    parse: Callable[[str], Any]
    build: Callable[[Any], str] = str


@dataclass(frozen=True)
class Wire:
    """How a dataclass field travels.

    Attributes:
        name: attribute name on the wire.
        codec: None for a nested map (`nested` names the dataclass).
        always: written even when it has its default value.
        required: a command without it is refused.
    """

    name: str
    codec: Codec | None
    always: bool = True
    required: bool = False
    nested: type[Any] | None = None


def required(name: str, codec: Codec) -> Mapping[str, Wire]:
    """Metadata of a field that must come and is always written."""
    return {"wire": Wire(name, codec, required=True)}


def usual(name: str, codec: Codec, default: Any = "") -> Any:
    """A field that is always written and may be missing."""
    return field(default=default, metadata={"wire": Wire(name, codec)})


def optional(name: str, codec: Codec, default: Any = None) -> Any:
    """A field that is written only when it differs from its default."""
    return field(default=default, metadata={"wire": Wire(name, codec, always=False)})


def nested(name: str, kind: type[Any]) -> Mapping[str, Wire]:
    """Metadata of a required child element."""
    return {"wire": Wire(name, None, required=True, nested=kind)}


def text(limit: int, *, lines: bool = False) -> Codec:
    """Text for people and logs, see `printable`. lines: it may have several, and tabs."""

    def parse(value: str) -> str:
        _limit(value, limit)
        return printable(value, lines=lines)

    return Codec(parse)


def printable(value: str, *, lines: bool = False) -> str:
    """Text that does nothing to a terminal but show itself.

    Bytes that are not UTF-8 and control characters become question marks, those that only move on become blanks.

    Args:
        lines: keep line feeds and tabs.
    """
    return value.encode("utf-8", "replace").decode().translate(_IN_LINES if lines else _IN_A_LINE)


def exact(limit: int, *, filled: bool = False) -> Codec:
    """Text kept byte for byte, without NUL."""

    def parse(value: str) -> str:
        _limit(value, limit)
        if "\0" in value:
            raise ValueError("holds a NUL")
        if filled and not value.strip():
            raise ValueError("is empty")
        return value

    return Codec(parse)


def number(low: int, high: int) -> Codec:
    """A decimal integer within limits."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value, re.ASCII):
            raise ValueError("is not a number")
        found = int(value)
        if not low <= found <= high:
            raise ValueError(f"is not within {low} and {high}")
        return found

    return Codec(parse)


def _limit(value: str, limit: int) -> None:
    if len(value) > limit:
        raise ValueError(f"is longer than {limit}")


def _limit_bytes(value: str, limit: int) -> None:
    if _size(value) > limit:
        raise ValueError(f"is longer than {limit} bytes")


def _size(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


def check_id(value: str) -> str:
    """An id that is safe as a file name.

    Raises:
        ValueError: it is not.
    """
    if not ID_PATTERN.fullmatch(value):
        raise ValueError("is not an id")
    return value


def check_path(value: str) -> str:
    """A relative path that stays below its root.

    Raises:
        ValueError: it does not, or is too long.
    """
    # File systems count bytes, and the whole has to fit behind a root of some length.
    _limit_bytes(value, MAX_PATH)
    parts = value.split("/")
    if not value or value.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise ValueError("is not a path below the root")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value) or any(_size(part) > 255 for part in parts):
        raise ValueError("is not a usable path")
    return value


def _parse_jid(value: str) -> str:
    if not _JID_PATTERN.fullmatch(value):
        raise ValueError("is not a JID")
    return value


def _parse_server(value: str) -> str:
    if not _SERVER_PATTERN.fullmatch(value):
        raise ValueError("is not host:port")
    return value


def _parse_url(value: str) -> str:
    if value and not _URL_PATTERN.fullmatch(value):
        raise ValueError("is not an https address")
    return value


def _parse_headers(value: str) -> tuple[tuple[str, str], ...]:
    _limit(value, 8192)
    found = [_HEADER_PATTERN.fullmatch(line) for line in value.split("\n") if line]
    if not all(found):
        raise ValueError("holds a header that is not allowed")
    return tuple((header[1], header[2]) for header in found if header)


def _parse_files(value: str) -> tuple[str, ...]:
    _limit(value, MAX_JOB_TEXT)
    names = tuple(check_path(piece.removeprefix("./")) for piece in value.split("###") if piece.strip())
    if len(names) > MAX_INPUT_FILES:
        raise ValueError(f"has more than {MAX_INPUT_FILES} names")
    return names


def parse_map(value: str) -> dict[str, str]:
    """A flat map string: `key=value####key=value####`; pairs without `=` are skipped.

    Raises:
        ValueError: too long or too many pairs.
    """
    _limit(value, MAX_JOB_TEXT)
    pairs = [piece.partition("=") for piece in value.split(_PAIR_END) if piece]
    if len(pairs) > MAX_DATA_PAIRS:
        raise ValueError(f"has more than {MAX_DATA_PAIRS} pairs")
    return {key: found for key, equals, found in pairs if equals and key}


def build_map(data: Mapping[str, str]) -> str:
    """The flat map string of a map; keys and values cannot be escaped, so `####` must not be in them."""
    return "".join(f"{key}={value}{_PAIR_END}" for key, value in data.items())


def _parse_words(value: str) -> frozenset[str]:
    _limit(value, 1000)
    return frozenset(value.split())


def _parse_flag(value: str) -> bool:
    if value not in {"0", "1"}:
        raise ValueError("is not 0 or 1")
    return value == "1"


ID = Codec(check_id)
#: an id, or nothing
MAYBE_ID = Codec(lambda value: value and check_id(value))
PATH = Codec(check_path)
#: https only, or nothing
URL = Codec(_parse_url)
#: lines `Name: value` of an HTTP request
HEADERS = Codec(_parse_headers, lambda headers: "\n".join(f"{name}: {value}" for name, value in headers))
#: in bytes
SIZE = number(0, 2**53)
JID = Codec(_parse_jid)
#: `host:port`, or nothing
SERVER = Codec(lambda value: value and _parse_server(value))
FILES = Codec(_parse_files, lambda names: "".join(f"###{name}" for name in names))
DATA = Codec(lambda value: parse_map(value.encode("utf-8", "replace").decode()), build_map)
#: metadata of the flat map that managers give and agents give back
JOB_DATA: Final[Mapping[str, Wire]] = {"wire": Wire("jmJobData", DATA, always=False)}
WORDS = Codec(_parse_words, lambda words: " ".join(sorted(words)))
FLAG = Codec(_parse_flag, lambda flag: "1" if flag else "0")
#: as wait(2) reports it
WAIT_STATUS = number(-65536, 65535)
SECONDS = number(1, 366 * 86400)
SHELL = exact(MAX_JOB_TEXT)
COMMAND = exact(4096, filled=True)
TOKEN = exact(MAX_JOB_TEXT, filled=True)
EPOCH = number(0, 10**11)
HOST = text(255)
LINE = text(1000)
