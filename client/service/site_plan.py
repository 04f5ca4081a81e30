"""What a site keeps for good: its ports, secrets and shape, in site.toml."""

import json
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from client.errors import BadInput
from client.paths import write_atomic

LOOPBACK: Final = "127.0.0.1"
#: The XMPP domain; all of a local site is on this computer.
DOMAIN: Final = "localhost"
MANAGER: Final = "jm"
_SECRETS: Final = ("site_secret", "enrolment_secret", "manager_password")
QUEUES: Final = ("sqlite", "redis")
MAX_MANAGERS: Final = 16
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Ports:
    """TCP ports on the loopback interface; 0: none chosen yet."""

    xmpp: int = 0
    chirp: int = 0
    key: int = 0
    https: int = 0
    redis: int = 0
    monitor: int = 0
    keys: int = 0


@dataclass(frozen=True)
class SiteShape:
    """What an operator chose for a site for good.

    Attributes:
        queue: where the jobs are kept: sqlite or redis.
        managers: so many job managers, and as many storage managers.
        legacy: agents of the original Co-Pilot may come, over an XMPP domain of their own.
        appliance: folder of the appliance that was named last; empty: none was.
        guests: volunteers' virtual machines are to work for it; False: only agents without a guest, so no appliance.
        old_clients: those that have the enrolment secret and no key get accounts, too; of sites made before keys.
    """

    queue: str = "sqlite"
    managers: int = 1
    legacy: bool = False
    appliance: str = ""
    guests: bool = True
    old_clients: bool = False

    def __post_init__(self) -> None:
        """Refuse what no site can be; raises ValueError."""
        if self.queue not in QUEUES:
            raise ValueError(f"queue must be one of {', '.join(QUEUES)}")
        if not 1 <= self.managers <= MAX_MANAGERS:
            raise ValueError(f"managers must be from 1 to {MAX_MANAGERS}")


@dataclass(frozen=True)
class SitePlan:
    """Ports, secrets and shape of a site.

    Attributes:
        shares: weight of a submitter, above 0; 1 where it is not named. Operators write them into the file.
    """

    ports: Ports
    site_secret: str = field(repr=False)
    enrolment_secret: str = field(repr=False)
    manager_password: str = field(repr=False)
    shape: SiteShape = SiteShape()
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def job_manager(self) -> str:
        """Bare JID of all managers."""
        return f"{MANAGER}@{DOMAIN}"


def load_plan(path: Path) -> SitePlan:
    """The plan in `path`; a new one with fresh secrets if there is none yet.

    Raises:
        BadInput: the file is damaged.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        return _read(said)
    except FileNotFoundError:
        return SitePlan(Ports(), secrets.token_hex(32), secrets.token_hex(32), secrets.token_hex(32))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            str(path),
            f"it cannot be used ({error})",
            "correct it; a site without the file makes a new one, with other secrets",
        ) from error


def save_plan(path: Path, plan: SitePlan) -> None:
    """Write the plan; only its owner can read it.

    Raises:
        OSError: nothing half-written stays.
    """
    secret = {name: getattr(plan, name) for name in _SECRETS}
    sections = {"ports": vars(plan.ports), "secrets": secret, "site": vars(plan.shape)}
    content = build_toml(sections | ({"shares": dict(plan.shares)} if plan.shares else {}))
    write_atomic(path, content.encode())


def build_toml(sections: dict[str, dict[str, Any]]) -> str:
    """TOML of sections of texts, numbers and truth values; None is left out."""
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [
            f"{key if _BARE_KEY.fullmatch(key) else _toml(key)} = {_toml(value)}"
            for key, value in values.items()
            if value is not None
        ]
        lines.append("")
    return "\n".join(lines)


def _read(said: dict[str, Any]) -> SitePlan:
    # A plan of an older version names fewer; the missing ones are chosen now.
    ports = Ports(**{name: int(said["ports"].get(name, 0)) for name in vars(Ports())})
    if not all(0 <= port <= 65535 for port in vars(ports).values()):
        raise ValueError("a port is none")
    secret = said["secrets"]
    # Volunteers of a site that was made before there were keys may still have clients of that time.
    usual, chosen = SiteShape(old_clients="keys" not in said["ports"]), said.get("site", {})
    shape = SiteShape(**{name: type(value)(chosen.get(name, value)) for name, value in vars(usual).items()})
    site, enrolment, manager = (str(secret[name]) for name in _SECRETS)
    shares = {name: float(weight) for name, weight in said.get("shares", {}).items()}
    if not all(0 < weight < 2**53 for weight in shares.values()):
        raise ValueError("a share must be above 0")
    return SitePlan(ports, site, enrolment, manager, shape, shares)


def _toml(value: Any) -> str:
    # JSON's texts, numbers and truth values are TOML's as well, but for the DEL character.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False).replace("\x7f", "\\u007f")
