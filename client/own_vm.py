"""A volunteer's own virtual machine: what it is and what is wanted of it, kept in <base>/own/<vm_id>/vm.toml.

The file is written last when one is made and removed last when one goes: a folder without it is a half-made one, and a
folder with one that cannot be read is somebody's, so nothing is done to it.
"""

import contextlib
import json
import re
import shutil
import tomllib
import unicodedata
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.errors import BadInput
from client.paths import write_atomic

#: what the project's VM is called, as an id and wherever a person names one
PROJECTS_NAME: Final = "work-1"
#: what the ids of all own VMs begin with, and no other's: by it they are told apart from a project's
MARK: Final = "own-"
LONGEST_NAME: Final = 40
#: of one whose owner and image say nothing
USUAL_CPUS: Final = 1
USUAL_MEMORY_MIB: Final = 512
LEAST_MEMORY_MIB: Final = 64
MOST_MEMORY_MIB: Final = 1 << 20
MOST_CPUS: Final = 64
MOST_DISK_GIB: Final = 2048
_MOST_BYTES: Final = 16384
_NOT_IN_ID: Final = re.compile(r"[^a-z0-9]+")
_ID: Final = re.compile(r"own-[a-z0-9][a-z0-9-]{0,58}")


class Wish(StrEnum):
    """What the volunteer last asked of the VM."""

    #: execute, also after a restart of the program
    RUN = "run"
    #: be held in memory
    HOLD = "hold"
    #: have its state on disk; also of one that was never started
    REST = "rest"
    #: be off, without a saved state
    OFF = "off"


class Boots(StrEnum):
    """What the VM boots from."""

    CD = "cd"
    DISK = "disk"


class Network(StrEnum):
    """What the VM may reach."""

    #: nothing: no cable is in its network card
    NONE = "none"
    #: whatever the computer reaches, also the other devices of its own network
    NAT = "nat"


@dataclass(frozen=True)
class OwnVm:
    """One own VM.

    Attributes:
        vm_id: MARK and letters, digits, dashes; the name of its folder.
        name: as the volunteer wrote it; unique by what is left of it in `vm_id`.
        image: file that it boots from; never written to.
        image_name: as the volunteer knows it.
        disk_gib: size of its disk if it boots from a CD; 0: none. One that boots from a disk has that disk's size.
        template: name of the template that its context medium was made from; empty: it has none.
        stopped: everything was stopped at once; Start lets it go on.
        removing: it is being removed; this cannot be taken back.
        hypervisor: driver that has its disk; empty until it was first started.
    """

    vm_id: str
    name: str
    image: Path
    image_name: str
    boots: Boots
    cpus: int = USUAL_CPUS
    memory_mib: int = USUAL_MEMORY_MIB
    disk_gib: int = 0
    network: Network = Network.NONE
    template: str = ""
    wish: Wish = Wish.REST
    stopped: bool = False
    removing: bool = False
    hypervisor: str = ""


def is_own(vm_id: str) -> bool:
    """Whether a VM with this id is a volunteer's own one."""
    return _ID.fullmatch(vm_id) is not None


def id_of(name: str) -> str:
    """The id of an own VM of this name; names that differ only in case, blanks and signs have the same one.

    Raises:
        BadInput: it is no name.
    """
    fault = fault_of_name(name)
    if fault:
        raise BadInput("the name", fault, "choose another one")
    return MARK + _plain(name)


def fault_of_name(name: str) -> str:
    """What keeps a text from being the name of an own VM; empty when nothing does."""
    if not name.strip():
        return "it must have a name"
    if len(name) > LONGEST_NAME or name != name.strip():
        return f"it must have at most {LONGEST_NAME} characters, and no blank at its ends"
    if any(unicodedata.category(sign)[0] in "CZ" and sign != " " for sign in name):
        return "it must have letters, digits, signs and single blanks only"
    if name.casefold() == PROJECTS_NAME:
        return f"{PROJECTS_NAME} is the project's"
    if not _plain(name):
        return "it must have a letter from a to z or a digit in it"
    return ""


