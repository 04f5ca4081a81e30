"""The configuration of a monitor.

[xmpp]      the account that managers report to: jid, password, host, port, resource, ca_file (or ca_pem)
[queue]     the queue to look into, as the managers have it
[monitor]   store (file), host, port, token, hosts, senders, guests, title
[graphite]  host, port, prefix
[process]   log, ready_file
"""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from client.copilot.account import bare
from client.copilot.managers.config import Config
from client.errors import BadInput

MIN_TOKEN: Final = 16
_HOST: Final = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,255}")
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class GraphiteSettings:
    """Where a carbon listens for its plaintext protocol. prefix: of all names, at the original's `copilot`."""

    host: str
    port: int
    prefix: str = "copilot"


@dataclass(frozen=True)
class MonitorSettings:
    """Settings of a monitor.

    Attributes:
        store: file of what was told.
        host, port: where the page and the metrics are served.
        token: who comes from elsewhere needs it; empty on the loopback interface only.
        hosts: names, without port, by which a browser may ask for the page.
        senders: bare JIDs of those that are believed.
        guests: whether guests may tell how their computers do.
        title: what the page calls the site.
    """

    store: Path
    host: str
    port: int
    senders: frozenset[str]
    token: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset(_LOOPBACK_NAMES)
    guests: bool = False
    title: str = "Co-Pilot"
    graphite: GraphiteSettings | None = None


def read_settings(config: Config) -> MonitorSettings:
    """The settings in a configuration file.

    Raises:
        BadInput: a value is missing or unusable; or the page would be open to others without a token.
    """
    host, token = config.text("monitor", "host", "127.0.0.1"), config.text("monitor", "token", "")
    if not is_loopback(host) and not token:
        said = "[monitor] host is not the loopback interface, so others could read the page, and there is no token"
        raise BadInput(str(config.path), said, "set [monitor] token, or leave host at 127.0.0.1")
    if token and len(token) < MIN_TOKEN:
        raise BadInput(
            str(config.path), "[monitor] token is too short to be a secret", f"take {MIN_TOKEN} characters or more"
        )
    senders = _words(config, "senders") or frozenset({bare(config.text("xmpp", "jid"))})
    return MonitorSettings(
        store=config.file("monitor", "store"),
        host=host,
        port=_port(config, "monitor", 0),
        token=token,
        hosts=frozenset({*_LOOPBACK_NAMES, host.lower(), f"[{host.lower()}]", *_words(config, "hosts")}),
        senders=senders,
        guests=config.flag("monitor", "guests", False),
        title=config.text("monitor", "title", "Co-Pilot")[:80],
        graphite=_graphite(config),
    )


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _words(config: Config, key: str) -> frozenset[str]:
    return frozenset(word.lower() for word in config.names("monitor", key))


def _port(config: Config, section: str, usual: int) -> int:
    port = config.whole(section, "port", usual)
    if port > 65535:
        raise BadInput(str(config.path), f"[{section}] port is above 65535", "correct the configuration file")
    return port


def _graphite(config: Config) -> GraphiteSettings | None:
    host = config.text("graphite", "host", "")
    if not host:
        return None
    prefix = config.text("graphite", "prefix", "copilot")
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", prefix):
        raise BadInput(str(config.path), "[graphite] host or prefix is unusable", "correct the configuration file")
    return GraphiteSettings(host, _port(config, "graphite", 2003), prefix)
