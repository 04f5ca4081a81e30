"""The program xdelta3: makes patches for those who publish, applies them for those who volunteer.

Source: xdelta3(1), version 3.0.11. `-B` is how much of the old file is held in memory, both when a patch is made and
when it is applied; a patch that was made with more can be applied with less. Figures are in docs/downloads.md.
"""

import asyncio
import contextlib
import shutil
import sys
from pathlib import Path
from typing import Final

from client import process
from client.appliance.target import MAX_TARGET_BYTES
from client.appliance.worker_child import Face

PROGRAM: Final = "xdelta3"
#: of the old file, in memory
_MAKE_WINDOW: Final = 128 * 2**20
_APPLY_WINDOW: Final = 32 * 2**20
#: the program must do with so much, or it is ended; it takes about 50 MB
_APPLY_MEMORY: Final = 256 * 2**20
_MAKE_LIMIT_S: Final = 4 * 3600.0
#: a slow disk and a slow processor together do more than this a second
_SLOWEST_BYTES_PER_S: Final = 500_000
_LEAST_LIMIT_S: Final = 120.0


class PatchFailed(Exception):
    """A patch could not be applied; in words for the log."""


def is_there() -> bool:
    """Whether patches can be made and applied here."""
    return shutil.which(PROGRAM) is not None


def make_patch(old: Path, new: Path, out: Path) -> None:
    """Write what makes `new` out of `old`. Takes about 25 s and 0.5 GB of memory for files of 1 GB; blocks.

    Raises:
        ToolMissing: the program is not installed.
        CommandFailed: it failed; `out` is not there then.
    """
    settings = ("-9", "-S", "lzma", "-B", str(_MAKE_WINDOW))
    # Without -A the names of the publisher's own files would stand in the patch.
    command = (PROGRAM, "-e", "-q", "-f", "-A", *settings, "-s", str(old), str(new), str(out))
    try:
        asyncio.run(process.run(command, timeout_s=_MAKE_LIMIT_S))
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def apply_patch(old: Path, patch: Path, out: Path, size_bytes: int, face: Face) -> None:
    """Make the new file out of the old one, in a process with bounded memory. What comes out is not verified.

    Args:
        size_bytes: of the new file; the program cannot write more.

    Raises:
        PatchFailed
        Stopped
    """
    assert 0 < size_bytes <= MAX_TARGET_BYTES
    command = (PROGRAM, "-d", "-q", "-f", "-B", str(_APPLY_WINDOW), "-s", str(old), str(patch), str(out))
    log = patch.with_name(patch.name + ".log")
    log.unlink(missing_ok=True)
    try:
        exit_code = asyncio.run(_run((*_limits(size_bytes), *command), log, out, size_bytes, face))
        if exit_code != 0:
            raise PatchFailed(_said(log) or f"{PROGRAM} ended with {exit_code}")
    finally:
        log.unlink(missing_ok=True)


async def _run(command: tuple[str, ...], log: Path, out: Path, size_bytes: int, face: Face) -> int | None:
    child = await process.start(command, output=log)
    ends = asyncio.get_running_loop().time() + max(_LEAST_LIMIT_S, size_bytes / _SLOWEST_BYTES_PER_S)
    try:
        while await child.wait(0.2) is None:
            face.check()
            face.progress(step="patching", done_bytes=_size(out), total_bytes=size_bytes)
            if asyncio.get_running_loop().time() > ends:
                raise PatchFailed(f"{PROGRAM} was not done in time")
    finally:
        await child.stop()
    return child.exit_code


def _limits(size_bytes: int) -> tuple[str, ...]:
    """A command before the command that keeps it from taking memory and disk without end.

    Source: prlimit(1) of util-linux, which every Debian has.
    """
    found = shutil.which("prlimit") if sys.platform == "linux" else None
    return (found, f"--as={_APPLY_MEMORY}", f"--fsize={size_bytes}", "--core=0") if found else ()


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _said(log: Path) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        return file.read(2000).decode(errors="replace").strip().partition("\n")[0]
    return ""
