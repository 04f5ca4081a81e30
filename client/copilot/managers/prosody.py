"""The configuration of the XMPP server, a real prosody 0.12: loopback, encrypted, our own accounts, nothing else.

Source: prosody 0.12 documentation, "Configuring Prosody"; its modules saslauth, tls, c2s, limits, smacks and posix.
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
# What is kept for a session that is cut off: a busy manager misses hundreds a second until it is back.
_KEPT_STANZAS: Final = 2000


@dataclass(frozen=True)
class ProsodySettings:
    """Settings of the server.

    Attributes:
        folder: its own: data, pid file.
        accounts: managers' user names -> passwords.
        hidden: those of them that guests may not write to.
        revoked: file that lists who is shut out; None: there is none.
        as_root: whether it will be started by root, which it refuses unless told.
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
    return "\n".join(lines) + "\n"


def _lua(value: object) -> str:
    """A Lua string. JSON's escapes are a subset of Lua 5.4's but for \\u, which prosody's words here never need."""
    return json.dumps(str(value), ensure_ascii=False)


def _list(values: tuple[str, ...] | list[str]) -> str:
    return "{ " + "; ".join(_lua(value) for value in values) + " }"
