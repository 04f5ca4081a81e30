"""All that is wrong with a template at once, each with its line; and tables that are read strictly."""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MOST_FAULTS: Final = 50
#: of one table; looking for the nearest name costs time for each
MOST_KEYS: Final = 200
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")
_QUOTES: Final = ('"""', "'''")


class Faults:
    """What is wrong, in the order of the lines."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines
        self._said: list[tuple[int, str]] = []

    def add(self, path: str, said: str) -> None:
        """Note a fault of the key at `path` ("user[0].name"); its line is its own or that of what it is in."""
        line, above = 0, path
        while above and not line:
            line = self._lines.get(above, 0)
            above = re.sub(r"(^|\.)[^.]*$|\[\d+\]$", "", above)
        # A key may hold anything, and what is said here is shown on terminals.
        shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in path[:120])
        self._said.append((line, f"line {line}: {shown} {said}" if line else f"{shown} {said}"))

    def __bool__(self) -> bool:
        return bool(self._said)

    def all(self) -> tuple[str, ...]:
        """The sentences, without repetitions; at most MOST_FAULTS of them."""
        return tuple(dict.fromkeys(said for _, said in sorted(self._said)))[:MOST_FAULTS]


class Table:
    """One table of a template; what was not asked for is a fault at the end (`done`)."""

    def __init__(self, path: str, said: object, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self._said: Mapping[str, Any] = said if isinstance(said, dict) else {}
        self._asked: set[str] = set()
        if not isinstance(said, dict):
            faults.add(path, "must be a table")

    def at(self, key: str) -> str:
        """The path of a key, for faults."""
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, said: str) -> None:
        """Note a fault of a key."""
        self.faults.add(self.at(key), said)

    def raw(self, key: str, default: Any = None) -> Any:
        """What stands at a key, unchecked."""
        self._asked.add(key)
        return self._said.get(key, default)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._said

    def text(self, key: str, most: int, default: str | None = None) -> str:
        """Plain text without control characters; `default` None means that it must be there."""
        value = self.raw(key, default)
        if isinstance(value, str) and len(value) <= most and (value.strip() or default is not None):
            return value
        self.refuse(key, f"must be text of at most {most} characters" + (", and not empty" if default is None else ""))
        return default or ""

    def number(self, key: str, default: int) -> int:
        """A whole number."""
        value = self.raw(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53:
            return value
        self.refuse(key, "must be a whole number")
        return default

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self.raw(key, default)
        if isinstance(value, bool):
            return value
        self.refuse(key, "must be true or false")
        return default

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty when it is not there."""
        value = self.raw(key, [])
        if isinstance(value, list) and len(value) <= 500 and all(isinstance(one, str) for one in value):
            return tuple(value)
        self.refuse(key, "must be a list of texts")
        return ()

    def word_of(self, key: str, known: Iterable[str], default: str | None = None) -> str:
        """One of several words."""
        known = tuple(known)
        value = self.raw(key, default)
        if value in known and isinstance(value, str):
            return value
        shown = value if isinstance(value, str) else ""
        self.refuse(key, f"must be one of: {', '.join(known)}{nearest(shown, known)}")
        return known[0]

    def items(self) -> Mapping[str, Any]:
        """All keys with what stands there, unchecked."""
        self._asked |= set(self._said)
        if len(self._said) <= MOST_KEYS:
            return self._said
        self.faults.add(self.path, f"has more than {MOST_KEYS} keys")
        return {}

    def tables(self, key: str) -> tuple["Table", ...]:
        """A list of tables ([[key]])."""
        value = self.raw(key, [])
        if not isinstance(value, list) or len(value) > 200:
            self.refuse(key, f"must be written as [[{key}]], at most 200 times")
            return ()
        return tuple(Table(f"{self.at(key)}[{n}]", one, self.faults) for n, one in enumerate(value))

    def table(self, key: str) -> "Table":
        """A table below this one; an empty one when it is not there."""
        return Table(self.at(key), self.raw(key, {}), self.faults)

    def done(self) -> None:
        """Refuse what was not asked for."""
        for key in itertools.islice((key for key in self._said if key not in self._asked), MOST_FAULTS):
            self.refuse(key, f"is not known here{nearest(key, self._asked)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the known word that is nearest; empty for none."""
    found = difflib.get_close_matches(word[:80], list(known), 1, 0.6)
    return f' (did you mean "{found[0]}"?)' if found else ""


def lines_of(text: str) -> dict[str, int]:
    """Path of each table and key -> its line, from 1. The reader of TOML does not tell it; a guess suffices."""
    found: dict[str, int] = {}
    times: dict[str, int] = {}
    table, quotes = "", ""
    for number, line in enumerate(text.split("\n"), 1):
        if quotes:
            quotes = "" if quotes in line else quotes
            continue
        if (head := line.strip()).startswith("["):
            table = _plain(head.lstrip("[").partition("]")[0])
            if head.startswith("[["):
                times[table] = times.get(table, -1) + 1
                table = f"{table}[{times[table]}]"
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{_plain(key[1])}" if table else _plain(key[1]), number)
        quotes = next((mark for mark in _QUOTES if line.count(mark) % 2), "")
    return found


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
