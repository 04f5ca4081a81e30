"""Takes over what older versions of this program kept: <folder>/<first 16 digits of the manifest's sha256>/<name>."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from client import filenames
from client.appliance.errors import ApplianceError
from client.appliance.manifest import read_manifest
from client.appliance.references import old_folders_in, vm_texts
from client.appliance.store import Store
from client.appliance.verify import verify_file
from client.log import logger

_OLD: Final = re.compile(r"[0-9a-f]{16}")


def old_folders(appliances: Path) -> tuple[Path, ...]:
    """Folders of the layout before the store."""
    if not appliances.is_dir():
        return ()
    return tuple(path for path in sorted(appliances.iterdir()) if _OLD.fullmatch(path.name) and path.is_dir())


def take_over(store: Store) -> None:
    """Have the files of old folders in the store, as far as they are right. The folders stay."""
    for folder in old_folders(store.folder):
        for path, sha256 in _right_files(folder):
            if store.objects.has(sha256, path.stat().st_size):
                continue
            part = store.objects.part(sha256)
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.unlink(missing_ok=True)
            try:
                os.link(path, part)
            except OSError:
                shutil.copyfile(path, part)
            store.objects.take_in(part, sha256, path.name)
            logger("appliance").info("Took %s over into the store", path)


def remove_old(store: Store) -> None:
    """Remove the old folders that no VM refers to.

    Raises:
        OSError: what VMs refer to cannot be read.
    """
    folders = old_folders(store.folder)
    if not folders:
        return
    needed = {name for _, text in vm_texts(store.vms) for name in old_folders_in(text)}
    for folder in folders:
        if folder.name not in needed:
            shutil.rmtree(folder, ignore_errors=True)
            logger("appliance").info("Removed %s, whose files are in the store", folder)


def _right_files(folder: Path) -> Iterator[tuple[Path, str]]:
    try:
        appliance = read_manifest(folder)
    except ApplianceError:
        return
    manifest = folder / filenames.MANIFEST
    yield manifest, hashlib.sha256(manifest.read_bytes()).hexdigest()
    for file in appliance.files.values():
        path = folder / file.name
        try:
            verify_file(path, file.size_bytes, file.sha256)
        except (ApplianceError, OSError):
            continue
        yield path, file.sha256
