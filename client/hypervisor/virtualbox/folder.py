"""A VM's folder and the list of machines: what must be known before VirtualBox is asked, and after it has forgotten.

The UUID of a machine is chosen here and written down before VirtualBox hears of it, so one that was half made when the
client was killed is found again. The spec is written last: a folder without one is half-made.

    <folder>/machines.json        vm_id -> UUID of every machine that may exist
    <folder>/ports.json           vm_id -> route -> the loopback port that the guest was told
    <folder>/_bases/<key>.vdi     templates, converted once, shared by all VMs
    <folder>/<vm_id>/             spec.json, record.json, traffic.json, console, link, outbox, VirtualBox's folder
"""

import asyncio
import contextlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import VmFolderUnreadable
from client.hypervisor.files import disk_full_or
from client.hypervisor.spec_file import build_spec_text, is_valid_vm_id, parse_spec
from client.hypervisor.virtualbox.link import link_address
from client.hypervisor.virtualbox.settings_file import Settings, parse_settings
from client.paths import write_atomic

#: In the driver's folder: vm_id -> UUID of every machine that may exist.
LEDGER_FILE: Final = "machines.json"
#: In the driver's folder: the base disks that VMs share.
BASES: Final = "_bases"

#: Whether the VM ought to be running, as `Record.phase` has it.
STOPPED: Final = "stopped"
RUNNING: Final = "running"

_SHORT_ID_CHARS: Final = 8
_NAME_CHARS: Final = 24
_NAME_MARK: Final = "vc-"


@dataclass(frozen=True)
class Record:
    """What the driver knows of a VM that VirtualBox does not, or tells too dearly.

    Attributes:
        uuid, name: under which VirtualBox has it; chosen before it has.
        media: role -> file in its drive, as last attached.
        phase: whether it ought to be running; a VM that stopped without our doing has failed only if it ought to.
        pid, started_at: its process; 0 when there is none or it is not known yet.
        own_resets: resets in the log that were asked for.
        restored: whether its process began with a saved state.
        network: whether the network card's cable is in, as last asked for; None: as the spec says.
        unplugged: whether the guest link's line may have been left unplugged.
        changing: whether VirtualBox may have only a part of the last change.
        pending: verb of `controlvm` -> value, for when it runs again.
    """

    uuid: str = ""
    name: str = ""
    link: str = ""
    media: dict[str, str] = field(default_factory=dict)
    phase: str = STOPPED
    pid: int = 0
    started_at: str = ""
    accelerator: str = ""
    note: str = ""
    own_resets: int = 0
    restored: bool = False
    network: bool | None = None
    unplugged: bool = False
    changing: bool = False
    pending: dict[str, str] = field(default_factory=dict)


