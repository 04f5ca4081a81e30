"""Taking over what a project sends: its signed list is read as hostile input, and checked as a client would."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import Key, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Targets

from client.appliance.catalog_facts import is_id
from client.appliance.catalog_list import MAX_LISTED, TEMPLATES
from client.appliance.choice import from_catalogue
from client.appliance.errors import BadManifest
from client.appliance.publish.catalogue import Catalogue
from client.appliance.publish.layout import role_file, target_file
from client.appliance.publish.project import PUBLISHER, Project, read_targets
from client.appliance.publish.repository import TARGETS, read
from client.appliance.publish.settings import Publisher, publisher_from
from client.appliance.publish.store import hand_over
from client.errors import BadInput

#: so much of a key's id must be typed to trust it
_LEAST_ID: Final = 16
_MAX_KEYS: Final = 16
_MAX_LIST_BYTES: Final = 8 * 2**20


def accept(
    catalogue: Catalogue, outbox: Path, trust: Iterable[str] = (), *, elsewhere: bool = False, own: bool = False
) -> list[str]:
    """Take over what a project sends.

    Args:
        trust: ids of keys, or their first 16 digits, that the operator has compared with the project's people by
            a way that an attacker does not hold. Needed for a new project, new keys, and new words about it.
        elsewhere: whether files may be missing, since the project's own mirrors have them.
        own: whether the folder is one of this program's own, which nobody else writes to.

    Returns:
        Sentences about what was done.

    Raises:
        BadInput: with what is wrong. Nothing is changed then.
    """
    sent = _Sent(outbox)
    repository = catalogue.repository
    changed: dict[str, Metadata[Targets]] = {}
    said = []
    if tuple(trust):
        changed[TARGETS] = _entrust(catalogue, sent, tuple(trust))
        said.append(f"{sent.id} signs with {', '.join(key[:16] for key in sent.keys)}.")
    elif not _is_signed(repository.lists[TARGETS].signed, sent):
        what = f"it is signed with keys that are not trusted for {sent.id}: {', '.join(sent.keys)}"
        raise BadInput(str(outbox), what, "compare the keys with the project's people, then say --trust KEY")
    known, floor = repository.lists.get(sent.id), repository.listed_version(sent.id)
    if known is not None and known.to_bytes() == sent.listed.to_bytes():
        if not changed:
            return [f"{sent.id}: nothing is new."]
    elif sent.listed.signed.version <= floor:
        what = f"version {sent.listed.signed.version} of its list is not newer than {floor}, which clients have seen"
        raise BadInput(str(outbox), what, "let the project sign anew")
    sent.check(repository.clock)
    _check_manifests(sent, outbox / "targets")
    places = (outbox / "targets", catalogue.folder.targets)
    missing = [one for one in sent.listed.signed.targets.values() if not hand_over(one, *places, own=own)]
    if missing and not (elsewhere and sent.publisher.mirrors):
        what = f"{len(missing)} files that its list names were not sent, the first: {missing[0].path}"
        raise BadInput(str(outbox), what, "have them sent; or say --elsewhere if the project's mirrors have them")
    catalogue.publish({**changed, sent.id: sent.listed})
    return [*said, f"{sent.id}: version {sent.listed.signed.version} of its list is published."]


def take_over(catalogue: Catalogue, project: Project) -> list[str]:
    """Publish what a project of this machine has signed; nobody needs to compare its keys.

    Returns:
        Sentences about what was done.
    """
    id = project.publisher.id
    told = next((one for one in catalogue.projects() if one["id"] == id), None)
    delegations = catalogue.repository.lists[TARGETS].signed.delegations
    role = ((delegations.roles if delegations else None) or {}).get(id)
    is_same = told == project.publisher.told() and role is not None and sorted(role.keyids) == project.key_ids
    return accept(catalogue, project.folder.outbox, () if is_same else project.key_ids, own=True)


class _Sent:
    """What a project sent, as far as it can be believed before its keys are."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        path = self._find(outbox)
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_LIST_BYTES:
            raise BadInput(str(path), "it is no file, or longer than a list can be", "ask the project")
        self.listed = read(path, Targets)
        told = self.listed.signed.unrecognized_fields.get(PUBLISHER)
        wrong: list[str] = []
        self.publisher: Publisher = publisher_from(told, str(path), wrong)
        if f"{self.publisher.id}.json" != path.name:
            wrong.append("its name is not that of its project")
        self.keys = _keys(told, wrong)
        threshold = told.get("threshold") if isinstance(told, Mapping) else None
        if not isinstance(threshold, int) or isinstance(threshold, bool) or not 0 < threshold <= len(self.keys):
            wrong.append("it does not say how many of its keys must sign")
            threshold = 1
        self.threshold = threshold
        if wrong:
            raise BadInput(str(path), "; ".join(wrong), "let the project make it anew with publish")

    @property
    def id(self) -> str:
        return self.publisher.id

    def check(self, clock: Any) -> None:
        """Whether a client could use it.

        Raises:
            BadInput
        """
        signed = self.listed.signed
        wrong = [read_targets(self.id, signed).problem] if len(signed.targets) <= MAX_LISTED else ["it is too long"]
        if signed.delegations is not None:
            wrong.append("it delegates further")
        if signed.is_expired(clock()):
            wrong.append(f"it has expired on {signed.expires:%Y-%m-%d}")
        if any(wrong):
            raise BadInput(str(self._outbox), "; ".join(filter(None, wrong)), "let the project publish it anew")

    @staticmethod
    def _find(outbox: Path) -> Path:
        found = [path for path in sorted((outbox / "metadata").glob("*.json")) if is_id(path.stem)]
        if len(found) != 1:
            what = f"it holds {len(found)} signed lists in metadata, and not one"
            raise BadInput(str(outbox), what, "give the outbox folder of one project")
        return role_file(outbox, found[0].stem)


