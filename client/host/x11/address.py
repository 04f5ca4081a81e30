"""Where the X server of this session listens, and the secret that it wants."""

import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SOCKETS: Final = "/tmp/.X11-unix/X"
_COOKIE: Final = b"MIT-MAGIC-COOKIE-1"
_MOST_BYTES: Final = 1 << 20
#: family of an entry for any host. Source: Xauth(3)
_WILD: Final = 65535


def number_of(display: str) -> int | None:
    """Which display of this computer DISPLAY names.

    Returns:
        None for one of another computer (`ssh -X` among them): whoever types there does not sit before this one.
    """
    found = re.fullmatch(r"(?:unix)?:(\d{1,5})(?:\.\d+)?", display)
    return int(found[1]) if found else None


def socket_of(number: int) -> str:
    """The file of its socket."""
    return f"{_SOCKETS}{number}"


def cookie_file(env: Mapping[str, str]) -> Path:
    """The file with the secrets of displays."""
    return Path(env.get("XAUTHORITY") or Path(env.get("HOME", "/")) / ".Xauthority")


def read_cookie(path: Path, number: int) -> bytes:
    """The secret of a display of this computer; empty when the file has none."""
    try:
        with path.open("rb") as file:
            return cookie_in(file.read(_MOST_BYTES), number, socket.gethostname())
    except OSError:
        return b""


def cookie_in(data: bytes, number: int, host: str) -> bytes:
    """The secret of a display in the text of such a file. An entry of this computer's name is better than any other.

    Source: Xauth(3): family, then address, number, name and data, each with its length, big-endian.
    """
    other = b""
    for family, address, display, name, secret in _entries(data):
        if name != _COOKIE or display not in {b"", str(number).encode()}:
            continue
        if family == _WILD or address == host.encode():
            return secret
        other = other or secret
    return other


def _entries(data: bytes) -> list[tuple[int, bytes, bytes, bytes, bytes]]:
    found: list[tuple[int, bytes, bytes, bytes, bytes]] = []
    at = 0
    while at + 2 <= len(data):
        family = int.from_bytes(data[at : at + 2], "big")
        at += 2
        words = []
        for _ in range(4):
            if at + 2 > len(data):
                return found
            (length,) = struct.unpack_from(">H", data, at)
            words.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        if at > len(data):
            return found
        found.append((family, words[0], words[1], words[2], words[3]))
    return found
