"""The project file: what a volunteer attaches to. TOML, written by the project's operator.

[project]   name, text, publisher
[xmpp]      host, port, domain, job_manager, ca_pem
[transfer]  chirp = "host:port"; optional: https = "host:port" (agents that can use it move their files over it)
[enrolment] url, secret; optional: ca_pem (certificates that vouch for the key manager; else the computer's own)
[appliance] url (of manifest.json), sha256 (of manifest.json); or, out of a catalogue:
[catalogue] url (folder of the catalogue), root_sha256 (of its first root); without it, the one that the program brings
[appliance] name; optional: version (else the newest that this client can run), sha256 (of the one manifest that may be
            used), project (id in the catalogue)
[needs]     network, memory_mib, cpus, time_limit_s, output_limit_mib
[cvmfs]     servers = ["http://host:port"], repositories = ["name"]: what guests may read by the host's proxy; optional
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.errors import BadInput
from client.plain_toml import BadToml, read_toml
from client.project.shipped import ShippedCatalogue, shipped_catalogue

_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
_SERVER = re.compile(r"https?://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[1-9][0-9]{0,4})?/?", re.ASCII)
_REPOSITORY = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMEDY = "give the project file that you were sent, or ask the project for it again"
#: tables that a project file has and other files do not
_TABLES = ("xmpp", "transfer", "enrolment")
#: where TOML's reader tells the place of a fault
_LINE = re.compile(r"at line (\d+)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Needs:
    """What the project's jobs need of a guest: memory in MiB, time limit of a job in seconds, output in MiB."""

    network: bool = False
    memory_mib: int = 256
    cpus: int = 1
    time_limit_s: int = 3600
    output_limit_mib: int = 100


@dataclass(frozen=True)
class Cvmfs:
    """The CVMFS servers (`http://host:port`) and repositories (names) that guests may read; none by default."""

    servers: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """A checked project file.

    Attributes:
        chirp: `host:port` of the file server as the job manager names it.
        https_host: of the HTTPS server for input and output as the managers name it; empty: there is none.
        enrolment_secret: the invitation of the key manager; never put into a guest or a log.
        enrolment_ca_pem: certificates that vouch for the key manager; empty: the computer's own collection.
        manifest_url: of the appliance's manifest; empty if it is out of a catalogue.
        manifest_sha256: of the appliance's manifest, lower-case hex; empty: whichever version the catalogue has.
        catalogue_url: folder, with its slash; empty if there is no catalogue.
        root_sha256: of the catalogue's first root, lower-case hex.
        root_file: the root that trust begins with; None: the first one, fetched.
        appliance_name: in the catalogue.
        appliance_version: empty: the newest.
        appliance_project: id within the catalogue; empty: whichever has the appliance.
    """

    name: str
    text: str
    publisher: str
    xmpp_host: str
    xmpp_port: int
    domain: str
    job_manager: str
    ca_pem: str
    chirp_host: str
    chirp_port: int
    enrolment_url: str
    enrolment_secret: str
    manifest_url: str
    manifest_sha256: str
    needs: Needs
    cvmfs: Cvmfs = Cvmfs()
    catalogue_url: str = ""
    root_sha256: str = ""
    appliance_name: str = ""
    appliance_version: str = ""
    appliance_project: str = ""
    root_file: Path | None = None
    enrolment_ca_pem: str = ""
    https_host: str = ""
    https_port: int = 0

    @property
    def https(self) -> str:
        """`host:port` of the HTTPS server; empty: there is none."""
        return f"{self.https_host}:{self.https_port}" if self.https_host else ""

    def __repr__(self) -> str:
        return f"Project({self.name!r}, {self.domain!r})"