def _check_manifests(sent: _Sent, targets: Path) -> None:
    """See that a client could use the manifests that were sent; others were looked at before, or are elsewhere.

    Raises:
        BadInput
    """
    wrong = []
    for one in read_targets(sent.id, sent.listed.signed).appliances:
        path = target_file(targets, one.manifest.name, one.manifest.sha256)
        if path.is_symlink() or not path.is_file() or path.stat().st_size != one.manifest.size_bytes:
            continue
        try:
            from_catalogue(one, path.read_bytes())
        except BadManifest as bad:
            wrong.append(f"{one.facts.name} {one.facts.version}: {bad.what}")
    if wrong:
        raise BadInput(str(targets), "; ".join(wrong), "let the project publish it anew")


def _keys(told: object, wrong: list[str]) -> dict[str, Key]:
    """The keys that a project names; only those whose ids belong to them."""
    said = told.get("keys") if isinstance(told, Mapping) else None
    found: dict[str, Key] = {}
    if not isinstance(said, Mapping) or not 0 < len(said) <= _MAX_KEYS:
        wrong.append("it names no keys, or too many")
        return found
    for keyid, about in said.items():
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(about["keyval"]["public"]))
            key = SSlibKey.from_crypto(public)
        except (ValueError, KeyError, TypeError, AttributeError):
            wrong.append(f"{str(keyid)[:16]} is no Ed25519 key")
            continue
        if key.keyid != keyid:
            wrong.append(f"{str(keyid)[:16]} is not that key's id")
        found[key.keyid] = key
    return found


def _is_signed(targets: Targets, sent: _Sent) -> bool:
    """Whether those keys signed it that the list of projects trusts for this project."""
    try:
        targets.verify_delegate(sent.id, sent.listed.signed_bytes, sent.listed.signatures)
    except (RepositoryError, ValueError):
        return False
    return True


def _entrust(catalogue: Catalogue, sent: _Sent, trust: tuple[str, ...]) -> Metadata[Targets]:
    unknown = [key for key in sent.keys if not any(len(one) >= _LEAST_ID and key.startswith(one) for one in trust)]
    if unknown:
        what = f"it is to be signed with a key that you did not name: {', '.join(unknown)}"
        raise BadInput(sent.id, what, f"compare the keys with the project's people; give {_LEAST_ID} digits or more")
    listed = catalogue.next_targets()
    delegations = listed.signed.delegations or Delegations({}, {})
    roles = dict(delegations.roles or {})
    # A file lies at most three folders deep, and an asterisk stands for one name.
    paths = [f"{sent.id}/*", f"{sent.id}/{TEMPLATES}/*", f"{sent.id}/*/*/*"]
    roles[sent.id] = DelegatedRole(sent.id, sorted(sent.keys), sent.threshold, terminating=True, paths=paths)
    every = {**delegations.keys, **sent.keys}
    used = {keyid for role in roles.values() for keyid in role.keyids}
    listed.signed.delegations = Delegations({keyid: every[keyid] for keyid in sorted(used)}, roles)
    if not _is_signed(listed.signed, sent):
        raise BadInput(sent.id, "it is not signed with the keys that it names", "let the project sign it anew")
    others = [one for one in catalogue.projects() if one["id"] != sent.id]
    return catalogue.with_projects(listed, [*others, sent.publisher.told()])
