"""A template and values to one ISO for one guest, whose instance id changes only when its content does."""

import contextlib
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client import filenames
from client.appliance.contextual.guest import fill
from client.appliance.contextual.language import System, Template, Value
from client.appliance.contextual.tree import Medium, medium_files
from client.appliance.contextual.values import check_values, masked
from client.appliance.medium import write_medium
from client.errors import BadInput
from client.paths import write_atomic

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Seed:
    """A medium that was written.

    Attributes:
        instance_id: as the guest sees it; cloud-init works once for each.
        is_new: the content is not that of the last one. CernVM then needs a fresh scratch disk to take it.
    """

    path: Path
    instance_id: str
    is_new: bool


def build_seed(
    path: Path,
    template: Template,
    given: Mapping[str, Value],
    instance_id: str,
    medium: Medium = Medium.CONFIG_DRIVE,
) -> Seed:
    """Write the medium of one guest, mode 0600, over an older one. Blocks for some 10 ms.

    Args:
        given: field -> what was filled in; what is missing takes its default.
        instance_id: of the guest, as its VM's name; a digest of the content is added to it.

    Raises:
        BadContextValues: something that was filled in cannot be used.
        BadInput: the instance id is no plain name.
        DiskFull, OSError: nothing half-written stays.
    """
    if not _NAME.fullmatch(instance_id):
        what = "it must have letters, digits, '.', '_' and '-' only, 64 at most"
        raise BadInput("the instance id", what, "choose another one")
    _check_medium(template, medium)
    values = check_values(template, given)
    key, last = _key(path)
    guest = fill(template, values, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not last:
        # Before the medium: a guest that has read it must not get another id after a crash.
        _keep(path, key, "")
    whole = f"{instance_id}-{_digest(medium_files(guest, '', medium), key)}"
    write_medium(path, medium_files(guest, whole, medium), medium)
    if whole != last:
        _keep(path, key, whole)
    return Seed(path, whole, whole != last)


def remove_seed(path: Path) -> None:
    """Remove a medium and what belongs to it; what is not there is fine."""
    for one in (path, _beside(path)):
        one.unlink(missing_ok=True)


def shown_files(
    template: Template, given: Mapping[str, Value], medium: Medium = Medium.CONFIG_DRIVE
) -> dict[str, bytes]:
    """What would be on the medium, a word standing in for each secret.

    Raises:
        BadContextValues: something that was filled in cannot be used.
    """
    _check_medium(template, medium)
    values = check_values(template, given)
    key = bytes(32)
    fill(template, values, key)
    return medium_files(fill(template, masked(template, values), key), "INSTANCE-ID", medium)


def _check_medium(template: Template, medium: Medium) -> None:
    if medium is Medium.HEPIX and template.system is not System.CERNVM:
        what = f'the template "{template.name}" is for cloud-init, which finds nothing on such a medium'
        raise BadInput("the medium hepix", what, "choose config-drive or nocloud")


def _keep(path: Path, key: bytes, instance_id: str) -> None:
    write_atomic(_beside(path), json.dumps({"key": key.hex(), "instance_id": instance_id}).encode())


def _beside(path: Path) -> Path:
    return path.with_name(path.name + filenames.CONTEXT_KEY_SUFFIX)


def _key(path: Path) -> tuple[bytes, str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(_beside(path).read_bytes())
        key = bytes.fromhex(said["key"])
        if len(key) == 32:
            return key, str(said["instance_id"]) if path.exists() else ""
    return secrets.token_bytes(32), ""


def _digest(files: Mapping[str, bytes], key: bytes) -> str:
    told = hmac.new(key, digestmod=hashlib.sha256)
    for name, content in sorted(files.items()):
        told.update(f"{name}\0{len(content)}\0".encode() + content)
    return told.hexdigest()[:16]
