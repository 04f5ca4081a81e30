"""What a VM's settings file says, read without asking VirtualBox: cheap enough for every second. Pure.

Source: VirtualBox's settings files since 4.0: `Machine` with uuid, name, stateFile, aborted; `ExtraDataItem`;
`HardDisk`; `AttachedDevice` with `Image`; `Snapshot` with uuid, name, stateFile, nested from the oldest to the newest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree

#: Larger ones are none of ours.
_MOST_CHARS = 4 << 20
#: Instead of a medium that the settings do not name.
UNKNOWN: Final = "?"


@dataclass(frozen=True)
class KeptSnapshot:
    """A point of the VM's life, as its settings have it. taken_at: ISO 8601, UTC, whole seconds; may be empty."""

    uuid: str
    name: str
    has_memory: bool
    taken_at: str = field(default="", compare=False)


@dataclass(frozen=True)
class Settings:
    """The parts that the driver looks at.

    Attributes:
        uuid: without braces.
        has_state: whether there is a saved state.
        aborted: whether its process ended without VirtualBox's doing.
        snapshots: parents before their children, so the oldest first.
        extra: extra data by key.
        disks: files of all disks, bases and layers; some relative to the settings file's folder.
        attached: how many disks are in its drives now.
        drives: controller, port, device, file of each drive now; of a layer the file of its base; "": nothing in it.
    """

    uuid: str
    name: str
    has_state: bool = False
    aborted: bool = False
    snapshots: tuple[KeptSnapshot, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    disks: tuple[str, ...] = ()
    attached: int = 0
    drives: tuple[tuple[str, str, str, str], ...] = ()

    def mark(self, key: str) -> str:
        """A value of the extra data; empty when it is not there."""
        return dict(self.extra).get(key, "")


def parse_settings(text: str) -> Settings:
    """The settings.

    Raises:
        ValueError: it is no such file, or not a whole one.
    """
    # VirtualBox writes no document type; without one there are no entities to blow up.
    if len(text) > _MOST_CHARS or "<!DOCTYPE" in text:
        raise ValueError("not a settings file")
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise ValueError(f"not a settings file: {error}") from error
    machine = next((one for one in root if _word(one) == "Machine"), None)
    if machine is None:
        raise ValueError("a settings file without a machine")
    return Settings(
        uuid=machine.get("uuid", "").strip("{}"),
        name=machine.get("name", ""),
        has_state=bool(machine.get("stateFile")),
        aborted=machine.get("aborted") == "true",
        snapshots=tuple(
            KeptSnapshot(
                one.get("uuid", "").strip("{}"),
                one.get("name", ""),
                bool(one.get("stateFile")),
                one.get("timeStamp", ""),
            )
            for one in machine.iter()
            if _word(one) == "Snapshot"
        ),
        extra=tuple(
            (one.get("name", ""), one.get("value", ""))
            for part in machine
            if _word(part) == "ExtraData"
            for one in part
        ),
        disks=tuple(one.get("location", "") for one in machine.iter() if _word(one) == "HardDisk"),
        attached=_attached(machine),
        drives=tuple(_drives(machine)),
    )


def _attached(element: ElementTree.Element) -> int:
    """Disks in drives; those of snapshots, which lie inside the machine's element, do not count."""
    if _word(element) == "AttachedDevice":
        return int(element.get("type") == "HardDisk" and any(_word(one) == "Image" for one in element))
    return sum(_attached(one) for one in element if _word(one) != "Snapshot")


def _drives(machine: ElementTree.Element) -> Iterator[tuple[str, str, str, str]]:
    files = dict(_files(machine))
    for controller in _now(machine, "StorageController"):
        for drive in _now(controller, "AttachedDevice"):
            image = next((one.get("uuid", "") for one in drive if _word(one) == "Image"), None)
            file = "" if image is None else files.get(image, UNKNOWN)
            yield controller.get("name", ""), drive.get("port", ""), drive.get("device", ""), file


def _files(element: ElementTree.Element, base: str = "") -> Iterator[tuple[str, str]]:
    """UUID and file of all media; layers stand inside their bases."""
    for one in element:
        at = base or one.get("location", "")
        if _word(one) in ("HardDisk", "Image") and at:
            yield one.get("uuid", ""), at
        yield from _files(one, at if _word(one) == "HardDisk" else "")


def _now(element: ElementTree.Element, word: str) -> Iterator[ElementTree.Element]:
    """Elements of that name, but those of snapshots."""
    for one in element:
        if _word(one) == word:
            yield one
        elif _word(one) != "Snapshot":
            yield from _now(one, word)


def _word(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
