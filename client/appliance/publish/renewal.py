"""What keeps a catalogue alive: renewing signatures before they end, and changing keys."""

from datetime import timedelta
from typing import Final

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets

from client.appliance.publish.catalogue import OFFLINE, ONLINE, Catalogue
from client.appliance.publish.repository import TARGETS
from client.errors import BadInput

#: a list is signed anew when less than this part of its time is left
_LEFT: Final = 0.5


def renew(catalogue: Catalogue, *, everything: bool = False) -> list[str]:
    """Sign anew what is needed, with the keys that are there. Harmless as often as it is run.

    Args:
        everything: root and the list of projects too, whose keys are elsewhere as a rule.

    Returns:
        Sentences about what was done.

    Raises:
        BadInput: a key is missing.
    """
    said = []
    repository = catalogue.repository
    if everything:
        said += _renew_root(catalogue)
    changed = {TARGETS: _fresh_targets(catalogue)} if everything else {}
    if changed or not _is_good(catalogue, Snapshot.type):
        catalogue.publish(changed)
        said.append("The snapshot and the timestamp are signed anew.")
    else:
        repository.renew_timestamp(catalogue.ring)
        catalogue.write_for_clients()
        said.append("The timestamp is signed anew.")
    if changed:
        said.insert(-1, "The list of projects is signed anew.")
    return [*said, f"The catalogue is good until {repository.timestamp.signed.expires:%Y-%m-%d %H:%M} UTC."]


def rotate(catalogue: Catalogue, role: str, passphrase: bytes = b"") -> list[str]:
    """Give a role new keys and take its trust from the old ones.

    What the role signs is signed by old and new keys before the root that names the new ones is published, so that no
    client meets a root and a signature that do not belong together, wherever this is interrupted.

    Args:
        role: root, targets, snapshot or timestamp.

    Raises:
        BadInput: keys that must sign are not there.
    """
    if role not in (*ONLINE, *OFFLINE):
        raise BadInput(role, "there is no such role", f"choose one of {', '.join((*OFFLINE, *ONLINE))}")
    repository, ring = catalogue.repository, catalogue.ring
    root = _next_root(catalogue)
    _need_root_keys(catalogue)
    old = list(root.signed.roles[role].keyids)
    usual = catalogue.folder.online_keys if role in ONLINE else catalogue.folder.offline_keys
    files, word = ring.files(), passphrase if role in OFFLINE else b""
    # On the medium of the old one, if that is there.
    made = [ring.make(role, files[keyid].parent if keyid in files else usual, word) for keyid in old]
    for keyid in old:
        root.signed.revoke_key(keyid, role)
    for key in made:
        root.signed.add_key(key, role)
    if role != Root.type:
        _sign_for_both(catalogue, role, root.signed, old)
    repository.publish_root(root, ring)
    catalogue.write_for_clients()
    ring.revoke(old)
    ids = ", ".join(key.keyid[:16] for key in made)
    return [f"{role} is signed with {ids} from now on; {', '.join(one[:16] for one in old)} count for nothing."]


def _sign_for_both(catalogue: Catalogue, role: str, root: Root, old: list[str]) -> None:
    """Have what is published signed by the keys of the old and of the next root."""
    changed: dict[str, Metadata[Targets]] = {}
    if role == TARGETS:
        listed = catalogue.next_targets()
        listed.signed.expires = catalogue.repository.until(catalogue.repository.settings.expiry.targets)
        listed.signatures.clear()
        asked = root.roles[TARGETS]
        catalogue.ring.sign(listed, TARGETS, asked.keyids, asked.threshold)
        catalogue.ring.sign(listed, TARGETS, old, 0)
        changed[TARGETS] = listed
    catalogue.publish(changed, root)


def _need_root_keys(catalogue: Catalogue) -> None:
    asked = catalogue.repository.root.signed.roles[Root.type]
    if not catalogue.ring.has(asked.keyids, asked.threshold):
        what = f"{asked.threshold} of the keys of root are needed"
        raise BadInput(
            catalogue.ring.folders, what, "bring the medium that holds them and name its folder: --keys FOLDER"
        )


def _renew_root(catalogue: Catalogue) -> list[str]:
    root = _next_root(catalogue)
    catalogue.repository.publish_root(root, catalogue.ring)
    return [f"Root is signed anew, good until {root.signed.expires:%Y-%m-%d}."]


def _next_root(catalogue: Catalogue) -> Metadata[Root]:
    root: Metadata[Root] = Metadata.from_bytes(catalogue.repository.root.to_bytes())
    root.signatures.clear()
    root.signed.version += 1
    root.signed.expires = catalogue.repository.until(catalogue.repository.settings.expiry.root)
    return root


def _fresh_targets(catalogue: Catalogue) -> Metadata[Targets]:
    listed = catalogue.next_targets()
    listed.signed.expires = catalogue.repository.until(catalogue.repository.settings.expiry.targets)
    return catalogue.signed(listed)


def _is_good(catalogue: Catalogue, role: str) -> bool:
    """Whether the snapshot is signed as root asks for, and has half of its time before it."""
    repository = catalogue.repository
    signed = repository.snapshot
    try:
        repository.root.signed.verify_delegate(role, signed.signed_bytes, signed.signatures)
    except (RepositoryError, ValueError):
        return False
    left = signed.signed.expires - repository.clock()
    return left > _LEFT * timedelta(days=repository.settings.expiry.snapshot)
