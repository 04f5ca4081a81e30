"""The XMPP server's part for agents of the original Co-Pilot: a domain of its own, weaker than ours, off by default.

They know SASL PLAIN only (and DIGEST-MD5, which this server has not), always take TLS without looking at the
certificate, and stall after the handshake of TLS 1.3. Messages between the domains stay within the server, so they
talk to the managers under the managers' own JID.

Source: prosody 0.12 documentation, "Advanced SSL/TLS Configuration" and "mod_muc".
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Where the rooms for heartbeats are, before the domain.
ROOMS: Final = "conference"


@dataclass(frozen=True)
class LegacyHost:
    """Settings of the domain.

    Attributes:
        accounts: file of lines `name = "password"`.
        managers: bare JIDs that its agents may talk to.
        room: name of the room for heartbeats, the only one that they may enter.
    """

    domain: str
    accounts: Path
    managers: tuple[str, ...]
    room: str

    @property
    def rooms(self) -> str:
        """The domain of its rooms."""
        return f"{ROOMS}.{self.domain}"


def build_legacy_host(legacy: LegacyHost, certificate: Path, key: Path) -> str:
    """The text that is added to prosody.cfg.lua."""
    managers = "; ".join(_lua(jid) for jid in legacy.managers)
    lines = [
        "",
        f"VirtualHost {_lua(legacy.domain)}",
        '    authentication = "volunteer_cloud_legacy"',
        '    modules_disabled = { "offline"; "volunteer_cloud_walls"; "volunteer_cloud_resumption"; "smacks" }',
        f"    volunteer_cloud_legacy_file = {_lua(legacy.accounts)}",
        f"    volunteer_cloud_legacy_managers = {{ {managers} }}",
        f"    volunteer_cloud_legacy_room = {_lua(f'{legacy.room}@{legacy.rooms}')}",
        f'    ssl = {{ key = {_lua(key)}; certificate = {_lua(certificate)}; protocol = "tlsv1_2" }}',
        "",
        f'Component {_lua(legacy.rooms)} "muc"',
        "    muc_room_locking = false",
        "    muc_room_default_public = false",
        "    max_history_messages = 0",
        "    muc_room_default_history_length = 0",
    ]
    return "\n".join(lines) + "\n"


def _lua(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)
