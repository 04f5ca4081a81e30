"""The configuration of the XMPP server, a real prosody 0.12: loopback, encrypted, our own accounts, nothing else.

Source: prosody 0.12 documentation, "Configuring Prosody"; its modules saslauth, tls, c2s, limits, smacks, posix, http,
http_files and http_file_share.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: What agents and managers need; what prosody loads by itself and nobody here needs is switched off.
_MODULES: Final = ("saslauth", "tls", "ping", "smacks", "limits", "volunteer_cloud_walls", "volunteer_cloud_resumption")
# Without offline storage a message for managers that are away bounces at once, and the agent knows to send it again.
_OFF: Final = ("s2s", "s2s_auth_certs", "offline")
_STANZA_LIMIT_BYTES: Final = 262_144
_GUEST_BYTES_PER_S: Final = "1mb/s"
# Prosody asks for a count after each burst by default, which doubles the traffic of a busy manager. Ours tell theirs
# unasked, each hundredth stanza and every 10 s.
_UNCONFIRMED_STANZAS: Final = 200
# All agents come back within a second or two when the server was away: so many may knock at once.
_BACKLOG: Final = 1024
# What is kept for a session that is cut off: a busy manager misses hundreds a second until it is back.
_KEPT_STANZAS: Final = 2000
UPLOAD_PATH: Final = "/upload"
INPUT_PATH: Final = "/input"
_NO_QUOTA_BYTES: Final = 2**53
# With its usual 4096, prosody waits a millisecond after each quarter of a TLS record: uploads went at 4 MB/s.
_READ_BYTES: Final = 65536
# A larger body is only read when its token was found good; a smaller one is held in memory.
_UNASKED_BYTES: Final = 65536
_BUFFER_BYTES: Final = 2**20


@dataclass(frozen=True)
class FileService:
    """Files over HTTPS: uploads for those whom a manager gave a place (XEP-0363), and input.

    Attributes:
        address: JID of the upload service.
        port: of HTTPS.
        stated: `host:port` as agents are told.
        uploaders: JIDs that may ask for places.
        limit_bytes: of one upload.
        secret: of the tokens; the same at each start.
        inputs: folder with one folder of input per name that nobody can guess.
    """

    address: str
    port: int
    stated: str
    uploaders: tuple[str, ...]
    limit_bytes: int
    secret: str = field(repr=False)
    inputs: Path


@dataclass(frozen=True)
class ProsodySettings:
    """Settings of the server.

    Attributes:
        folder: its own: data, pid file.
        accounts: managers' user names -> passwords.
        hidden: those of them that guests may not write to.
        revoked: file that lists who is shut out; None: there is none.
        as_root: whether it will be started by root, which it refuses unless told.
        files: None: it serves none.
    """

    folder: Path
    modules: Path
    domain: str
    host: str
    port: int
    certificate: Path
    key: Path
    log: Path
    site_secret: str = field(repr=False)
    accounts: Mapping[str, str] = field(repr=False)
    as_root: bool = False
    revoked: Path | None = None
    hidden: tuple[str, ...] = ()
    files: FileService | None = None


def upload_store(folder: Path, address: str) -> Path:
    """Where a prosody with that folder keeps what was uploaded to the service of that JID."""
    return folder / "data" / address.replace(".", "%2e") / "http_file_share"


def build_config(settings: ProsodySettings) -> str:
    """The text of prosody.cfg.lua."""
    jids = [f"{name}@{settings.domain}" for name in settings.accounts]
    accounts = ", ".join(f"[{_lua(name)}] = {_lua(word)}" for name, word in settings.accounts.items())
    lines = [
        f"run_as_root = {'true' if settings.as_root else 'false'}",
        f"pidfile = {_lua(settings.folder / 'prosody.pid')}",
        f"data_path = {_lua(settings.folder / 'data')}",
        f"plugin_paths = {{ {_lua(settings.modules)} }}",
        f"interfaces = {{ {_lua(settings.host)} }}",
        f"c2s_ports = {{ {settings.port} }}",
        "use_ipv6 = false",
        'storage = "memory"',
        f"modules_enabled = {_list(_MODULES)}",
        f"modules_disabled = {_list(_OFF)}",
        "c2s_require_encryption = true",
        "allow_registration = false",
        f"c2s_stanza_size_limit = {_STANZA_LIMIT_BYTES}",
        # The older ways (select) end at 1024 connections.
        'network_backend = "epoll"',
        f"network_settings = {{ tcp_backlog = {_BACKLOG} }}",
        "smacks_hibernation_time = 60",
        f"smacks_max_unacked_stanzas = {_UNCONFIRMED_STANZAS}",
        f"smacks_max_queue_size = {_KEPT_STANZAS}",
        f"limits = {{ c2s = {{ rate = {_lua(_GUEST_BYTES_PER_S)}; burst = '10s' }} }}",
        f"unlimited_jids = {_list(jids)}",
        f"log = {{ info = {_lua(settings.log)} }}",
        "",
        f"VirtualHost {_lua(settings.domain)}",
        '    authentication = "volunteer_cloud"',
        f"    volunteer_cloud_secret = {_lua(settings.site_secret)}",
        f"    volunteer_cloud_accounts = {{ {accounts} }}",
        f"    volunteer_cloud_hidden = {_list(settings.hidden)}",
        *([f"    volunteer_cloud_revoked = {_lua(settings.revoked)}"] if settings.revoked else []),
        f"    ssl = {{ key = {_lua(settings.key)}; certificate = {_lua(settings.certificate)};"
        ' protocol = "tlsv1_2+" }',
    ]
    if settings.files is not None:
        lines[lines.index("") : lines.index("")] = _https(settings, settings.files)
        lines += _file_service(settings.files)
    return "\n".join(lines) + "\n"


def _https(settings: ProsodySettings, files: FileService) -> list[str]:
    """What holds for the whole server."""
    return [
        "http_ports = { }",
        f"https_ports = {{ {files.port} }}",
        f"network_default_read_size = {_READ_BYTES}",
        f"http_max_content_size = {_UNASKED_BYTES}",
        f"http_max_buffer_size = {_BUFFER_BYTES}",
        f"https_interfaces = {{ {_lua(settings.host)} }}",
        f"https_ssl = {{ key = {_lua(settings.key)}; certificate = {_lua(settings.certificate)};"
        ' protocol = "tlsv1_2+" }',
        f"http_default_host = {_lua(files.address)}",
    ]


def _file_service(files: FileService) -> list[str]:
    return [
        "",
        f'Component {_lua(files.address)} "http_file_share"',
        '    modules_enabled = { "http_files" }',
        '    storage = "volunteer_cloud_slots"',
        f"    http_external_url = {_lua(f'https://{files.stated}/')}",
        f"    http_paths = {{ file_share = {_lua(UPLOAD_PATH)}; files = {_lua(INPUT_PATH)} }}",
        f"    http_files_dir = {_lua(files.inputs)}",
        f"    http_file_share_access = {_list(files.uploaders)}",
        f"    http_file_share_size_limit = {files.limit_bytes}",
        # Whoever may ask does so for all agents.
        f"    http_file_share_daily_quota = {_NO_QUOTA_BYTES}",
        f"    http_file_share_secret = {_lua(files.secret)}",
    ]


def _lua(value: object) -> str:
    """A Lua string. JSON's escapes are a subset of Lua 5.4's but for \\u, which prosody's words here never need."""
    return json.dumps(str(value), ensure_ascii=False)


def _list(values: tuple[str, ...] | list[str]) -> str:
    return "{ " + "; ".join(_lua(value) for value in values) + " }"
