"""What a full disk of this computer does to a VM that runs: VirtualBox holds it at the write that found no space.

Its log tells it. With VirtualBox's own cache, which our virtio-scsi disks have, the runtime error is `BLKCACHE_IOERR`
with the status of the write; with the host's cache, which IDE has, it is `DrvVD_DISKFULL`.

Source: VirtualBox's `PDMBlkCache.cpp` and `DrvVD.cpp`; tests/data/virtualbox/README.md names the logs.
"""

import re
from typing import Final

from client.errors import DiskFull
from client.hypervisor.files import free_bytes
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.vm_log import LogTail

NOTE: Final = (
    "There is no space left on the disk, so VirtualBox holds the virtual machine. Free some; it goes on by itself then."
)
#: With less than this a guest that goes on is held again in a moment.
LEAST_FREE_BYTES: Final = 64 << 20
_LOG_LINES: Final = 60
_HELD: Final = re.compile(r"DrvVD_DISKFULL|I/O cache[^\n]*VERR_DISK_FULL")
_WENT_ON: Final = "to 'RUNNING'"
#: What the guest has VirtualBox write down for it.
_OF_THE_GUEST: Final = "Guest Log:"


def holds(log: LogTail) -> bool:
    """Whether that was the last that happened to a VM that is held, by its log."""
    lines = [line for line in log.tail(_LOG_LINES).splitlines() if _OF_THE_GUEST not in line]
    said = "\n".join(lines)
    held_at = max((found.start() for found in _HELD.finditer(said)), default=-1)
    return held_at > said.rfind(_WENT_ON)


def check_space(folder: VmFolder) -> None:
    """See that a VM which a full disk holds may go on.

    Raises:
        DiskFull: there is still no space.
    """
    free = free_bytes(folder.path)
    if free < LEAST_FREE_BYTES:
        raise DiskFull(str(folder.path), LEAST_FREE_BYTES, free)
