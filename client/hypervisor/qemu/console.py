"""What the guest printed on its console, with a bound on every side.

QEMU keeps the last 64 KiB in memory (a ring; a guest may print 100 MB and costs nobody anything). The driver takes
them from there now and then into a file that it cuts to the same size, so they survive QEMU's end.
"""

import base64
import binascii
from typing import Final

from client.hypervisor.qemu.cmdline import CONSOLE, CONSOLE_BYTES
from client.hypervisor.qemu.folder import VmFolder
from client.hypervisor.qemu.qmp import Monitor, MonitorGone, MonitorRefused

KEPT_BYTES: Final = 65536


async def drain(monitor: Monitor, folder: VmFolder) -> int:
    """Take what the guest has printed since the last time into the file; returns how many bytes that was."""
    try:
        said = await monitor.execute("ringbuf-read", device=CONSOLE, size=CONSOLE_BYTES, format="base64")
        new = base64.b64decode(said)
    except (MonitorGone, MonitorRefused, binascii.Error, TypeError):
        return 0
    if new:
        _append(folder, new)
    return len(new)


def tail(folder: VmFolder, limit_bytes: int) -> str:
    """The end of what is in the file."""
    return _read(folder)[-limit_bytes:].decode(errors="replace") if limit_bytes > 0 else ""


def _append(folder: VmFolder, new: bytes) -> None:
    try:
        folder.console.write_bytes((_read(folder) + new)[-KEPT_BYTES:])
    except OSError:
        # The console is for diagnosis only; a full disk is told by those who need it.
        return


def _read(folder: VmFolder) -> bytes:
    try:
        return folder.console.read_bytes()
    except OSError:
        return b""
