"""The files a VM needs, and its own overlay over the shared template."""

from pathlib import Path
from typing import Final

from client import process
from client.errors import CommandFailed, DiskFull
from client.hypervisor.driver import MediumRole, VmSpec
from client.hypervisor.errors import KeptDiskBroken
from client.hypervisor.files import free_bytes
from client.hypervisor.qemu.find import Qemu
from client.hypervisor.qemu.folder import VmFolder

_LIMIT_S: Final = 30.0
_NO_SPACE: Final = "No space left on device"
_QCOW2_MAGIC: Final = b"QFI\xfb"


def scratch_template(spec: VmSpec | None) -> Path | None:
    """The template of the VM's writable disk, if it has one."""
    media = spec.media if spec else ()
    return next((medium.path for medium in media if medium.role is MediumRole.SCRATCH), None)


def check_kept(folder: VmFolder, before: VmSpec | None, spec: VmSpec) -> None:
    """See that the overlay of a VM whose disk matters would stay.

    Raises:
        KeptDiskBroken: it is gone, or would be made anew.
    """
    template = scratch_template(spec)
    if not (spec.keeps_disk or (before is not None and before.keeps_disk)):
        return
    if before is None:
        said = "what was written down of it is damaged" if folder.holds_work() else ""
    elif template != scratch_template(before):
        said = "its disk would be replaced by another one"
    else:
        said = what_is_gone(folder, before)
    if said:
        raise KeptDiskBroken(spec.vm_id, str(folder.path), said)


def what_is_gone(folder: VmFolder, spec: VmSpec) -> str:
    """Whether the VM lacks its overlay, as a sentence without its end; empty: no."""
    is_gone = scratch_template(spec) is not None and not folder.scratch.exists()
    return f"its disk {folder.scratch} is gone" if is_gone else ""


async def make_scratch(qemu: Qemu, folder: VmFolder, template: Path) -> None:
    """Make the overlay anew: empty, over the template, which stays as it is.

    Raises:
        DiskFull, CommandFailed: it could not be made.
    """
    folder.scratch.unlink(missing_ok=True)
    command = (qemu.image, "create", "-q", "-f", "qcow2", "-F", _format(template), "-b", str(template))
    try:
        await process.run((*command, str(folder.scratch)), timeout_s=_LIMIT_S)
    except CommandFailed as error:
        if _NO_SPACE in error.stderr:
            raise DiskFull(str(folder.path), 0, free_bytes(folder.path)) from error
        raise


def _format(template: Path) -> str:
    with template.open("rb") as file:
        return "qcow2" if file.read(len(_QCOW2_MAGIC)) == _QCOW2_MAGIC else "raw"
