"""Brings a disk into another form, with qemu-img or VBoxManage. Kind "convert" of `worker_child`.

order   {"path", "sha256", "format", "virtual_bytes", "wanted", "part", "tools": {"qemu-img": path, "VBoxManage": path}}
result  {"sha256", "size_bytes", "tool"}; the disk is at "part"

The tools are told the form and that it is a file: left to find out, they would take a raw disk for whatever its guest
has written into its first bytes, and open any file of this computer that is named there.

Source: qemu-img(1) of 7.2, "--image-opts" and "-p"; VirtualBox's manual, "VBoxManage clonemedium", "convertfromraw".
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from client import process
from client.appliance.errors import (
    ApplianceAltered,
    ApplianceMissing,
    ConversionFailed,
    ImageRefused,
    NoConverter,
)
from client.appliance.fault import need_space
from client.appliance.formats import Format, Found, look_at
from client.appliance.worker_child import Face
from client.errors import CommandFailed, DiskFull

QEMU_IMG: Final = "qemu-img"
VBOXMANAGE: Final = "VBoxManage"
#: as qemu-img calls them
_QEMU_NAMES: Final = {Format.VHD: "vpc"}
#: as VBoxManage calls what it can write
_VBOX_NAMES: Final = {Format.VDI: "VDI", Format.RAW: "RAW"}
_VBOX_READS: Final = frozenset({Format.VDI, Format.VMDK, Format.VHD, Format.RAW})
_QEMU_WRITES: Final = frozenset({Format.QCOW2, Format.RAW, Format.VDI})
#: no byte written and no percent more for so long: it hangs
_STALL_S: Final = 180.0
_POLL_S: Final = 0.2
_ASK_LIMIT_S: Final = 60.0
_CHUNK_BYTES: Final = 1 << 20
_TAIL_BYTES: Final = 4000
_MEMORY_BYTES: Final = 2 * 2**30
_PERCENT_OF_QEMU: Final = re.compile(r"\((\d{1,3}(?:\.\d+)?)/100%\)")
_STEP_OF_VBOX: Final = re.compile(r"(\d{1,3})%")
_NO_SPACE: Final = ("No space left on device", "VERR_DISK_FULL", "File too large")


def convert(order: Mapping[str, Any], face: Face) -> Mapping[str, Any]:
    """Bring a disk into another form.

    Raises:
        NoConverter, ConversionFailed, DiskFull
        ApplianceAltered: the disk is not the one that was added.
        Stopped: nothing is left, and so it is after every error.
    """
    job = Conversion(order, face)
    try:
        return job.run()
    except BaseException:
        job.part.unlink(missing_ok=True)
        raise


class Conversion:
    """One of them."""

    def __init__(self, order: Mapping[str, Any], face: Face) -> None:
        self.part = Path(order["part"]).absolute()
        self._path = Path(order["path"]).absolute()
        self._sha256 = str(order["sha256"])
        self._found, self._wanted = Format(order["format"]), Format(order["wanted"])
        self._tools: Mapping[str, str] = order["tools"]
        self._stall_s = float(order.get("stall_s", _STALL_S))
        self._face = face

    def run(self) -> Mapping[str, Any]:
        """See `convert`."""
        tool = choose_tool(self._tools, self._found, self._wanted)
        found = self._examined()
        # Whatever a tool leaves when it fails; it wants to make the file itself.
        self.part.unlink(missing_ok=True)
        if tool == QEMU_IMG:
            self._by_qemu(found)
        else:
            self._by_virtualbox(found)
        self._check(found, tool)
        return {
            "sha256": self._digest(self.part, "verifying"),
            "size_bytes": self.part.stat().st_size,
            "tool": tool,
        }

    def _examined(self) -> Found:
        try:
            found = look_at(self._path)
        except ImageRefused as error:
            raise ApplianceMissing(str(self._path)) from error
        digest = self._digest(self._path, "verifying")
        if digest != self._sha256 or found.format is not self._found or found.extents:
            raise ApplianceAltered(str(self._path), self._sha256, digest)
        return found

    def _by_qemu(self, found: Found) -> None:
        tool, source = self._tools[QEMU_IMG], qemu_options(self._path, found.format)
        about = self._ask(tool, "info", "--output=json", "--image-opts", source)
        others = [key for key in about if key in ("backing-filename", "full-backing-filename")]
        if others or about.get("virtual-size") != found.virtual_bytes:
            raise ConversionFailed(str(self._path), QEMU_IMG, "it reads another disk in it than this program")
        measured = self._ask(
            tool, "measure", "--output=json", "-O", self._wanted.value, "--image-opts", source, check=False
        )
        need_space(self.part.parent, int(measured.get("required", found.size_bytes)))
        words = (tool, "convert", "-p", "--image-opts", "-O", self._wanted.value, source, str(self.part))
        self._watch((*_limits(found.virtual_bytes), *words), QEMU_IMG, found, _PERCENT_OF_QEMU, {})

    def _by_virtualbox(self, found: Found) -> None:
        need_space(self.part.parent, found.virtual_bytes if self._wanted is Format.RAW else found.size_bytes)
        tool = self._tools[VBOXMANAGE]
        with private_virtualbox() as env:
            for words in virtualbox_commands(self._path, self.part, found.format, self._wanted):
                self._watch((tool, *words), VBOXMANAGE, found, _STEP_OF_VBOX, env)

    def _ask(self, *command: str, check: bool = True) -> Mapping[str, Any]:
        try:
            done = asyncio.run(process.run(command, timeout_s=_ASK_LIMIT_S, check=check, most_bytes=1 << 20))
        except CommandFailed as error:
            raise ConversionFailed(str(self._path), QEMU_IMG, _last_line(error.stderr)) from error
        try:
            said = json.loads(done.stdout or b"{}")
        except ValueError:
            said = {}
        return said if isinstance(said, dict) else {}

    def _watch(
        self, command: tuple[str, ...], tool: str, found: Found, percent: re.Pattern[str], env: Mapping[str, str]
    ) -> None:
        log = self.part.with_name(f"{self.part.name}.log.part")
        try:
            log.unlink(missing_ok=True)
            exit_code = asyncio.run(self._run(command, tool, log, found, percent, env))
            said = _tail(log)
        finally:
            log.unlink(missing_ok=True)
        if any(one in said for one in _NO_SPACE):
            folder = self.part.parent
            raise DiskFull(str(folder), 0, shutil.disk_usage(folder).free)
        if exit_code:
            raise ConversionFailed(str(self._path), tool, _last_line(said) or f"exit code {exit_code}")

    async def _run(
        self,
        command: tuple[str, ...],
        tool: str,
        log: Path,
        found: Found,
        percent: re.Pattern[str],
        env: Mapping[str, str],
    ) -> int | None:
        clock = asyncio.get_running_loop().time
        child = await process.start(command, env=env, output=log)
        seen, moved_at = (-1, 0), clock()
        try:
            while await child.wait(_POLL_S) is None:
                self._face.check()
                done = int(float(([*percent.findall(_tail(log))] or ["0"])[-1]) * found.virtual_bytes / 100)
                now = (done, _size(self.part))
                if now != seen:
                    seen, moved_at = now, clock()
                elif clock() - moved_at > self._stall_s:
                    raise ConversionFailed(str(self._path), tool, f"it did nothing for {self._stall_s:g} s")
                self._face.progress(step="converting", done_bytes=done, total_bytes=found.virtual_bytes)
        finally:
            await child.stop()
        return child.exit_code

    def _check(self, found: Found, tool: str) -> None:
        """See that what came out is what was wanted: no tool is believed."""
        try:
            made = look_at(self.part)
        except ImageRefused as error:
            raise ConversionFailed(str(self._path), tool, f"what it wrote cannot be used: {error.what}") from error
        # VDI has whole blocks of 1 MiB.
        if made.format is not self._wanted or not 0 <= made.virtual_bytes - found.virtual_bytes < 1 << 20:
            raise ConversionFailed(str(self._path), tool, f"it wrote {made.format} of {made.virtual_bytes} bytes")

    def _digest(self, path: Path, step: str) -> str:
        digest, done, total = hashlib.sha256(), 0, path.stat().st_size
        with path.open("rb") as file:
            while data := file.read(_CHUNK_BYTES):
                self._face.check()
                digest.update(data)
                done += len(data)
                self._face.progress(step=step, done_bytes=done, total_bytes=total)
        return digest.hexdigest()


def choose_tool(tools: Mapping[str, str], found: Format, wanted: Format) -> str:
    """The program that does it, of those that are here.

    Raises:
        NoConverter
    """
    if tools.get(QEMU_IMG) and wanted in _QEMU_WRITES:
        return QEMU_IMG
    if tools.get(VBOXMANAGE) and found in _VBOX_READS and wanted in _VBOX_NAMES and found is not wanted:
        return VBOXMANAGE
    raise NoConverter(found.value, wanted.value)


def qemu_options(path: Path, format: Format) -> str:
    """A disk as `--image-opts` has it: its form and that it is a plain file, nothing left to be found out."""
    driver = _QEMU_NAMES.get(format, format.value)
    # Other programs than QEMU note another geometry in a VHD, which is shorter than the disk.
    extra = ",force_size_calc=current_size" if format is Format.VHD else ""
    name = str(path).replace(",", ",,")
    return f"driver={driver}{extra},read-only=on,file.driver=file,file.filename={name}"


def virtualbox_commands(path: Path, part: Path, found: Format, wanted: Format) -> tuple[tuple[str, ...], ...]:
    """What VBoxManage is told, one after the other."""
    if found is Format.RAW:
        return (("convertfromraw", str(path), str(part), "--format", _VBOX_NAMES[wanted]),)
    clone = ("clonemedium", "disk", str(path), str(part), "--format", _VBOX_NAMES[wanted])
    return (clone, ("closemedium", "disk", str(part)), ("closemedium", "disk", str(path)))


@contextlib.contextmanager
def private_virtualbox() -> Iterator[Mapping[str, str]]:
    """Variables for a VirtualBox with a register of its own: a copy has the identity of the user's own disk, and
    VirtualBox refuses to know two of one identity.
    """
    with tempfile.TemporaryDirectory(prefix="volunteer-cloud-", ignore_cleanup_errors=True) as folder:
        yield {"VBOX_USER_HOME": folder, "VBOX_IPC_SOCKETID": Path(folder).name}


def _limits(virtual_bytes: int) -> tuple[str, ...]:
    """A command before the command that keeps it from taking memory and disk without end.

    Source: prlimit(1) of util-linux, which every Debian has.
    """
    found = shutil.which("prlimit") if sys.platform == "linux" else None
    most = virtual_bytes + virtual_bytes // 64 + (64 << 20)
    return (found, f"--as={_MEMORY_BYTES}", f"--fsize={most}", "--core=0") if found else ()


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return file.read().decode(errors="replace")
    return ""


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines()]
    words = [line for line in lines if line and not _PERCENT_OF_QEMU.fullmatch(line)]
    return words[-1][:500] if words else ""


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
