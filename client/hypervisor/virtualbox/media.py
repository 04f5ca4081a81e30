"""The files behind a VM's drives: base disks converted once, files shown as CDs, and the outbox. Blocking work."""

import contextlib
import hashlib
import os
import shutil
import sys
import threading
import uuid
from pathlib import Path
from typing import Final

from client import filenames
from client.hypervisor.driver import OUTBOX_MARK, Medium, MediumRole, VmSpec
from client.hypervisor.errors import KeptDiskBroken
from client.hypervisor.virtualbox.shape import EMPTY, INBOX, OUTBOX
from client.hypervisor.virtualbox.template import read_template
from client.hypervisor.virtualbox.vdi import BLOCK_BYTES, write_vdi

#: VirtualBox takes files of whole CD sectors for CDs, if they are longer than the part before an ISO's first
#: descriptor. Source: its raw image format, checks on the size of optical images; seen in 7.2.
CD_SECTOR_BYTES: Final = 2048
_LEAST_CD_BYTES: Final = 16 * CD_SECTOR_BYTES + CD_SECTOR_BYTES
_CD_SUFFIX: Final = ".iso"
BASE_SUFFIX: Final = ".vdi"
DESCRIPTION_SUFFIX: Final = ".vmdk"
_ISO_MARK_AT: Final = 16 * CD_SECTOR_BYTES + 1
_ISO_MARK: Final = b"CD001"
_MIB: Final = 1 << 20
_SECTOR_BYTES: Final = 512
_MAKING: Final = threading.Lock()


def is_iso(path: Path) -> bool:
    """Whether a file holds an ISO 9660 file system."""
    with path.open("rb") as file:
        file.seek(_ISO_MARK_AT)
        return file.read(len(_ISO_MARK)) == _ISO_MARK


def boots_from_disk(spec: VmSpec) -> bool:
    """Whether the system is a disk and not a CD."""
    return any(medium.role is MediumRole.SYSTEM and _is_disk(medium) for medium in spec.media)


def restore_bases(bases: Path, spec: VmSpec, had: dict[str, str] | None = None) -> None:
    """Have the base disks of a VM there again that are gone; of a template that is gone itself none can be made.

    Args:
        had: role -> the file in its drive, as far as known.

    Raises:
        OSError: a file could not be read or written.
        BadInput: a template is of a kind that cannot be read.
    """
    for medium in spec.media:
        with contextlib.suppress(FileNotFoundError):
            if not Path((had or {}).get(medium.role.value, "")).is_file() and _is_disk(medium):
                base_disk(medium.path, bases)


def kept_bases(folder: Path, before: VmSpec, spec: VmSpec, had: dict[str, str]) -> dict[str, str]:
    """Role -> the base disk under each layer of a VM, which stays though its template may have been touched since.

    Args:
        folder: of the VM.
        had: role -> the file in its drive.

    Raises:
        KeptDiskBroken: a disk would go out of its drive, and with it its layer.
    """
    was, now = ({medium.role.value: medium.path for medium in one.media} for one in (before, spec))
    kept = {role: file for role, file in had.items() if file.endswith(BASE_SUFFIX)}
    for role in kept:
        if was.get(role) != now.get(role):
            raise KeptDiskBroken(spec.vm_id, str(folder), "its disk would be replaced by another one")
    return kept


def prepare_media(folder: Path, bases: Path, spec: VmSpec, kept: dict[str, str] | None = None) -> dict[str, str]:
    """Make what is missing; role -> the file for its drive. The same again changes nothing.

    Args:
        folder: of the VM.
        bases: of the base disks that VMs share.
        kept: role -> the file that its drive keeps.

    Raises:
        OSError: a file could not be read or written.
        BadInput: a template is of a kind that cannot be read.
    """
    media = dict(kept or {})
    for medium in spec.media:
        if medium.role.value in media:
            continue
        is_disk = _is_disk(medium)
        make = base_disk if is_disk else cd_file
        media[medium.role.value] = str(make(medium.path, bases if is_disk else folder / medium.role.value))
    if spec.exchange_mib:
        media[INBOX] = EMPTY
        media[OUTBOX] = str(make_outbox(folder, spec.exchange_mib))
    return media


def base_disk(template: Path, bases: Path) -> Path:
    """The template as a base disk of VirtualBox's, made on its first use.

    The same template gives the same identity in the same folder, so disks over it stay valid if it has to be made anew;
    another folder, of another client, gives another one, for VirtualBox knows only one disk of an identity.
    """
    # Several VMs may begin at once: one makes it, the others wait for it.
    with _MAKING:
        return _base_disk(template, bases)