class VmFolder:
    """Names and small files of one VM."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.console = path / filenames.VM_CONSOLE
        self.traffic = path / f"{filenames.VM_TRAFFIC}.json"
        self._spec_file = path / filenames.VM_SPEC
        self._record_file = path / filenames.VM_RECORD
        self._record: Record | None = None

    @property
    def vm_id(self) -> str:
        """The folder's name."""
        return self.path.name

    def spec(self) -> VmSpec | None:
        """The spec; None when there is none or it is not whole, that is: the folder is half-made.

        Raises:
            VmFolderUnreadable: it is there and cannot be read now.
        """
        text = _read(self._spec_file, self.vm_id)
        try:
            return parse_spec(text)
        except ValueError:
            return None

    def holds_work(self) -> bool:
        """Whether its disks may hold something: it was made whole once, whatever of it can be read now."""
        record = self.record()
        has_run = bool(record.accelerator) or record.restored
        return self._spec_file.exists() or has_run or (not record.uuid and any(self.path.glob(f"{_NAME_MARK}*")))

    def write_spec(self, spec: VmSpec) -> None:
        """Keep the spec; from now on the VM is defined."""
        self._write(self._spec_file, build_spec_text(spec))

    def record(self) -> Record:
        """What is known; a fresh one when nothing is. One that is damaged has the UUID by the list of machines.

        Raises:
            VmFolderUnreadable: it is there and cannot be read now.
        """
        if self._record is None:
            text = _read(self._record_file, self.vm_id)
            if not text and not self._record_file.exists():
                return Record()
            try:
                plain: dict[str, Any] = json.loads(text)
                # A later version of this program may have left more.
                known = {one.name for one in fields(Record)}
                self._record = Record(**{name: value for name, value in plain.items() if name in known})
            except (ValueError, TypeError, AttributeError):
                self._record = self._recovered()
        return self._record

    def write_record(self, **changes: Any) -> Record:
        """Change fields of the record; returns the new one."""
        before = self.record()
        after = replace(before, **changes)
        if after != before:
            self._write(self._record_file, json.dumps(asdict(after)))
            self._record = after
        return after

    def christen(self) -> Record:
        """Choose UUID and name of a new machine."""
        identity = str(uuid.uuid4())
        return self.write_record(**asdict(Record(uuid=identity, name=self._name(identity))))

    @property
    def machine_folder(self) -> Path:
        """VirtualBox's own folder in this one."""
        return self.path / (self.record().name or "machine")

    @property
    def settings_file(self) -> Path:
        """The machine's settings; written by VirtualBox."""
        return self.machine_folder / f"{self.machine_folder.name}.vbox"

    @property
    def log_file(self) -> Path:
        """What the VM's process says of itself; kept anew at each start."""
        return self.machine_folder / "Logs" / "VBox.log"

    def states(self) -> tuple[int, ...]:
        """Bytes of each written state, of snapshots too; the one that is written now, or was last, at the end."""
        try:
            found = [path.stat() for path in (self.machine_folder / "Snapshots").glob("*.sav")]
        except OSError:
            return ()
        return tuple(one.st_size for one in sorted(found, key=lambda one: one.st_mtime_ns))

    def state_bytes(self) -> int:
        """Bytes of all written states; differs when more of one has been written."""
        return sum(self.states())

    def settings(self) -> Settings | None:
        """The machine's settings; None when there are none or they are not whole.

        Raises:
            VmFolderUnreadable: they are there and cannot be read now.
        """
        return _settings(_read(self.settings_file, self.vm_id))

    def take_former_settings(self, disks: int) -> None:
        """Put the settings that VirtualBox keeps of before its last change in the place of those that are damaged.

        Args:
            disks: how many the VM has; settings of before it had them all are not taken.
        """
        text = _read(self.settings_file.with_name(self.settings_file.name + "-prev"), self.vm_id)
        former = _settings(text)
        fits = former is not None and former.uuid == self.record().uuid and former.attached >= disks
        if fits and self.settings() is None:
            self._write(self.settings_file, text)

    def settings_sign(self) -> tuple[int, int, int]:
        """A value that differs when the settings have been written anew."""
        try:
            found = self.settings_file.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def remove(self) -> None:
        """Remove it all."""
        self._record = None
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def _name(self, identity: str) -> str:
        return f"{_NAME_MARK}{self.vm_id[:_NAME_CHARS]}-{identity[:_SHORT_ID_CHARS]}"

    def _recovered(self) -> Record:
        """As much of a damaged record as is known otherwise."""
        listed = Ledger(self.path.parent / LEDGER_FILE).all().get(self.vm_id)
        if not isinstance(listed, str) or not listed:
            return Record()
        # How its process began is not known: it is treated as what needs more care.
        return Record(uuid=listed, name=self._name(listed), link=link_address(self.path, listed), restored=True)

    def _write(self, path: Path, text: str) -> None:
        try:
            write_atomic(path, text.encode())
        except OSError as error:
            raise disk_full_or(error, self.path) from error


def _read(path: Path, vm_id: str) -> str:
    """A file's text; empty when it is not there. What cannot be understood as text is replaced."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise VmFolderUnreadable(vm_id, str(path), error.strerror or str(error)) from error


def _settings(text: str) -> Settings | None:
    try:
        return parse_settings(text)
    except ValueError:
        return None


def vm_names(folder: Path) -> list[str]:
    """Ids of all VMs in a driver's folder, half-made ones too, sorted."""
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(name for name in names if is_valid_vm_id(name))


def used_media(folder: Path, but: str = "") -> set[str]:
    """The files in the drives of all VMs of a folder, but of one."""
    names = [name for name in vm_names(folder) if name != but]
    return {medium for name in names for medium in VmFolder(folder / name).record().media.values()}


class Ledger:
    """A small table of tables in the driver's folder, read anew each time.

    Args:
        path: the file; it need not exist.

    Attributes:
        lock: held while what it lists, or the files that all VMs share, does not agree with VirtualBox's books.
    """

    def __init__(self, path: Path) -> None:
        self.lock = asyncio.Lock()
        self._path = path

    def all(self) -> dict[str, Any]:
        """Everything in it.

        Raises:
            VmFolderUnreadable: it is there and cannot be read now.
        """
        try:
            plain = json.loads(_read(self._path, ""))
        except ValueError:
            return {}
        return plain if isinstance(plain, dict) else {}

    def put(self, key: str, value: str | Mapping[str, int] | None) -> None:
        """Keep a value; None forgets it. See `change`."""
        self.change({key: value})

    def change(self, values: Mapping[str, str | Mapping[str, int] | None]) -> None:
        """Keep several values at once; None forgets one.

        Raises:
            VmFolderUnreadable: the table is there and cannot be read now, so writing it would lose the rest.
        """
        before = self.all()
        after = {name: one for name, one in {**before, **values}.items() if one is not None}
        if after != before:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_atomic(self._path, json.dumps(after).encode())
            except OSError as error:
                raise disk_full_or(error, self._path.parent) from error