def load_project(path: Path) -> Project:
    """Read and check a project file.

    Raises:
        BadInput: with everything that is wrong with it, not only the first.
    """
    try:
        if path.exists() and not path.is_file():
            raise BadInput(str(path), "it is a folder or a device, and no project file", _REMEDY)
        said = read_toml(path)
    except FileNotFoundError as error:
        raise BadInput(str(path), "there is no such file", _REMEDY) from error
    except OSError as error:
        raise BadInput(str(path), f"it cannot be read ({error.strerror})", "look who may read it") from error
    except BadToml as error:
        line = _LINE.search(str(error))
        what = f" (its line {line[1]} is not understood)" if line else f": {error}"
        raise BadInput(str(path), f"it is no project file{what}", _REMEDY) from error
    return parse_project(said, str(path), shipped_catalogue())


def parse_project(said: dict[str, Any], where: str, shipped: ShippedCatalogue | None = None) -> Project:
    """A project from TOML's data; see `load_project`. shipped: the catalogue for those who name none."""
    if not said.keys() & {*_TABLES}:
        what = f"it is no project file: it has none of {', '.join(f'[{name}]' for name in _TABLES)}"
        raise BadInput(where, what, _REMEDY)
    reader = _Reader(said)
    chirp_host, chirp_port = reader.host_port("transfer", "chirp")
    has_https = reader.has("transfer", "https")
    https_host, https_port = reader.host_port("transfer", "https") if has_https else ("", 0)
    project = Project(
        name=reader.text("project", "name", limit=80),
        text=reader.text("project", "text", limit=400, default=""),
        publisher=reader.text("project", "publisher", limit=120, default=""),
        xmpp_host=reader.host("xmpp", "host"),
        xmpp_port=reader.number("xmpp", "port", 1, 65535),
        domain=reader.host("xmpp", "domain"),
        job_manager=reader.text("xmpp", "job_manager", limit=256),
        ca_pem=reader.text("xmpp", "ca_pem", limit=65536, default=""),
        chirp_host=chirp_host,
        chirp_port=chirp_port,
        https_host=https_host,
        https_port=https_port,
        enrolment_url=reader.url("enrolment", "url"),
        enrolment_secret=reader.text("enrolment", "secret", limit=512),
        enrolment_ca_pem=reader.text("enrolment", "ca_pem", limit=65536, default=""),
        needs=_needs(reader),
        **_appliance(reader, shipped),
        cvmfs=_cvmfs(reader),
    )
    if reader.wrong:
        raise BadInput(where, "; ".join(reader.wrong), "ask the project for a corrected file")
    return project


def _appliance(reader: "_Reader", shipped: ShippedCatalogue | None) -> dict[str, Any]:
    """Where the appliance comes from, as fields of `Project`."""
    if not reader.has("catalogue") and not reader.has("appliance"):
        # What a site without an appliance writes; two missing keys would tell nobody so.
        reader.wrong.append("[appliance] is missing, so no virtual machine can work for this project")
        return {"manifest_url": "", "manifest_sha256": ""}
    if reader.has("catalogue"):
        if reader.has("appliance", "url"):
            reader.wrong.append("[appliance] url does not go with a [catalogue], which has it")
        url, root_sha256 = reader.url("catalogue", "url"), reader.digest("catalogue", "root_sha256")
        shipped = ShippedCatalogue(url if url.endswith("/") else f"{url}/", root_sha256, None)
    elif shipped is None or reader.has("appliance", "url") or not reader.has("appliance", "name"):
        url, sha256 = reader.url("appliance", "url"), reader.digest("appliance", "sha256")
        return {"manifest_url": url, "manifest_sha256": sha256}
    return {
        "manifest_url": "",
        "manifest_sha256": reader.digest("appliance", "sha256") if reader.has("appliance", "sha256") else "",
        "catalogue_url": shipped.url,
        "root_sha256": shipped.root_sha256,
        "root_file": shipped.root,
        "appliance_name": reader.word("appliance", "name"),
        "appliance_version": reader.word("appliance", "version", ""),
        "appliance_project": reader.word("appliance", "project", ""),
    }


