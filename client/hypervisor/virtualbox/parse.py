"""What VBoxManage prints, as values. Pure; made for VirtualBox 5.2 to 7.2.

Nothing here raises on odd text: what cannot be read is left out, unknown words become UNKNOWN and a log line.
"""

import re
from dataclasses import dataclass
from typing import Final

from client import log
from client.snapshot import VmState

_log = log.logger("hypervisor")

#: what VirtualBox calls a VM whose settings it cannot read
INACCESSIBLE: Final = "<inaccessible>"
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_VERSION: Final = re.compile(r"^(\d+)\.(\d+)\.(\d+)(?:[_-][\w.~+-]*?)?(?:r(\d+))?\s*$", re.MULTILINE)
_LISTED_VM: Final = re.compile(rf'^(?:"(?P<name>.*)"|(?P<bare>{INACCESSIBLE})) \{{(?P<uuid>{_UUID})\}}$', re.MULTILINE)
_KEY: Final = re.compile(r'^("(?:[^"\\]|\\.)*"|[A-Za-z][^="]*)=(.*)$')
_OLD_PATH: Final = re.compile(r'^"[A-Za-z]:\\(?!\\)')
_ESCAPED: Final = re.compile(r'\\([\\"])')
_FIELD: Final = re.compile(r"^(\S[^:]*):[ \t]*(.*)$")
_USAGE: Final = re.compile(rf"^.*? \(UUID: (?P<vm>{_UUID})\)(?: \[.*\])?$")
_EXTRADATA: Final = re.compile(r"^Key: (.*?), Value: (.*)$", re.MULTILINE)

#: Source: the machine states of VirtualBox's SDK reference and the short words that `showvminfo` has for them.
_STATES: Final = {
    "poweroff": VmState.DEFINED,
    "teleported": VmState.DEFINED,
    "saved": VmState.SAVED,
    # The host went down while it was being restored: the saved state is still there.
    "aborted-saved": VmState.SAVED,
    "aborted": VmState.FAILED,
    "gurumeditation": VmState.FAILED,
    "starting": VmState.STARTING,
    "restoring": VmState.STARTING,
    "teleportingin": VmState.STARTING,
    "running": VmState.RUNNING,
    "teleporting": VmState.RUNNING,
    "livesnapshotting": VmState.RUNNING,
    "onlinesnapshotting": VmState.RUNNING,
    "deletingsnapshotlive": VmState.RUNNING,
    # Its process is still there.
    "stopping": VmState.RUNNING,
    "paused": VmState.PAUSED,
    "teleportingpausedvm": VmState.PAUSED,
    "deletingsnapshotlivepaused": VmState.PAUSED,
    "saving": VmState.SAVING,
    # Offline work on a VM that does not run.
    "settingup": VmState.DEFINED,
    "snapshotting": VmState.DEFINED,
    "restoringsnapshot": VmState.DEFINED,
    "deletingsnapshot": VmState.DEFINED,
}
#: Words during which VirtualBox is still at work; what comes next is asked a moment later.
BUSY: Final = frozenset(
    word
    for word in _STATES
    if word.startswith(("starting", "stopping", "saving", "restoring", "teleporting", "deleting", "settingup"))
    or word.endswith("snapshotting")
)


@dataclass(frozen=True, order=True)
class Version:
    """7.2.22r170484: major 7, minor 2, patch 22, revision 170484 (0 when it does not say)."""

    major: int
    minor: int
    patch: int = 0
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class ListedVm:
    """A line of `list vms`; the name of one that VirtualBox cannot read is INACCESSIBLE."""

    name: str
    uuid: str


@dataclass(frozen=True)
class ListedMedium:
    """A medium of `list hdds -l` or `list dvds -l`.

    Attributes:
        parent: UUID of the medium that it is an overlay of; empty for a base.
        state: VirtualBox's word: created, inaccessible, locked read, locked write ...
        format: VDI, VMDK, RAW ...
        usages: UUIDs of the VMs that have it attached, now or in a snapshot, each once.
    """

    uuid: str
    parent: str
    state: str
    path: str
    format: str
    usages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """What VirtualBox knows of this computer. None: it does not say.

    Attributes:
        has_hardware: the processor has VT-x or AMD-V, as VirtualBox sees it; also "yes" while the firmware or another
            hypervisor keeps it from it.
    """

    processors: int | None = None
    memory_mib: int | None = None
    available_mib: int | None = None
    has_hardware: bool | None = None
    has_nested_paging: bool | None = None
    system: str = ""