def fault_of_size(vm: OwnVm) -> str:
    """What is wrong with a VM's processors, memory or disk; empty when nothing is."""
    if not 1 <= vm.cpus <= MOST_CPUS:
        return f"it can have 1 to {MOST_CPUS} processors"
    if not LEAST_MEMORY_MIB <= vm.memory_mib <= MOST_MEMORY_MIB:
        return f"it can have {LEAST_MEMORY_MIB} to {MOST_MEMORY_MIB:,} MiB of memory"
    if not 0 <= vm.disk_gib <= MOST_DISK_GIB:
        return f"its disk can have 0 to {MOST_DISK_GIB:,} GiB"
    return ""


def build_text(vm: OwnVm) -> str:
    """The VM as TOML."""
    lines = ["# A virtual machine of your own. Change it while the program does not run."]
    for key, value in asdict(vm).items():
        plain = value if isinstance(value, bool | int) else str(value)
        # JSON's words for text, whole numbers and switches are TOML's, as long as nothing but ASCII control is escaped.
        lines.append(f"{key} = {json.dumps(plain, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def parse_text(text: str, vm_id: str) -> OwnVm:
    """The VM that `build_text` wrote.

    Raises:
        ValueError: it is none, or that of another id.
    """
    said = tomllib.loads(text)
    vm = OwnVm(
        vm_id=_text(said, "vm_id"),
        name=_text(said, "name"),
        image=Path(_text(said, "image")),
        image_name=_text(said, "image_name"),
        boots=Boots(_text(said, "boots")),
        cpus=_number(said, "cpus"),
        memory_mib=_number(said, "memory_mib"),
        disk_gib=_number(said, "disk_gib"),
        network=Network(_text(said, "network")),
        template=_text(said, "template"),
        wish=Wish(_text(said, "wish")),
        stopped=said.get("stopped") is True,
        removing=said.get("removing") is True,
        hypervisor=_text(said, "hypervisor"),
    )
    fault = fault_of_name(vm.name) or fault_of_size(vm)
    if fault:
        raise ValueError(fault)
    if vm.vm_id != vm_id or not is_own(vm_id) or not vm.image.is_absolute():
        raise ValueError("it is another one's, or names no file")
    return vm


class OwnStore:
    """The own VMs on disk. Every method may block for as long as the disk does.

    Args:
        folder: of all of them; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, vm_id: str) -> Path:
        """The folder of one."""
        return self._folder / vm_id

    def disk(self, vm_id: str) -> Path:
        """The empty disk that one begins with, if it boots from a CD and has one."""
        return self.place(vm_id) / filenames.OWN_DISK

    def load(self) -> tuple[tuple[OwnVm, ...], frozenset[str]]:
        """All of them by name, and the ids of those whose file is there and cannot be read.

        Raises:
            OSError: the folder cannot be read, so that nothing is known.
        """
        found: list[OwnVm] = []
        unreadable: set[str] = set()
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if not is_own(folder.name):
                continue
            try:
                found.append(_read(folder / filenames.OWN_VM, folder.name))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                unreadable.add(folder.name)
        return tuple(sorted(found, key=lambda vm: vm.name.casefold())), frozenset(unreadable)

    def half_made(self) -> tuple[str, ...]:
        """The ids of those that were never made to the end, or not removed to the end."""
        folders = self._folder.iterdir() if self._folder.is_dir() else ()
        return tuple(sorted(one.name for one in folders if is_own(one.name) and not (one / filenames.OWN_VM).exists()))

    def begin(self, vm_id: str) -> None:
        """Make the folder of a new one.

        Raises:
            FileExistsError: there is one of that id.
            OSError: it cannot be made.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.place(vm_id).mkdir(mode=0o700)

    def save(self, vm: OwnVm) -> None:
        """Write it whole or not at all; a new one is there from now on."""
        write_atomic(self.place(vm.vm_id) / filenames.OWN_VM, build_text(vm).encode())

    def forget(self, vm_id: str) -> None:
        """Remove all that is kept of it; what is not there is fine."""
        (self.place(vm_id) / filenames.OWN_VM).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.place(vm_id))


def _read(path: Path, vm_id: str) -> OwnVm:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too long")
    return parse_text(data.decode("utf-8"), vm_id)


def _plain(name: str) -> str:
    spelled = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _NOT_IN_ID.sub("-", spelled).strip("-")


def _text(said: dict[str, Any], key: str) -> str:
    value = said[key]
    if not isinstance(value, str) or any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in value):
        raise ValueError(f"{key} must be a line of text")
    return value


def _number(said: dict[str, Any], key: str) -> int:
    value = said[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} must be a whole number")
    return value
