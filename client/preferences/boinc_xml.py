"""BOINC's preference files, read with limits: they are small, and whoever hands one over may have changed it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

from client.errors import BadInput

#: no such file comes near any of these
MOST_BYTES: Final = 1 << 20
MOST_ELEMENTS: Final = 20_000
MOST_DEEP: Final = 16
#: in the order in which the later holds over the earlier
FILES: Final = ("global_prefs.xml", "global_prefs_override.xml", "cc_config.xml")
#: BOINC's data folders, as its own packages and those of the systems have them
FOLDERS: Final = (
    "/var/lib/boinc",
    "/var/lib/boinc-client",
    "~/BOINC",
    "/Library/Application Support/BOINC Data",
    "C:/ProgramData/BOINC",
)
_REMEDY: Final = "give BOINC's global_prefs_override.xml, global_prefs.xml or cc_config.xml"


@dataclass
class Element:
    """One element. text: all of its own, without space around it; name: of its attribute of that name."""

    tag: str
    name: str = ""
    text: str = ""
    inner: list["Element"] = field(default_factory=list)

    def all(self, tag: str) -> list["Element"]:
        """Its own elements of a tag, in order."""
        return [one for one in self.inner if one.tag == tag]

    def last(self, tag: str) -> str | None:
        """Text of the last of a tag, as BOINC takes it; None: there is none."""
        found = self.all(tag)
        return found[-1].text if found else None


class _Reader:
    """Builds elements out of expat's events."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= MOST_DEEP:
            raise _Refused("it has more elements than such a file can have")
        element = Element(tag, attributes.get("name", "")[:200])
        if self._open:
            self._open[-1].inner.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def doctype(self, *_: object) -> None:
        raise _Refused("it declares a document type, which BOINC's files never do")


class _Refused(ValueError):
    """It may be XML, and is nothing that BOINC writes."""


def find_boinc(folders: Iterable[str] = FOLDERS) -> list[Path]:
    """The files of the first folder that has any, in the order in which they are to be imported.

    Raises:
        BadInput: there are none that may be read.
    """
    for folder in folders:
        place = Path(folder).expanduser()
        if found := [place / name for name in FILES if os.access(place / name, os.R_OK)]:
            return found
    raise BadInput("BOINC", "none of its files were found in the usual places, or they may not be read", _REMEDY)


def read_boinc(path: Path) -> Element:
    """The root of a file.

    Raises:
        BadInput: it cannot be read, or BOINC did not write it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(str(path), f"it cannot be read ({error.strerror or error})", _REMEDY) from error
    try:
        return parse_boinc(data)
    except ValueError as error:
        raise BadInput(str(path), str(error), _REMEDY) from error


def parse_boinc(data: bytes) -> Element:
    """The root of a file's content.

    Raises:
        ValueError: it is not BOINC's; says why.
    """
    if len(data) > MOST_BYTES:
        raise _Refused(f"it is longer than {MOST_BYTES} bytes")
    reader, parser = _Reader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Without a document type there are no entities but XML's own five.
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _Refused(f"it is no XML ({error})") from error
    if reader.root is None or reader.root.tag not in {"global_preferences", "cc_config"}:
        raise _Refused("it holds no preferences of BOINC")
    return reader.root
