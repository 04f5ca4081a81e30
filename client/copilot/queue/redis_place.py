"""Where a Redis server is, as a configuration says it: redis://, rediss:// (TLS) or unix://."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_PORT: Final = 6379
#: What may stand behind the question mark.
_OPTIONS: Final = frozenset({"db", "username", "password", "ca"})
_FORM: Final = "redis://[user:password@]host[:port][/db], rediss:// likewise over TLS, or unix:///path[?db=0]"


@dataclass(frozen=True)
class RedisPlace:
    """A Redis server and one of its databases.

    Attributes:
        socket: path of a Unix socket; empty for TCP.
        ca: file of certificate authorities for TLS; empty for the system's.
    """

    host: str = ""
    port: int = _PORT
    socket: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""

    @property
    def name(self) -> str:
        """What people may read: no password in it."""
        if self.socket:
            return f"unix://{self.socket}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"


def parse_place(url: str) -> RedisPlace:
    """The place that a URL names.

    Raises:
        ValueError: with what is wrong; nothing of the URL is in it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORT
    except ValueError as error:
        raise ValueError("is not a URL") from error
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"must be {_FORM}")
    if not options.keys() <= _OPTIONS:
        raise ValueError(f"knows no options but {', '.join(sorted(_OPTIONS))}")
    is_socket = parts.scheme == "unix"
    if is_socket and (not parts.path.startswith("/") or parts.hostname):
        raise ValueError("names no absolute path of a socket: write unix:///path")
    if not is_socket and not parts.hostname:
        raise ValueError("names no host")
    return RedisPlace(
        host=parts.hostname or "",
        port=port,
        socket=unquote(parts.path) if is_socket else "",
        db=_number(options.get("db", "" if is_socket else parts.path.strip("/"))),
        username=unquote(parts.username or "") or options.get("username", ""),
        password=unquote(parts.password or "") or options.get("password", ""),
        tls=parts.scheme == "rediss",
        ca=options.get("ca", ""),
    )


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ValueError("names a database that is no number")
    return int(text or 0)
