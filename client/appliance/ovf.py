"""Reads an OVF description: one virtual machine, its disks, what it asks for. The text is an enemy's.

No document type is taken, so there are no entities to expand and nothing to fetch; length, depth and count of elements
are bounded. What is not known is passed over.

Source: DMTF DSP0243, 1.1 and 2.1; DSP0004 for units.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from client.appliance.errors import ImageRefused

MOST_BYTES: Final = 4 * 2**20
_MOST_DEPTH: Final = 64
_MOST_ELEMENTS: Final = 20_000
_MOST_TEXT: Final = 2000
_MOST_DISKS: Final = 16
_PROCESSORS, _MEMORY, _NETWORK, _DISKS = 3, 4, (10,), (15, 16, 17)
_UNIT: Final = re.compile(r"byte(?: ?\* ?(2|10) ?\^ ?(\d{1,2}))?", re.IGNORECASE)
_OLD_UNITS: Final = {"bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20, "gigabytes": 1 << 30, "mb": 1 << 20}
_HOST_RESOURCE: Final = re.compile(r"(?:ovf:)?/(disk|file)/(.{1,200})")


@dataclass(frozen=True)
class Disk:
    """A disk or CD of the machine.

    Attributes:
        file: name in the package; empty: the machine wants an empty disk.
        virtual_bytes: as the description has it; 0: it does not say.
        packed: whether the file is packed with gzip.
    """

    file: str
    virtual_bytes: int
    packed: bool = False


@dataclass(frozen=True)
class Asked:
    """What a package says of its machine; 0 or empty: nothing.

    Attributes:
        os: kind of system, in the packager's word.
        networks: how many network cards.
        disks: in the order of the machine's drives.
        files: all files that the package refers to.
    """

    name: str = ""
    os: str = ""
    memory_mib: int = 0
    cpus: int = 0
    networks: int = 0
    disks: tuple[Disk, ...] = ()
    files: tuple[str, ...] = ()


@dataclass
class _Element:
    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["_Element"] = field(default_factory=list)

    def all(self, name: str) -> list["_Element"]:
        """All below it of that name."""
        found = []
        for child in self.children:
            found += [child] if child.name == name else []
            found += child.all(name)
        return found

    def said(self, name: str) -> str:
        """The text of its first child of that name."""
        return next((child.text.strip() for child in self.children if child.name == name), "")


def read_ovf(content: bytes, path: str) -> Asked:
    """Read a description.

    Args:
        path: for the error.

    Raises:
        ImageRefused
    """
    if len(content) > MOST_BYTES:
        raise _refused(path, "its description is too long")
    envelope = _Tree(path).read(content)
    systems = envelope.all("VirtualSystem")
    if envelope.name != "Envelope" or len(systems) != 1:
        what = f"it holds {len(systems)} virtual machines, and one can be taken"
        raise ImageRefused(path, what, "take apart what it holds with the program that made it")
    files = {one.attributes.get("id", ""): one.attributes for one in envelope.all("File")}
    items = [_Item(one) for kind in ("Item", "StorageItem", "EthernetPortItem") for one in systems[0].all(kind)]
    memory = next((one.amount(1 << 20) for one in items if one.kind == _MEMORY), 0)
    section = systems[0].all("OperatingSystemSection")
    os = (section[0].said("OSType") or section[0].said("Description")) if section else ""
    return Asked(
        name=_words(systems[0].said("Name") or systems[0].attributes.get("id", "")),
        os=_words(os),
        memory_mib=_sane(memory >> 20, 1 << 24),
        cpus=_sane(next((one.amount(1) for one in items if one.kind == _PROCESSORS), 0), 4096),
        networks=sum(one.kind in _NETWORK for one in items),
        disks=_disks(envelope, items, files, path),
        files=tuple(dict.fromkeys(one.get("href", "") for one in files.values())),
    )


class _Item:
    """One line of the machine's hardware."""

    def __init__(self, element: _Element) -> None:
        self._element = element
        said = element.said("ResourceType")
        self.kind = int(said) if said.isascii() and said.isdigit() and len(said) < 4 else 0

    def amount(self, unit: int) -> int:
        said = self._element.said("VirtualQuantity")
        if not (said.isascii() and said.isdigit() and len(said) < 16):
            return 0
        return int(said) * (_unit(self._element.said("AllocationUnits")) or unit if unit > 1 else 1)

    @property
    def resource(self) -> tuple[str, str]:
        found = _HOST_RESOURCE.fullmatch(self._element.said("HostResource"))
        return (found[1], found[2]) if found else ("", "")


class _Tree:
    def __init__(self, path: str) -> None:
        self._path = path
        self._top = _Element("", {})
        self._open = [self._top]
        self._count = 0

    def read(self, content: bytes) -> _Element:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = lambda name: self._open.pop()
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise _refused(self._path, f"its description is no XML: {error}") from error
        return self._top.children[0]

    def _doctype(self, *_: object) -> None:
        raise _refused(self._path, "its description declares a document type, which no OVF does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MOST_ELEMENTS or len(self._open) > _MOST_DEPTH:
            raise _refused(self._path, "its description has too many parts")
        element = _Element(_local(name), {_local(key): value[:_MOST_TEXT] for key, value in attributes.items()})
        self._open[-1].children.append(element)
        self._open.append(element)

    def _text(self, text: str) -> None:
        element = self._open[-1]
        element.text = (element.text + text)[:_MOST_TEXT] if len(element.text) < _MOST_TEXT else element.text


def _disks(envelope: _Element, items: list[_Item], files: dict[str, dict[str, str]], path: str) -> tuple[Disk, ...]:
    described = {one.attributes.get("diskId", ""): one.attributes for one in envelope.all("Disk")}
    if any(one.get("parentRef") for one in described.values()):
        raise _refused(path, "one of its disks builds on another")
    drives = [one.resource for one in items if one.kind in _DISKS]
    # Whoever writes no hardware still has disks.
    wanted = [one for one in drives if one[0]] or [("disk", id) for id in described]
    found = []
    for kind, id in dict.fromkeys(wanted):
        about = described.get(id) if kind == "disk" else {"fileRef": id}
        reference = about.get("fileRef", "") if about is not None else ""
        if about is None or (reference and reference not in files):
            raise _refused(path, f"its description names a disk {_words(id)!r} that is nowhere")
        file = files.get(reference, {})
        if file.get("chunkSize"):
            raise _refused(path, "one of its disks lies in several parts")
        packing = file.get("compression", "identity")
        if packing not in ("identity", "gzip"):
            raise _refused(path, f"one of its disks is packed as {_words(packing)!r}")
        found.append(Disk(file.get("href", ""), _capacity(about), packing == "gzip"))
    if len(found) > _MOST_DISKS:
        raise _refused(path, f"it has more than {_MOST_DISKS} disks")
    return tuple(found)


def _capacity(about: dict[str, str]) -> int:
    said = about.get("capacity", "")
    if not (said.isascii() and said.isdigit() and len(said) < 20):
        return 0
    return int(said) * (_unit(about.get("capacityAllocationUnits", "")) or 1)


def _unit(said: str) -> int:
    """How many bytes a unit has; 0 for one that is not known."""
    found = _UNIT.fullmatch(said.strip())
    if found:
        return int(found[1]) ** int(found[2]) if found[1] else 1
    return _OLD_UNITS.get(said.strip().lower(), 0)


def _sane(number: int, most: int) -> int:
    return number if 0 < number <= most else 0


def _words(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text).strip()[:200]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _refused(path: str, what: str) -> ImageRefused:
    return ImageRefused(path, what, "get it again, or export it again with the program that made it")
