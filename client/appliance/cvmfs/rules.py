"""What the proxy serves: a request's target in, the one place upstream out, or nothing. Pure."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

_SERVER: Final = re.compile(r"(https?)://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?/?", re.ASCII)
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_TARGET: Final = re.compile(
    r"(https?)://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?"
    r"/cvmfs/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/([A-Za-z0-9._~+,:@=-]+(?:/[A-Za-z0-9._~+,:@=-]+)*)",
    re.ASCII | re.IGNORECASE,
)
_OBJECT: Final = re.compile(r"data/([0-9a-f]{2})/([0-9a-f]{38})(|-rmd160|-shake128)([A-Z]?)", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}
_DIGEST_BYTES: Final = 20
#: seconds for which a name that does not say its content is believed; None: not kept at all
_SHORT_LIVED: Final = {".cvmfspublished": 60.0, ".cvmfswhitelist": 60.0}
_GEO: Final = "api/v1.0/geo/"
_GEO_S: Final = 300.0
#: prefixes of IPv6 addresses that stand for an IPv4 address in their last 32 bits
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Server:
    """A server of the allow-list.

    Attributes:
        host: lower case; IPv6 without brackets.
        is_named_local: the list gives an address, or this computer itself: it may be anywhere, since it says where.
    """

    scheme: str
    host: str
    port: int

    @property
    def is_named_local(self) -> bool:
        """See the class."""
        return self.host == "localhost" or _address(self.host) is not None

    @property
    def base(self) -> str:
        """Its address as an URL, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True)
class ObjectName:
    """Name of a content-addressed object.

    Attributes:
        digest: of its bytes as they are stored, 40 lower-case hexadecimal digits.
        tag: the algorithm: empty for SHA-1, `-rmd160`, `-shake128`.
        suffix: what it is (`C` a catalogue, `X` a certificate, ...), or empty.
    """

    digest: str
    tag: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        return f"{self.digest}{self.tag}{self.suffix}"

    def new_check(self) -> "Check | None":
        """For bytes that should be this object's; None where this computer lacks the algorithm."""
        try:
            return Check(self)
        except ValueError:
            return None


class Check:
    """Whether bytes are an object's.

    Source: CVMFS names an object by the hash of its stored bytes, compressed or not; RIPEMD-160 and SHAKE-128 (cut
    to 160 bits) are told apart by a tag.
    """

    def __init__(self, name: ObjectName) -> None:
        self._wanted = name.digest
        self._is_shake = name.tag == "-shake128"
        self._hash: Any
        if self._is_shake:
            self._hash = hashlib.shake_128(usedforsecurity=False)
        else:
            kind = "ripemd160" if name.tag == "-rmd160" else "sha1"
            self._hash = hashlib.new(kind, usedforsecurity=False)

    def take(self, data: bytes) -> None:
        """Go on with these bytes."""
        self._hash.update(data)

    def fits(self) -> bool:
        """Whether all bytes so far are the object."""
        found = self._hash.hexdigest(_DIGEST_BYTES) if self._is_shake else self._hash.hexdigest()
        return bool(found == self._wanted)


@dataclass(frozen=True)
class Wanted:
    """A thing that a guest may have.

    Attributes:
        path: below the repository.
        name: for a content-addressed object, else None.
        short_lived_s: for how long it is believed; None: it is not kept, or for good (see `name`).
    """

    server: Server
    repository: str
    path: str
    name: ObjectName | None
    short_lived_s: float | None

    @property
    def url(self) -> str:
        """Where it is fetched."""
        return f"{self.server.base}/cvmfs/{self.repository}/{self.path}"


class AllowList:
    """The servers and repositories of a project."""

    def __init__(self, servers: Iterable[str], repositories: Iterable[str]) -> None:
        """Build it; raises ValueError for what is no server or repository."""
        self._servers: dict[tuple[str, int], Server] = {}
        for text in servers:
            server = parse_server(text)
            self._servers[server.host, server.port] = server
            if server.scheme == "https" and server.port == _PORTS["https"]:
                # A guest cannot ask for https by a proxy that refuses CONNECT: it asks for http at the usual port.
                self._servers.setdefault((server.host, _PORTS["http"]), server)
        self._repositories = frozenset(parse_repository(text) for text in repositories)

    def find(self, target: str) -> Wanted | None:
        """What a request's target means; None: not served. Only the full form with a server's name is understood."""
        match = _TARGET.fullmatch(target)
        if match is None:
            return None
        scheme, host, port, repository, path = match.groups()
        place = (host.lower().strip("[]"), int(port) if port else _PORTS[scheme.lower()])
        server = self._servers.get(place)
        if server is None or repository not in self._repositories or _climbs(path):
            return None
        return Wanted(server, repository, path, parse_object(path), _short_lived_s(path))

    def named_local(self, host: str) -> bool:
        """Whether the list itself names this host as an address or this computer."""
        return any(server.host == host and server.is_named_local for server in self._servers.values())


def parse_server(text: str) -> Server:
    """A server of an allow-list, `http://host:port`; raises ValueError."""
    match = _SERVER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no http://host:port")
    scheme, host, port = match.groups()
    number = int(port) if port else _PORTS[scheme]
    if not 0 < number < 65536 or (host.startswith("[") and _address(host.strip("[]")) is None):
        raise ValueError(f"{text!r} has no such address or port")
    return Server(scheme, host.lower().strip("[]"), number)


def parse_repository(text: str) -> str:
    """A repository's name (`sft.cern.ch`); raises ValueError."""
    if not _REPOSITORY.fullmatch(text) or ".." in text:
        raise ValueError(f"{text!r} is no name of a repository")
    return text


def parse_object(path: str) -> ObjectName | None:
    """The object that a path below a repository names; None when it names none."""
    match = _OBJECT.fullmatch(path)
    return ObjectName(match[1] + match[2], match[3], match[4]) if match else None


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, and not to this computer, its network or a trick to get there.

    Source: RFC 4291 (mapped), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 6052 (NAT64) hold IPv4 addresses in IPv6 ones.
    """
    found = _address(address.partition("%")[0])
    if found is None:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _climbs(path: str) -> bool:
    return any(part in {".", ".."} for part in path.split("/"))


def _short_lived_s(path: str) -> float | None:
    return _GEO_S if path.startswith(_GEO) else _SHORT_LIVED.get(path)