def parse_version(text: str) -> Version | None:
    """The version out of `--version`, whatever warnings stand around it; None when there is none."""
    found = _VERSION.findall(text)
    return Version(*(int(part or 0) for part in found[-1])) if found else None


def parse_info(text: str) -> dict[str, str]:
    """`showvminfo --machinereadable` (or `snapshot list --machinereadable`) as key -> value, both unquoted.

    A value may go over lines (the description). Of a key that comes twice the first counts: what a description holds
    comes last. Lines of another form are left out.
    """
    info: dict[str, str] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        found = _KEY.match(lines[at])
        at += 1
        if found is None:
            continue
        value = found[2]
        while value.startswith('"') and not _is_closed(value, lines, at) and at < len(lines):
            value = f"{value}\n{lines[at]}"
            at += 1
        info.setdefault(_unquote(found[1]), _unquote(value))
    return info


def _is_closed(value: str, lines: list[str], at: int) -> bool:
    # Not only at the end: `VideoMode="720,400,0"@0,0 1`.
    if re.search(r'(?<!\\)(?:\\\\)*"', value[1:]):
        return True
    # Older versions do not escape: there a path that ends in a backslash closes here, and a new key follows.
    is_path = _OLD_PATH.match(value) is not None and value.endswith('"')
    return is_path and (at >= len(lines) or not lines[at] or _KEY.match(lines[at]) is not None)


def _unquote(text: str) -> str:
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    # Versions that do not escape print C:\Users with single backslashes, which stay as they are.
    return _ESCAPED.sub(r"\1", text[1:-1])


def state_of(info: dict[str, str]) -> VmState:
    """The state out of `parse_info`; a VM whose settings VirtualBox cannot read is FAILED."""
    word = info.get("VMState", "")
    if not word and info.get("name") == INACCESSIBLE:
        return VmState.FAILED
    if word not in _STATES:
        _log.warning("VirtualBox says a state that is not known: %r", word)
    return _STATES.get(word, VmState.UNKNOWN)


def parse_vms(text: str) -> tuple[ListedVm, ...]:
    """`list vms`, in its order."""
    return tuple(
        ListedVm(found["bare"] or found["name"], found["uuid"].lower())
        for found in _LISTED_VM.finditer(text.replace("\r\n", "\n"))
    )


def parse_fields(text: str) -> dict[str, str]:
    """Lines like `Name:   value` as name -> value; of a name that comes twice the first counts."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if found := _FIELD.match(line):
            fields.setdefault(found[1].strip(), found[2].strip())
    return fields


def parse_media(text: str) -> tuple[ListedMedium, ...]:
    """`list hdds -l` or `list dvds -l`, in its order."""
    records = re.split(r"\n\s*\n", text.replace("\r\n", "\n"))
    return tuple(medium for medium in map(_medium, records) if medium is not None)


def _medium(record: str) -> ListedMedium | None:
    fields = parse_fields(record)
    if "UUID" not in fields:
        return None
    parent = fields.get("Parent UUID", "")
    return ListedMedium(
        uuid=fields["UUID"].lower(),
        parent="" if parent == "base" else parent.lower(),
        state=fields.get("State", ""),
        path=fields.get("Location", ""),
        format=fields.get("Storage format", ""),
        usages=_usages(record),
    )


def _usages(record: str) -> tuple[str, ...]:
    _, found, rest = record.partition("\nIn use by VMs:")
    users: list[str] = []
    for number, line in enumerate(rest.split("\n") if found else ()):
        # Further users stand indented below the first; the next field does not.
        if number and not line.startswith((" ", "\t")):
            break
        if user := _USAGE.match(line.strip()):
            users.append(user["vm"].lower())
    return tuple(dict.fromkeys(users))


def parse_host(text: str) -> Host:
    """`list hostinfo`."""
    fields = parse_fields(text)
    return Host(
        processors=_number(fields.get("Processor count")),
        memory_mib=_number(fields.get("Memory size")),
        available_mib=_number(fields.get("Memory available")),
        has_hardware=_yes(fields.get("Processor supports HW virtualization")),
        has_nested_paging=_yes(fields.get("Processor supports nested paging")),
        system=f"{fields.get('Operating system', '')} {fields.get('Operating system version', '')}".strip(),
    )


def _number(word: str | None) -> int | None:
    found = re.match(r"\d+", word or "")
    return int(found[0]) if found else None


def _yes(word: str | None) -> bool | None:
    return {"yes": True, "no": False}.get(word or "")


def parse_extradata(text: str) -> dict[str, str]:
    """`getextradata VM enumerate` as key -> value."""
    return dict(_EXTRADATA.findall(text.replace("\r\n", "\n")))
