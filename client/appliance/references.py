"""Which files of the store VMs need: whatever in a VM's folder names a digest needs that file.

Files of the store are referred to by their paths, and these hold the digests: in a VM's definition, in the header of an
overlay, in VirtualBox's settings, as the target of a link. So no hypervisor need be asked, and a VM whose definition is
damaged still keeps what its disks lie over. What cannot be read is no reason to remove anything.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from client import filenames

#: of a description, all is read; of a disk, the part that names what it lies over
_MOST_BYTES: Final = 4 * 2**20
_HEAD_BYTES: Final = 64 * 1024
_DESCRIPTIONS: Final = (".json", ".toml", ".vbox", ".vbox-prev", ".vbox-tmp", ".xml", ".part")
_DISKS: Final = (".qcow2", ".vmdk", ".vdi")
_IN_PATH: Final = re.compile(rb"objects[\\/]{1,2}[0-9a-f]{2}[\\/]{1,2}([0-9a-f]{64})")
_OLD_IN_PATH: Final = re.compile(rb"appliances[\\/]{1,2}([0-9a-f]{16})[\\/]")


def digests_in(text: bytes) -> set[str]:
    """Digests of the store's files that a text names."""
    return {found.decode() for found in _IN_PATH.findall(text)}


def old_folders_in(text: bytes) -> set[str]:
    """Names of folders of the layout before the store that a text names."""
    return {found.decode() for found in _OLD_IN_PATH.findall(text)}


def vm_texts(vms: Path) -> Iterator[tuple[str, bytes]]:
    """What VMs' folders say, as (VM's id, bytes).

    Raises:
        OSError: something cannot be read.
    """
    if not vms.is_dir():
        return
    for folder in vms.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            yield from ((folder.name, text) for text in _texts(folder))


def needed_by_vms(vms: Path) -> dict[str, frozenset[str]]:
    """SHA-256 of each file that VMs need, also own ones that no hypervisor knows of yet -> their ids.

    Args:
        vms: the folder that hypervisors keep their VMs in.

    Raises:
        OSError: a VM's folder cannot be read, so that it is not known.
    """
    found: dict[str, set[str]] = {}
    own = vms.parent / filenames.OWN
    for vm_id, text in (*vm_texts(vms), *vm_texts(own)):
        for sha256 in digests_in(text):
            found.setdefault(sha256, set()).add(vm_id)
    return {sha256: frozenset(ids) for sha256, ids in found.items()}


def _texts(folder: Path) -> Iterator[bytes]:
    for place, folders, files in os.walk(folder, onerror=_refuse):
        for name in (*folders, *files):
            path = Path(place, name)
            try:
                if path.is_symlink():
                    yield os.fsencode(path.readlink())
                elif name in files and (most := _interest(name)):
                    with path.open("rb") as file:
                        yield file.read(most)
            except FileNotFoundError:
                # A hypervisor puts a new file in its place this moment; the old one was read or the new one will be.
                continue


def _interest(name: str) -> int:
    """How much of a file is read."""
    if name == filenames.VM_CONSOLE:
        return 0
    if name.endswith(_DISKS):
        return _HEAD_BYTES
    return _MOST_BYTES if name.endswith(_DESCRIPTIONS) else 0


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
