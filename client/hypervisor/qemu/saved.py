"""A VM's state on disk: written whole or not at all, checked before it is used.

Written by QEMU's migration into a file: one that is handed over open, or from QEMU 9.1 on by its name. The stream's own
checks do not cover the guest's memory, so a checksum is kept beside it: a garbled state that QEMU would
load silently becomes a fresh boot.
"""

import asyncio
import errno
import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from client.errors import DiskFull
from client.hypervisor.errors import SaveFailed
from client.hypervisor.files import disk_full_or, free_bytes, sync, write_whole
from client.hypervisor.qemu.find import Qemu
from client.hypervisor.qemu.folder import VmFolder
from client.hypervisor.qemu.qmp import Monitor, MonitorGone, MonitorRefused
from client.hypervisor.saving import size_of

#: without anything being written; less than what the client gives a save when it leaves
SAVE_LIMIT_S: Final = 60.0
LOAD_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.01
_CHUNK_BYTES: Final = 1 << 20
_FILE: Final = "state"
#: Bytes a second; the default of 128 MiB/s would make a save to disk slower than the disk.
_BANDWIDTH: Final = 1 << 34


@dataclass(frozen=True)
class SavedFacts:
    """What is known of a saved state.

    Attributes:
        checksum: CRC-32 of the file; against damage, not against malice.
        accelerator, qemu_version: what made it; another does not resume it.
    """

    size_bytes: int
    checksum: int
    accelerator: str
    qemu_version: str


async def hold(monitor: Monitor) -> bool:
    """Hold the guest so that its state can be written; returns whether it executed before.

    Raises:
        MonitorGone, MonitorRefused: it does not.
    """
    word = (await monitor.execute("query-status"))["status"]
    if word == "postmigrate":
        # QEMU writes a state only once per time that its guest executed: the one of an earlier snapshot counts.
        await monitor.execute("cont")
    await monitor.execute("stop")
    # One that waits for space on the disk may try again as well as not.
    return bool(word in ("running", "io-error"))


async def write_state(monitor: Monitor, folder: VmFolder, accelerator: str, qemu: Qemu) -> None:
    """Write the state of a stopped VM; afterwards the folder has a whole saved state.

    Raises:
        DiskFull, SaveFailed: nothing half-written stays; the VM is stopped as before.
    """
    try:
        await _migrate_out(monitor, folder, qemu)
        await keep_state(folder, accelerator, qemu.version_text)
    except (OSError, MonitorGone, MonitorRefused, SaveFailed, DiskFull) as error:
        folder.forget_saved_state()
        raise _as_save_error(error, folder, monitor.vm_id) from error


async def keep_state(folder: VmFolder, accelerator: str, qemu_version: str) -> None:
    """Turn a completely written partial state into the saved one."""
    facts = await asyncio.to_thread(_facts, folder.partial_state, accelerator, qemu_version)
    write_whole(folder.saved_facts, json.dumps(asdict(facts)))
    folder.partial_state.replace(folder.saved_state)
    await asyncio.to_thread(sync, folder.path)


async def check_state(folder: VmFolder) -> SavedFacts | None:
    """The facts of the saved state if it is whole and as it was written; else None."""
    try:
        facts = SavedFacts(**json.loads(folder.saved_facts.read_text(encoding="utf-8")))
        size_bytes, checksum = await asyncio.to_thread(_measure, folder.saved_state)
    except (OSError, ValueError, TypeError):
        return None
    return facts if (size_bytes, checksum) == (facts.size_bytes, facts.checksum) else None


async def load_state(monitor: Monitor, folder: VmFolder, qemu: Qemu) -> None:
    """Have a QEMU that was started to restore take the state; the guest stays stopped.

    Raises:
        MonitorGone, MonitorRefused: it did not; that QEMU is of no use any more.
    """
    uri = await _hand_over(monitor, folder.saved_state, os.O_RDONLY, qemu)
    await monitor.execute("migrate-incoming", uri=uri)
    status = await _wait_done(monitor, LOAD_LIMIT_S)
    if status.get("status") != "completed":
        raise MonitorRefused(monitor.vm_id, "migrate-incoming", str(status.get("error-desc", status)))


async def is_written(monitor: Monitor) -> bool:
    """Whether QEMU has completed writing a state."""
    status = await monitor.execute("query-migrate")
    return isinstance(status, dict) and status.get("status") == "completed"


async def _migrate_out(monitor: Monitor, folder: VmFolder, qemu: Qemu) -> None:
    uri = await _hand_over(monitor, folder.partial_state, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, qemu)
    await monitor.execute("migrate-set-parameters", max_bandwidth=_BANDWIDTH)
    await monitor.execute("migrate", uri=uri)
    status = await _wait_done(monitor, SAVE_LIMIT_S, folder.partial_state)
    if status.get("status") != "completed":
        raise SaveFailed(monitor.vm_id, str(status.get("error-desc", status)))


async def _hand_over(monitor: Monitor, path: Path, flags: int, qemu: Qemu) -> str:
    """Give QEMU the file; returns what it calls it."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        if qemu.has_file_migration:
            return f"file:{path}"
        await monitor.send_file(_FILE, descriptor)
    finally:
        os.close(descriptor)
    return f"fd:{_FILE}"


async def _wait_done(monitor: Monitor, timeout_s: float, written: Path | None = None) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    end, most = loop.time() + timeout_s, 0
    while True:
        status: dict[str, Any] = await monitor.execute("query-migrate")
        if status.get("status") in ("completed", "failed", "cancelled"):
            return status
        size_bytes = size_of(written)
        if size_bytes > most:
            end, most = loop.time() + timeout_s, size_bytes
        if loop.time() >= end:
            await monitor.execute("migrate_cancel")
            return {"error-desc": f"not done within {timeout_s:g} s"}
        await asyncio.sleep(_POLL_S)


def _facts(path: Path, accelerator: str, qemu_version: str) -> SavedFacts:
    size_bytes, checksum = _measure(path)
    sync(path)
    return SavedFacts(size_bytes, checksum, accelerator, qemu_version)


def _measure(path: Path) -> tuple[int, int]:
    size_bytes = checksum = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return size_bytes, checksum


def _as_save_error(error: Exception, folder: VmFolder, vm_id: str) -> Exception:
    if isinstance(error, OSError):
        known = disk_full_or(error, folder.path)
        return known if isinstance(known, DiskFull) else SaveFailed(vm_id, str(error))
    if isinstance(error, MonitorGone | MonitorRefused):
        return SaveFailed(vm_id, error.said)
    if isinstance(error, SaveFailed) and os.strerror(errno.ENOSPC) in error.said:
        return DiskFull(str(folder.path), 0, free_bytes(folder.path))
    return error
