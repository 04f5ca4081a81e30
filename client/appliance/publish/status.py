"""What an operator wants to know: what is published, until when it is good, and what is to be done about it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from tuf.api.metadata import Root, Signed, Snapshot, Timestamp

from client.appliance.publish.catalogue import ONLINE, Catalogue
from client.appliance.publish.project import Project, read_targets
from client.appliance.publish.repository import TARGETS

#: a role is to be renewed when less than this part of its time is left
_SOON: Final = 0.25
NO_ADDRESS: Final = "It is not known where the web shows it, so clients/catalogue.toml has no address."
SAY_ADDRESS: Final = "Say it with: main.py publish add FOLDER --url ADDRESS."


@dataclass(frozen=True)
class RoleStatus:
    """One signed list. keys_here: how many of its keys are on this machine; days_left may be negative."""

    role: str
    version: int
    keys: int
    threshold: int
    keys_here: int
    expires_at: str
    days_left: float
    to_do: str


@dataclass(frozen=True)
class Status:
    """A whole catalogue. appliances: `project/name version` -> MB of all its files."""

    roles: tuple[RoleStatus, ...]
    appliances: dict[str, float]
    public_mb: float
    root_sha256: str
    warnings: tuple[str, ...]
    hint: str

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it."""
        return asdict(self)

    @property
    def needs_work(self) -> bool:
        """Whether somebody should do something."""
        return bool(self.warnings) or any(one.to_do for one in self.roles)


def read_status(catalogue: Catalogue) -> Status:
    """Look at everything; nothing is changed."""
    repository = catalogue.repository
    roles: list[RoleStatus] = []
    signed: list[tuple[str, Signed, Any]] = [
        (Root.type, repository.root.signed, repository.root.signed.roles[Root.type]),
        (TARGETS, repository.lists[TARGETS].signed, repository.root.signed.roles[TARGETS]),
        (Snapshot.type, repository.snapshot.signed, repository.root.signed.roles[Snapshot.type]),
        (Timestamp.type, repository.timestamp.signed, repository.root.signed.roles[Timestamp.type]),
    ]
    delegations = repository.lists[TARGETS].signed.delegations
    for id, role in sorted(((delegations.roles if delegations else None) or {}).items()):
        signed.append((id, repository.lists[id].signed, role))
    here = catalogue.ring.files()
    for name, one, role in signed:
        roles.append(_role(catalogue, name, one, role, here))
    appliances, warnings = {}, []
    for id in sorted(repository.projects):
        found = read_targets(id, repository.lists[id].signed)
        for each in found.appliances:
            appliances[f"{id}/{each.facts.name} {each.facts.version}"] = round(each.size_bytes / 1e6, 1)
        warnings += [f"{id}: {problem}." for problem in found.problems]
    warnings += [f"Others can read the key {path}: chmod 600." for path in catalogue.ring.too_open()]
    hint = ""
    if any(role.role == Root.type and role.keys_here >= role.threshold for role in roles):
        hint = (
            "The keys of root are on this machine: whoever takes it over can publish in your name (docs/catalogue.md)."
        )
    if not repository.settings.metadata_urls:
        hint = f"{hint}\nHint: {NO_ADDRESS} {SAY_ADDRESS}" if hint else f"{NO_ADDRESS} {SAY_ADDRESS}"
    size = sum(path.stat().st_size for path in catalogue.folder.targets.rglob("*") if path.is_file())
    return Status(tuple(roles), appliances, round(size / 1e6, 1), catalogue.first_root_sha256(), tuple(warnings), hint)


@dataclass(frozen=True)
class ProjectStatus:
    """A project that publishes, in its own folder. appliances: `name version` -> MB of all its files."""

    id: str
    version: int
    expires_at: str
    days_left: float
    keys: tuple[str, ...]
    appliances: dict[str, float]
    to_do: str

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it."""
        return asdict(self)


def read_project_status(project: Project) -> ProjectStatus:
    """Look at a project's own list; nothing is changed."""
    signed = project.listed.signed
    left = (signed.expires - project.clock()) / timedelta(days=1)
    found = project.files()
    return ProjectStatus(
        id=project.publisher.id,
        version=signed.version,
        expires_at=signed.expires.isoformat(),
        days_left=round(left, 2),
        keys=tuple(project.key_ids),
        appliances={
            f"{one.facts.name} {one.facts.version}": round(one.size_bytes / 1e6, 1) for one in found.appliances
        },
        to_do="" if left > _SOON * project.publisher.days else "Run main.py publish renew, and send the outbox.",
    )


def tell_project(status: ProjectStatus) -> list[str]:
    """A project's status as lines for people."""
    lines = [f"{status.id}: version {status.version} of its list, good until {status.expires_at[:16]} UTC."]
    lines += [f"  {name:40} {size:10,.1f} MB" for name, size in status.appliances.items()] or ["  no appliances"]
    lines += [f"key {key}" for key in status.keys]
    return lines + ([status.to_do] if status.to_do else [])


def tell(status: Status) -> list[str]:
    """The status as lines for people."""
    lines = ["list            version  keys   good until         left"]
    for one in status.roles:
        keys = f"{one.threshold}/{one.keys}"
        lines.append(f"{one.role:15} {one.version:7}  {keys:5}  {one.expires_at[:16]}  {_days(one.days_left)}")
        lines += [f"    {one.to_do}"] if one.to_do else []
    lines += ["", f"{status.public_mb:,.1f} MB of files are published:"]
    lines += [f"  {name:40} {size:10,.1f} MB" for name, size in status.appliances.items()] or ["  none"]
    lines += ["", f"root_sha256 = {status.root_sha256}"]
    lines += [f"Hint: {status.hint}"] if status.hint else []
    return lines + [f"Warning: {warning}" for warning in status.warnings]


def _role(catalogue: Catalogue, name: str, signed: Signed, role: Any, here: dict[str, Any]) -> RoleStatus:
    now = catalogue.repository.clock()
    left = signed.expires - now
    return RoleStatus(
        role=name,
        version=signed.version,
        keys=len(role.keyids),
        threshold=role.threshold,
        keys_here=len(set(role.keyids) & here.keys()),
        expires_at=signed.expires.isoformat(),
        days_left=round(left / timedelta(days=1), 2),
        to_do=_to_do(catalogue, name, left, signed.expires, now),
    )


def _to_do(catalogue: Catalogue, name: str, left: timedelta, expires: datetime, now: datetime) -> str:
    expiry = catalogue.repository.settings.expiry
    whole = timedelta(days=getattr(expiry, name, expiry.project))
    if left > _SOON * whole:
        return ""
    began = "It has expired: clients refuse it." if expires <= now else "It expires soon."
    if name in ONLINE:
        return f"{began} Run: main.py publish renew (from cron, daily)."
    if name in (Root.type, TARGETS):
        return f"{began} Bring its keys and run: main.py publish renew --all --keys FOLDER."
    return f"{began} The project must sign anew (main.py publish renew PROJECT-FOLDER) and send its outbox."


def _days(left: float) -> str:
    return f"{left:8.1f} days" if left >= 0 else "    OVER"
