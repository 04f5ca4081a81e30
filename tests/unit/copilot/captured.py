"""Stanzas that were caught between the original agent and the original managers (tests/data/copilot)."""

import re
from pathlib import Path
from xml.etree import ElementTree

DATA = Path(__file__).resolve().parents[2] / "data" / "copilot"
_MESSAGE = re.compile(r"<message\b.*?(?:</message>|(?<=')\s*/>(?=\n\n|\n?\Z))", re.DOTALL)
_HEADING = re.compile(r"^ +[0-9.]+ #\d+ \S+ +[CS]>[CS]\n", re.MULTILINE)


def elements(name: str) -> list[ElementTree.Element]:
    """All message stanzas of a capture, in order."""
    blocks = _HEADING.split((DATA / name).read_text(encoding="utf-8"))
    texts = [text for block in blocks for text in _MESSAGE.findall(block)]
    return [ElementTree.fromstring(text) for text in texts]
