"""Reads a template: TOML, parsed as hostile input. docs/contextualization.md has the language by example."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from client.appliance.contextual.faults import Faults, Table, lines_of
from client.appliance.contextual.filling import FIELD_NAME, Filling
from client.appliance.contextual.guest import Builder
from client.appliance.contextual.language import Field, Kind, System, Template, Value
from client.appliance.contextual.values import fault_of_line, fault_of_lines, take
from client.appliance.errors import BadTemplate
from client.plain_toml import DEEP_NAME

MOST_BYTES: Final = 256 * 1024
#: the form of the language; a template may say `format = 1`
FORMAT: Final = 1
_LONGEST: Final = {Kind.TEXT: 200, Kind.SECRET: 200, Kind.SCRIPT: 65536, Kind.SSH_KEY: 16384, Kind.CHOICE: 200}
_NUMBERS: Final = 2**31 - 1
#: names that would change how the shell or programs of a script work
_NOT_NAMES: Final = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "histchars"})


def load_template(path: Path) -> Template:
    """Read and check a template's file.

    Raises:
        BadTemplate: with everything that is wrong with it, each with its line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadTemplate(str(path), (f"it is larger than {MOST_BYTES // 1024} KiB",))
        return parse_template(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise BadTemplate(str(path), ("there is no such file",)) from error
    except OSError as error:
        raise BadTemplate(str(path), (f"it cannot be read ({error.strerror})",)) from error


def parse_template(data: bytes, where: str) -> Template:
    """A template from its bytes; see `load_template`."""
    said, lines = _toml(data, where)
    faults = Faults(lines)
    top = Table("", said, faults)
    head = top.table("template")
    if head.number("format", FORMAT) != FORMAT:
        head.refuse("format", f"must be {FORMAT}: this program knows no newer form of the language")
    name, text = _line(head, "name", 80), head.text("text", 2000, "")
    if fault := fault_of_lines(text, 2000):
        head.refuse("text", fault)
    system = System(head.word_of("system", list(System)))
    head.done()
    fields = tuple(_field(one, said, lines) for one in _fields(top))
    body = {key: value for key, value in said.items() if key not in {"template", "field"}}
    filling = Filling(fields, None, faults)
    Builder(system, filling, faults).build(body)
    for field in fields:
        if field.name not in filling.used:
            faults.add(
                f"field.{field.name}", "is used nowhere: leave it out, or write ${" + field.name + "} where it belongs"
            )
    if faults:
        raise BadTemplate(where, faults.all())
    return Template(name, text, system, fields, body, lines, where)


def _toml(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, int]]:
    if len(data) > MOST_BYTES:
        raise BadTemplate(where, (f"it is larger than {MOST_BYTES // 1024} KiB",))
    try:
        # Editors on Windows put a mark before the first character.
        text = data.decode("utf-8-sig")
        if found := DEEP_NAME.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise BadTemplate(where, (f"line {line}: it has a name of more than 40 parts",))
        return tomllib.loads(text), lines_of(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadTemplate(where, (f"line {line}: it is not text in UTF-8",)) from error
    except tomllib.TOMLDecodeError as error:
        raise BadTemplate(where, (f"it is no TOML: {error}",)) from error
    except (RecursionError, ValueError) as error:
        # Python refuses numbers of thousands of digits with a ValueError, and very deep nesting.
        raise BadTemplate(where, ("it is nested too deeply or has a number that is too long",)) from error


def _fields(top: Table) -> list[Table]:
    table = top.table("field")
    found = []
    for name in table.items():
        if not re.fullmatch(FIELD_NAME, name) or name in _NOT_NAMES:
            table.refuse(name, "is no name for a field: small letters, digits and '_', and no setting of a shell")
        else:
            found.append(table.table(name))
    return found


def _field(table: Table, said: dict[str, Any], lines: dict[str, int]) -> Field:
    name = table.path.removeprefix("field.")
    kind = Kind(table.word_of("kind", list(Kind), Kind.TEXT))
    number = kind is Kind.NUMBER
    minimum = table.number("minimum", -_NUMBERS if number else 0)
    maximum = table.number("maximum", _NUMBERS if number else _LONGEST.get(kind, 200))
    choices = table.words("choices")
    field = Field(
        name=name,
        kind=kind,
        label=_line(table, "label", 80),
        help=_line(table, "help", 400, ""),
        default=None,
        choices=choices,
        minimum=minimum,
        maximum=maximum,
        line=lines.get(table.path, 0),
    )
    _check_limits(table, field)
    default = _default(table, field)
    table.done()
    return Field(**{**field.__dict__, "default": default})


def _check_limits(table: Table, field: Field) -> None:
    if field.minimum > field.maximum:
        table.refuse("minimum", "is above maximum")
    if field.kind is not Kind.NUMBER and not 0 <= field.minimum <= field.maximum <= _LONGEST[Kind.SCRIPT]:
        table.refuse("maximum", f"must be from 0 to {_LONGEST[Kind.SCRIPT]}: it counts characters")
    if (field.kind is Kind.CHOICE) != bool(field.choices):
        table.refuse("choices", 'belong to kind = "choice", which needs them')
    if any(not choice or fault_of_line(choice, 200) for choice in field.choices):
        table.refuse("choices", "must be short texts of one line, none of them empty")


def _default(table: Table, field: Field) -> str | int | bool | None:
    if not table.has("default"):
        return None
    raw = table.raw("default")
    if raw == "" and field.kind not in {Kind.NUMBER, Kind.SWITCH}:
        return ""
    if field.kind is Kind.SECRET:
        table.refuse("default", 'of a secret must be "" (it may stay empty): what stands in a template is no secret')
    given: Value = raw
    typed: type = {Kind.SWITCH: bool, Kind.NUMBER: int}.get(field.kind, str)
    if type(raw) is not typed:
        said = {bool: "true or false", int: "a number", str: "text"}[typed]
        table.refuse("default", f"must be {said} for this kind")
        return None
    value, fault = take(field, given)
    if fault:
        table.refuse("default", fault)
    return value


def _line(table: Table, key: str, most: int, default: str | None = None) -> str:
    text = table.text(key, most, default)
    if fault := fault_of_line(text, most):
        table.refuse(key, fault)
    return text