def _needs(reader: "_Reader") -> Needs:
    usual = Needs()
    return Needs(
        network=reader.flag("needs", "network", usual.network),
        memory_mib=reader.number("needs", "memory_mib", 96, 65536, usual.memory_mib),
        cpus=reader.number("needs", "cpus", 1, 64, usual.cpus),
        time_limit_s=reader.number("needs", "time_limit_s", 10, 30 * 86400, usual.time_limit_s),
        output_limit_mib=reader.number("needs", "output_limit_mib", 1, 102400, usual.output_limit_mib),
    )


def _cvmfs(reader: "_Reader") -> Cvmfs:
    servers = reader.texts("cvmfs", "servers", _SERVER, 'addresses as "http://host:port"')
    repositories = reader.texts("cvmfs", "repositories", _REPOSITORY, "names of repositories")
    ports = (server.rstrip("/").rpartition(":")[2] for server in servers)
    if any(port.isdecimal() and int(port) > 65535 for port in ports):
        reader.refuse("cvmfs", "servers", "must have ports up to 65535")
    if bool(servers) != bool(repositories):
        reader.refuse("cvmfs", "servers", "and repositories belong together")
    return Cvmfs(servers, repositories)


class _Reader:
    """Takes typed values and collects what is wrong."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said
        self.wrong: list[str] = []

    def text(self, table: str, key: str, *, limit: int, default: str | None = None) -> str:
        value = self._value(table, key, default)
        if not isinstance(value, str) or len(value) > limit or (default is None and not value.strip()):
            self.refuse(table, key, f"must be text of 1 to {limit} characters")
            return ""
        return value

    def number(self, table: str, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self._value(table, key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(table, key, f"must be a whole number from {low} to {high}")
            return low
        return value

    def flag(self, table: str, key: str, default: bool) -> bool:
        value = self._value(table, key, default)
        if not isinstance(value, bool):
            self.refuse(table, key, "must be true or false")
            return default
        return value

    def host(self, table: str, key: str) -> str:
        value = self.text(table, key, limit=253)
        if value and not _HOST.fullmatch(value):
            self.refuse(table, key, "must be a host name or address")
        return value

    def host_port(self, table: str, key: str) -> tuple[str, int]:
        host, _, port = self.text(table, key, limit=260).rpartition(":")
        if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
            self.refuse(table, key, 'must be "host:port"')
            return "", 1
        return host, int(port)

    def url(self, table: str, key: str) -> str:
        value = self.text(table, key, limit=2000)
        if value and not value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            self.refuse(table, key, "must be an https address (http only on this computer)")
        return value

    def has(self, table: str, key: str = "") -> bool:
        section = self._said.get(table)
        return table in self._said and (not key or (isinstance(section, dict) and key in section))

    def word(self, table: str, key: str, default: str | None = None) -> str:
        value = self.text(table, key, limit=64, default=default)
        if value and not _WORD.fullmatch(value):
            self.refuse(table, key, "must be a plain word")
        return value

    def digest(self, table: str, key: str) -> str:
        value = self.text(table, key, limit=64)
        if value and not _SHA256.fullmatch(value):
            self.refuse(table, key, "must be 64 hexadecimal digits")
        return value

    def texts(self, table: str, key: str, form: re.Pattern[str], what: str) -> tuple[str, ...]:
        value = self._value(table, key, [])
        if not isinstance(value, list) or len(value) > 64:
            self.refuse(table, key, f"must be a list of at most 64 {what}")
            return ()
        if not all(isinstance(one, str) and form.fullmatch(one) for one in value):
            self.refuse(table, key, f"must hold {what}")
            return ()
        return tuple(dict.fromkeys(value))

    def _value(self, table: str, key: str, default: Any) -> Any:
        section = self._said.get(table, {})
        return section.get(key, default) if isinstance(section, dict) else default

    def refuse(self, table: str, key: str, must: str) -> None:
        self.wrong.append(f"[{table}] {key} {must}")
