"""Parameter files of job arrays: one row for each job, as CSV with a header or as JSON lines."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.errors import BadInput

MAX_ROWS: Final = 100_000
MAX_COLUMNS: Final = 200
MAX_VALUE_CHARS: Final = 64 * 1024
#: the number of the row, from 0; every array has it
ROW_NUMBER: Final = "n"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_REMEDY: Final = "correct that place; nothing was submitted"


@dataclass(frozen=True)
class Row:
    """One job's values.

    Attributes:
        line: of the file, from 1.
        texts: column -> what is written into commands.
        values: column -> what was read: texts of CSV, any plain value of JSON.
    """

    line: int
    texts: Mapping[str, str]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Parameters:
    """A file's rows; all have the same columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_parameters(path: Path) -> Parameters:
    """Read a file. JSON lines are known by the brace that begins the first line.

    Raises:
        BadInput: the file cannot be used; it names the line and the column.
    """
    try:
        # Not read as text, which would take a carriage return within a value for the end of a line.
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput(f"{path}, line {line}", "it is not text in UTF-8", "write the file anew, in UTF-8") from error
    except OSError as error:
        raise BadInput(str(path), f"it cannot be read ({error.strerror})", "name another file") from error
    is_json = text.lstrip().startswith("{")
    rows = tuple(_read_json(path, text) if is_json else _read_csv(path, text))
    if not rows:
        raise BadInput(str(path), "there are no rows in it", "write a row for each job")
    return Parameters(tuple(rows[0].texts), rows)


def _read_csv(path: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            line = reader.line_num
            if not cells:
                continue
            if not columns:
                columns = _columns(path, line, [cell.strip() for cell in cells])
                continue
            if len(cells) != len(columns):
                at = columns[len(cells)] if len(cells) < len(columns) else f"column {len(columns) + 1}"
                what = f"there are {len(cells)} values for {len(columns)} columns"
                raise _bad(path, line, at, what)
            texts = dict(zip(columns, cells, strict=True))
            yield _row(path, line, texts, texts)
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}", f"it is not CSV ({error})", _REMEDY) from error


def _read_json(path: Path, text: str) -> Iterator[Row]:
    columns: list[str] = []
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            said = json.loads(content, object_pairs_hook=_pairs)
        except json.JSONDecodeError as error:
            where = f"{path}, line {line}, character {error.pos + 1}"
            raise BadInput(where, f"it is not JSON ({error.msg})", _REMEDY) from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {line}", str(error)[:200], _REMEDY) from error
        if not isinstance(said, dict):
            raise BadInput(f"{path}, line {line}", "it is not an object", _REMEDY)
        columns = columns or _columns(path, line, list(said))
        _same_columns(path, line, columns, said)
        texts = {name: _text(path, line, name, said[name]) for name in columns}
        yield _row(path, line, texts, {name: said[name] for name in columns})


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _same_columns(path: Path, line: int, columns: list[str], said: Mapping[str, Any]) -> None:
    missing = [name for name in columns if name not in said]
    more = [name for name in said if name not in columns]
    if missing:
        raise _bad(path, line, missing[0], "it is missing in this row")
    if more:
        raise _bad(path, line, more[0], "the rows before have no such column")


def _text(path: Path, line: int, column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise _bad(path, line, column, "only texts, numbers, true, false and null can be written into a command")


def _columns(path: Path, line: int, names: list[str]) -> list[str]:
    if not 0 < len(names) <= MAX_COLUMNS:
        raise BadInput(f"{path}, line {line}", f"there must be from 1 to {MAX_COLUMNS} columns", _REMEDY)
    for number, name in enumerate(names, 1):
        where = name or f"column {number}"
        if not _NAME.fullmatch(name):
            raise _bad(path, line, where, "a name has letters, digits, - and _, and no digit at its beginning")
        if name == ROW_NUMBER:
            raise _bad(path, line, where, "this name is the number of the row in every file")
        if names.count(name) > 1:
            raise _bad(path, line, where, "there are two columns of this name")
    return names


def _row(path: Path, line: int, texts: Mapping[str, str], values: Mapping[str, Any]) -> Row:
    for name, text in texts.items():
        if "\0" in text:
            raise _bad(path, line, name, "it holds a NUL character")
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise _bad(path, line, name, "it holds half a character (a lone surrogate)")
        if len(text) > MAX_VALUE_CHARS:
            raise _bad(path, line, name, f"it is longer than {MAX_VALUE_CHARS} characters")
    return Row(line, texts, values)


def _bad(path: Path, line: int, column: str, what: str) -> BadInput:
    return BadInput(f"{path}, line {line}, column {column}", what, _REMEDY)