def _base_disk(template: Path, bases: Path) -> Path:
    found = template.stat()
    seen = f"{template.resolve()}\0{found.st_size}\0{found.st_mtime_ns}"
    path = bases / f"{hashlib.sha256(seen.encode()).hexdigest()[:16]}{BASE_SUFFIX}"
    if not path.exists():
        bases.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + filenames.PART_SUFFIX)
        size_bytes, blocks = read_template(template, BLOCK_BYTES)
        try:
            write_vdi(part, size_bytes, blocks, uuid.uuid5(uuid.NAMESPACE_URL, str(path)))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def cd_file(path: Path, beside: Path, *, always_renamed: bool = False) -> Path:
    """The file under a name and with a size that VirtualBox takes for a CD; a copy only if its size does not fit.

    Args:
        beside: where the other name goes, without a suffix.
        always_renamed: give it the other name in any case.
    """
    size = path.stat().st_size
    fits = size >= _LEAST_CD_BYTES and not size % CD_SECTOR_BYTES
    if fits and path.suffix.lower() == _CD_SUFFIX and not always_renamed:
        return path
    shown = beside.with_name(beside.name + _CD_SUFFIX)
    with contextlib.suppress(FileNotFoundError):
        shown.unlink()
    if fits and _link(path, shown):
        return shown
    shutil.copyfile(path, shown)
    whole = max(_LEAST_CD_BYTES, -(-size // CD_SECTOR_BYTES) * CD_SECTOR_BYTES)
    os.truncate(shown, whole)
    return shown


def inbox_folder(folder: Path) -> Path:
    """Of what a VM is shown in the drive of its inbox."""
    return folder / "inboxes"


def inboxes(folder: Path) -> list[Path]:
    """What a VM was shown there and VirtualBox may still know."""
    shown = inbox_folder(folder)
    return list(shown.iterdir()) if shown.is_dir() else []


def outbox_file(folder: Path, exchange_mib: int) -> Path:
    """The raw file that the outbox's disk consists of."""
    return folder / f"outbox-{exchange_mib}-flat.vmdk"


def make_outbox(folder: Path, exchange_mib: int) -> Path:
    """The outbox's disk: a description and beside it the disk's bytes as they are; one that is there stays."""
    flat = outbox_file(folder, exchange_mib)
    description = folder / f"outbox-{exchange_mib}{DESCRIPTION_SUFFIX}"
    size_bytes = exchange_mib * _MIB
    if description.exists() and flat.exists() and flat.stat().st_size == size_bytes:
        return description
    with flat.open("wb") as file:
        file.write(OUTBOX_MARK)
        file.truncate(size_bytes)
    description.write_text(_describe(flat.name, size_bytes), encoding="ascii")
    return description


def forget_bases(bases: Path, used: set[str]) -> list[Path]:
    """The base disks that no VM has a layer over."""
    if not bases.is_dir():
        return []
    return [path for path in bases.iterdir() if str(path) not in used and path.suffix == BASE_SUFFIX]


def _is_disk(medium: Medium) -> bool:
    return medium.role is MediumRole.SCRATCH or (medium.role is MediumRole.SYSTEM and not is_iso(medium.path))


def _describe(flat: str, size_bytes: int) -> str:
    # Source: VMware, "Virtual Disk Format 5.0", monolithic flat disks; the `uuid` entries are VirtualBox's.
    none = uuid.UUID(int=0)
    return "\n".join(
        (
            "# Disk DescriptorFile",
            "version=1",
            "CID=fffffffe",
            "parentCID=ffffffff",
            'createType="monolithicFlat"',
            "",
            "# Extent description",
            f'RW {size_bytes // _SECTOR_BYTES} FLAT "{flat}" 0',
            "",
            "# The Disk Data Base",
            "#DDB",
            'ddb.virtualHWVersion = "4"',
            'ddb.adapterType="ide"',
            f'ddb.uuid.image="{uuid.uuid4()}"',
            f'ddb.uuid.parent="{none}"',
            f'ddb.uuid.modification="{uuid.uuid4()}"',
            f'ddb.uuid.parentmodification="{none}"',
            "",
        )
    )


def _link(path: Path, shown: Path) -> bool:
    """Give a file a second name; False where that is not possible."""
    with contextlib.suppress(OSError):
        # On Windows only administrators may make symbolic links.
        if sys.platform == "win32":
            shown.hardlink_to(path)
        else:
            shown.symlink_to(path.resolve())
        return True
    return False
