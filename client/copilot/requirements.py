"""What a job asks of the computer that is to do it: an expression over the agent's description, read and tried.

    other.Memory >= 2000 && (Platform == "Linux-x86_64" || !(other.Uname < "5"))

Comparisons (== != < <= > >=) of attributes, numbers and quoted texts, joined by && || ! and brackets; `other.` may be
left out. A comparison with an attribute that the agent does not name is false, whatever the operator, and so is one
of a number with a text that is none. Two attributes are compared as numbers if both are, otherwise as texts.
"""

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

from client.copilot.errors import BadRequirements

MAX_CHARS: Final = 2000
#: Brackets and negations within each other.
MAX_DEPTH: Final = 20

_Host: TypeAlias = Mapping[str, str]
_Test: TypeAlias = Callable[[_Host], bool]
_Value: TypeAlias = "str | float | None"

_NUMBER: Final = r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?"
_IS_NUMBER: Final = re.compile(rf"\s*{_NUMBER}\s*", re.ASCII)
_TOKEN: Final = re.compile(
    rf'\s*(?:(?P<number>{_NUMBER})(?![A-Za-z0-9_.])|"(?P<text>[^"\x00-\x1f\x7f-\x9f]*)"'
    r"|(?:other\.)?(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})(?![A-Za-z0-9_.])|(?P<sign>==|!=|<=|>=|&&|\|\||[<>!()]))\s*",
    re.ASCII,
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Requirements:
    """A requirement that was read.

    Attributes:
        text: written one way: equal ones that only differ in blanks have the same.
        names: attributes that it speaks of.
    """

    text: str
    names: frozenset[str]
    _test: _Test = field(compare=False, repr=False)

    def met_by(self, host: Mapping[str, str]) -> bool:
        """Whether a computer with these attributes will do."""
        return self._test(host)


@functools.lru_cache(maxsize=1024)
def parse_requirements(text: str) -> Requirements:
    """Read a requirement; an empty one is met by any computer.

    Raises:
        BadRequirements: it cannot be read.
    """
    if not text.strip():
        return Requirements("", frozenset(), lambda host: True)
    if len(text) > MAX_CHARS:
        raise BadRequirements(text[:80], MAX_CHARS, f"it is longer than {MAX_CHARS} characters")
    parser = _Parser(text)
    test = parser.parse()
    return Requirements(parser.plain(), frozenset(parser.names), test)


def split_clauses(text: str) -> tuple[str, ...]:
    """The parts of a requirement all of which must be met, written one way: between the outermost &&.

    Raises:
        BadRequirements: it cannot be read.
    """
    plain = parse_requirements(text).text
    return tuple(_clauses(_split(plain))) if plain else ()


@dataclass(frozen=True)
class _Token:
    kind: str
    said: str
    at: int

    def plain(self) -> str:
        return f'"{self.said}"' if self.kind == "text" else self.said


def _split(text: str) -> list[_Token]:
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadRequirements(text[:80], at, "this cannot be read")
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return tokens


def _clauses(tokens: Sequence[_Token]) -> Iterator[str]:
    """Of a requirement that can be read."""
    depths = list(itertools.accumulate({"(": 1, ")": -1}.get(_sign(token), 0) for token in tokens))
    if _sign(tokens[0]) == "(" and 0 not in depths[:-1]:
        yield from _clauses(tokens[1:-1])
        return
    outer = [at for at, depth in enumerate(depths) if depth == 0]
    ands = [at for at in outer if _sign(tokens[at]) == "&&"]
    if not ands or any(_sign(tokens[at]) == "||" for at in outer):
        yield " ".join(token.plain() for token in tokens)
        return
    for start, end in itertools.pairwise([-1, *ands, len(tokens)]):
        yield from _clauses(tokens[start + 1 : end])


def _sign(token: _Token) -> str:
    return token.said if token.kind == "sign" else ""


class _Parser:
    """Recursive descent: or, and, not, comparison."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _split(text)
        self._next = 0
        self._depth = 0
        self.names: set[str] = set()

    def parse(self) -> _Test:
        test = self._any()
        if self._next < len(self._tokens):
            self._fail("is not expected here")
        return test

    def plain(self) -> str:
        return " ".join(token.plain() for token in self._tokens)

    def _any(self) -> _Test:
        tests = [self._all()]
        while self._take("||"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda host: any(test(host) for test in tests)

    def _all(self) -> _Test:
        tests = [self._one()]
        while self._take("&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda host: all(test(host) for test in tests)

    def _one(self) -> _Test:
        if self._take("!"):
            self._deeper()
            test = self._one()
            self._depth -= 1
            return lambda host: not test(host)
        if self._take("("):
            self._deeper()
            test = self._any()
            self._depth -= 1
            if not self._take(")"):
                self._fail("is not expected here; a bracket is not closed")
            return test
        return self._comparison()

    def _comparison(self) -> _Test:
        left = self._operand()
        token = self._peek()
        if token is None or token.kind != "sign" or token.said not in _COMPARE:
            self._fail("is not expected here; a comparison is: == != < <= > >=")
        self._next += 1
        right = self._operand()
        compare = _COMPARE[token.said]

        def test(host: _Host) -> bool:
            one, other = _alike(left(host), right(host))
            return one is not None and other is not None and compare(one, other)

        return test

    def _operand(self) -> Callable[[_Host], _Value]:
        token = self._peek()
        if token is None or token.kind == "sign":
            self._fail("is not expected here; an attribute, a number or a quoted text is")
        self._next += 1
        if token.kind == "name":
            name = token.said
            self.names.add(name)
            return lambda host: _Attribute(host[name]) if name in host else None
        value: _Value = float(token.said) if token.kind == "number" else token.said
        return lambda host: value

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, sign: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "sign" and token.said == sign
        self._next += found
        return found

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"is nested more than {MAX_DEPTH} times")

    def _fail(self, said: str) -> NoReturn:
        token = self._peek()
        if token is None:
            raise BadRequirements(self._text[:80], len(self._text), f"the end {said}")
        raise BadRequirements(self._text[:80], token.at, f"{token.plain()[:80]} {said}")


class _Attribute(str):
    """A text that an agent says: it is a number if it looks like one and is compared with one."""

    __slots__ = ()


def _alike(one: _Value, other: _Value) -> tuple[_Value, _Value]:
    """Both as numbers or both as texts; None for what cannot be compared."""
    numeric = isinstance(one, float) or isinstance(other, float)
    if not numeric and isinstance(one, _Attribute) and isinstance(other, _Attribute):
        numeric = _number(one) is not None and _number(other) is not None
    return (_number(one), _number(other)) if numeric else (one, other)


def _number(value: _Value) -> float | None:
    if isinstance(value, _Attribute):
        return float(value) if _IS_NUMBER.fullmatch(value) else None
    return value if isinstance(value, float) else None
