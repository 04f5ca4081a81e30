"""Shell text with places for values, filled so that no value can become shell.

A place is `{name}`. What stands around it decides how its value is written:

    run {x}          not quoted: '...' around it, but for plain numbers
    run 'part {x}'   in single quotes: a quote in it becomes '"'"'
    run "part {x}"   in double quotes: \\ before each of \\ " $ `

Where no way of writing is safe (within $(...), `...`, ${...}, a comment, behind <<, a backslash, or $NAME in quotes), a
place is refused.
`${name}` is the shell's own; `{{name}}` becomes `{name}`.

Source: POSIX.1-2024, Shell Command Language, 2.2 Quoting, 2.3 Token Recognition.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

#: what is doubled, or what is a place
_BRACES: Final = re.compile(r"(?<![${])(?:\{\{([A-Za-z_][A-Za-z0-9_-]*)\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\})")
#: a variable in braces, and nothing more
_VARIABLE: Final = re.compile(r"\$\{[A-Za-z0-9_]+\}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_IN_DOUBLE: Final = re.compile(r'([\\"$`])')
_BLANKS: Final = " \t\n"

#: How a value is written at a place.
_BARE: Final = "bare"
_NAKED: Final = "not quoted"
_SINGLE: Final = "in single quotes"
_DOUBLE: Final = "in double quotes"
_RAW: Final = "as it is"


class BadTemplate(ValueError):
    """A place cannot be filled. position: of its first character, from 1."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(what)
        self.position = position
        self.what = what


@dataclass(frozen=True)
class _Piece:
    """Text, or a place for the value of `name`."""

    text: str
    name: str = ""
    way: str = _RAW


class ShellTemplate:
    """A text and its places.

    Args:
        known: names of places; other words in braces are text.
        raw: values become shell: they are written as they are.

    Raises:
        BadTemplate: a place stands where no value is safe.
    """

    def __init__(self, text: str, known: Collection[str], *, raw: bool = False) -> None:
        self._pieces: list[_Piece] = []
        self.names: set[str] = set()
        reader, at = _Reader(), 0
        for found in _BRACES.finditer(text):
            if found[2] not in known:
                continue
            before = text[at : found.start()]
            reader.read(before)
            self._pieces.append(_Piece(_single_braces(before)))
            way = _RAW if raw else reader.way(found.start() + 1)
            if way == _NAKED and _stands_alone(text, found.start(), found.end()):
                way = _BARE
            self._pieces.append(_Piece("", found[2], way))
            self.names.add(found[2])
            reader.fill()
            at = found.end()
        self._pieces.append(_Piece(_single_braces(text[at:])))

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with these values."""
        return "".join(_written(values[piece.name], piece.way) if piece.name else piece.text for piece in self._pieces)


def words_in_braces(text: str) -> list[str]:
    """Everything in a text that looks like a place."""
    return [found[2] for found in _BRACES.finditer(text) if found[2]]


def export(name: str, value: str) -> str:
    """Shell text that gives a variable a value to all that is started after it."""
    return f"export {name}={_naked(value)}"


def _single_braces(text: str) -> str:
    return _BRACES.sub(lambda found: found[0][1:-1] if found[1] else found[0], text)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a place is a word of its own, so that a number can stand there without quotes."""
    before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
    return before in _BLANKS and after in _BLANKS


def _written(value: str, way: str) -> str:
    if way == _RAW or (way == _BARE and _NUMBER.fullmatch(value)):
        return value
    if way == _SINGLE:
        return _in_single(value)
    return _IN_DOUBLE.sub(r"\\\1", value) if way == _DOUBLE else _naked(value)


def _naked(value: str) -> str:
    return f"'{_in_single(value)}'"


def _in_single(value: str) -> str:
    return value.replace("'", "'\"'\"'")


class _Reader:
    """Follows shell text as far as is needed to know what a place in it would be."""

    def __init__(self) -> None:
        self._quote = ""
        self._escaped = False
        self._comment = False
        #: substitutions and here-documents are not followed: after their beginning nothing is certain any more
        self._unsure = ""
        self._last = "\n"
        #: within the name of a variable
        self._named = False

    def read(self, text: str) -> None:
        """Go on behind this text."""
        for letter in _VARIABLE.sub("x", text):
            self._named = letter == "$" or (self._named and (letter.isalnum() or letter == "_"))
            self._step(letter)
            self._last = letter

    def fill(self) -> None:
        """Go on behind a value."""
        self._last, self._named = "x", False

    def way(self, position: int) -> str:
        """How a value is written here; raises BadTemplate."""
        if self._unsure:
            raise BadTemplate(position, f"a value behind {self._unsure} could become shell")
        if self._comment:
            raise BadTemplate(position, "a value in a comment could become shell")
        if self._escaped:
            raise BadTemplate(position, "a value behind a backslash could become shell")
        if self._named and self._quote == '"':
            raise BadTemplate(position, "a value could become part of a variable's name: write ${NAME} for $NAME")
        return {"'": _SINGLE, '"': _DOUBLE}.get(self._quote, _NAKED)

    def _step(self, letter: str) -> None:
        if self._quote == "'":
            self._quote = "" if letter == "'" else "'"
        elif self._comment:
            self._comment = letter != "\n"
        elif self._escaped:
            self._escaped = False
        elif letter == "\\":
            self._escaped = True
        elif letter == '"':
            self._quote = "" if self._quote else '"'
        else:
            self._step_unquoted(letter)

    def _step_unquoted(self, letter: str) -> None:
        if letter == "`":
            self._unsure = self._unsure or "a backquote"
        elif self._last == "$" and letter in "({[":
            self._unsure = self._unsure or f"${letter}"
        elif self._quote:
            return
        elif letter == "'":
            self._quote = "'"
            if self._last == "$":
                self._unsure = self._unsure or "$'"
        elif letter == "<" and self._last == "<":
            self._unsure = self._unsure or "<<"
        elif letter == "#" and self._last in " \t\n;&|()":
            self._comment = True
