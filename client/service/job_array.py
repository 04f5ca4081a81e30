"""Job arrays: one order for each row of a parameter file."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from client.errors import BadInput
from client.service.near import nearest
from client.service.operator import JobOrder
from client.service.parameters import ROW_NUMBER, Parameters, read_parameters
from client.service.shell_template import BadTemplate, ShellTemplate, words_in_braces

#: fields of an order with places, and whether they are shell text
_FIELDS: Final[Mapping[str, bool]] = {"arguments": True, "environment": True, "title": False}


def array_orders(order: JobOrder, path: Path, *, raw: bool) -> list[JobOrder]:
    """The orders of an array.

    `{name}` in arguments, environment and title is replaced; so is a text of `expected` that is nothing but `{name}`,
    by the row's value: in JSON lines also a number.

    Args:
        raw: values become shell text.

    Raises:
        BadInput: the file, or a place for a value, cannot be used.
    """
    parameters = read_parameters(path)
    known = {*parameters.columns, ROW_NUMBER}
    templates = {name: _template(order, name, known, raw or not is_shell) for name, is_shell in _FIELDS.items()}
    used = set().union(*(template.names for template in templates.values()), _expected_names(order.expected, known))
    _refuse_unused(path, parameters, used)
    return list(_orders(order, parameters, templates))


def _template(order: JobOrder, name: str, known: set[str], raw: bool) -> ShellTemplate:
    text: str = getattr(order, name)
    for word in words_in_braces(text):
        near = "" if word in known else nearest(word, known)
        if near:
            remedy = f"did you mean {{{near}}}? {{{{{word}}}}} stays as it is"
            raise BadInput(f"--{name}", f"there is no column {word}", remedy)
    try:
        return ShellTemplate(text, known, raw=raw)
    except BadTemplate as error:
        where = f"--{name}, character {error.position}"
        remedy = "give it as a variable (--env NAME='{column}'), or trust the file as code: --raw"
        raise BadInput(where, error.what, remedy) from error


def _orders(order: JobOrder, parameters: Parameters, templates: Mapping[str, ShellTemplate]) -> Iterator[JobOrder]:
    for number, row in enumerate(parameters.rows):
        texts = {**row.texts, ROW_NUMBER: str(number)}
        filled: dict[str, Any] = {name: template.fill(texts) for name, template in templates.items()}
        if order.expected:
            filled["expected"] = _expected(order.expected, {**row.values, ROW_NUMBER: number})
        yield replace(order, number=1, literal=True, **filled)


def _expected(expected: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(dict(expected))
    for key, value in found.items():
        if isinstance(value, str) and value[:1] == "{" and value[-1:] == "}" and value[1:-1] in values:
            found[key] = values[value[1:-1]]
    return found


def _expected_names(expected: Mapping[str, Any], known: set[str]) -> set[str]:
    words = {value[1:-1] for value in expected.values() if isinstance(value, str)}
    return words & known


def _refuse_unused(path: Path, parameters: Parameters, used: set[str]) -> None:
    if used & {*parameters.columns, ROW_NUMBER}:
        return
    name = parameters.columns[0]
    what = "no value of it is used, so all jobs would be the same"
    raise BadInput(str(path), what, f"write {{{name}}} in --arguments, --environment, --env or --title")
