"""The keys of cloud-init that a template gives beside what it says in words of its own."""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from client.appliance.contextual import slots
from client.appliance.contextual.faults import Table
from client.appliance.contextual.filling import Filling
from client.appliance.contextual.keys import COMMANDS, OWN_CLOUD_KEYS
from client.appliance.contextual.language import Kind
from client.appliance.contextual.values import fault_of_line

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_DEEPEST: Final = 12
#: `-c` of a shell, of su, of Python: what follows it is a program
_PROGRAM: Final = re.compile(r"-[a-z]*c")


def extra_keys(table: Table, filling: Filling) -> dict[str, Any]:
    """The table [cloud-init] with its fields filled in."""
    filled = {}
    for key, raw in table.items().items():
        if key in OWN_CLOUD_KEYS:
            table.refuse(key, "is said by [guest], [[user]] or [[file]]: write it there")
        elif not _KEY.fullmatch(key):
            table.refuse(key, "is no key of cloud-init")
        elif key in COMMANDS:
            filled[key] = _Tree(table, key, filling).commands(raw)
        else:
            filled[key] = _Tree(table, key, filling).value(raw)
    return filled


class _Tree:
    """One key's value, of any shape."""

    def __init__(self, table: Table, key: str, filling: Filling) -> None:
        self._table = table
        self._key = key
        self._filling = filling

    def commands(self, raw: Any) -> list[Any]:
        """A list of commands: texts without fields, or lists of words, which cloud-init quotes."""
        if not isinstance(raw, list):
            self._refuse("must be a list of commands")
            return []
        return [self._words(one) if isinstance(one, list) else self._line(one) for one in raw]

    def value(self, raw: Any, depth: int = 0) -> Any:
        """Any other value. Numbers and switches keep their kind where a field stands alone."""
        if depth > _DEEPEST:
            self._refuse("is nested too deeply")
        elif isinstance(raw, dict):
            return self._named(raw, depth)
        elif isinstance(raw, list):
            return [self.value(one, depth + 1) for one in raw]
        elif isinstance(raw, str):
            field = self._filling.alone(raw)
            if field is not None and field.kind in {Kind.SWITCH, Kind.NUMBER}:
                return self._filling.value(field)
            return self._text(raw, slots.harmless_words)
        elif _is_number(raw):
            return raw
        else:
            self._refuse("must be text, a number, true or false, a list or a table")
        return None

    def _named(self, raw: Mapping[str, Any], depth: int) -> dict[str, Any]:
        for key in raw:
            if len(key) > 200 or fault_of_line(key):
                self._refuse("has a key that is no plain short text")
        return {key: self.value(one, depth + 1) for key, one in raw.items()}

    def _line(self, raw: Any) -> str:
        if isinstance(raw, str) and "${" in raw.replace("$${", ""):
            said = 'is a command with ${fields} in it: write it as a list of words, like ["echo", "${name}"]'
            self._refuse(said)
            return ""
        return self._text(raw, None)

    def _words(self, raw: list[Any]) -> list[str]:
        for before, word in itertools.pairwise(raw):
            if isinstance(before, str) and isinstance(word, str) and _PROGRAM.fullmatch(before) and "${" in word:
                self._refuse('has a field in the program after -c: give it as a word behind that, and write "$1" there')
        return [self._text(word, None, lines=True) for word in raw]

    def _text(self, raw: Any, values: slots.Check | None, lines: bool = False) -> str:
        raw = str(raw) if _is_number(raw) and not isinstance(raw, bool) else raw
        return self._filling.text(self._table.at(self._key), raw, slots.content, values=values, lines=lines)

    def _refuse(self, said: str) -> None:
        self._table.refuse(self._key, said)


def _is_number(raw: Any) -> bool:
    if isinstance(raw, int):
        return abs(raw) < 1 << 53
    return isinstance(raw, float) and math.isfinite(raw)
