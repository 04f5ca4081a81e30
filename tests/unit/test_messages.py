"""Every error has a sentence, whatever its fields hold."""

import importlib
import pkgutil
import string

import pytest

import client
from client.errors import BadInput, ClientError, DiskFull
from client.messages import SENTENCES, fill, sentence


def _all_errors() -> list[type[ClientError]]:
    """Every error class of the program, found by looking into every module of it."""
    for found in pkgutil.walk_packages(client.__path__, "client."):
        importlib.import_module(found.name)
    kinds, todo = set(), [ClientError]
    while todo:
        kind = todo.pop()
        kinds.add(kind)
        todo += kind.__subclasses__()
    return sorted((kind for kind in kinds if kind.__module__.startswith("client.")), key=lambda kind: kind.code)


ERRORS = _all_errors()
#: roots of families are never raised
ROOTS = {"internal", "appliance", "hypervisor", "copilot", "queue", "site"}


@pytest.mark.parametrize("kind", [k for k in ERRORS if k.code not in ROOTS], ids=lambda kind: kind.code)
def test_every_error_has_its_sentence_and_it_uses_fields_that_exist(kind: type[ClientError]) -> None:
    known = SENTENCES[kind.code]
    names = {name for text in (known.text, known.doing) for _, name, _, _ in string.Formatter().parse(text) if name}
    fields = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    fields |= {field.removesuffix("_bytes") + "_mb" for field in fields if field.endswith("_bytes")}
    assert names <= fields


@pytest.mark.parametrize("code", SENTENCES)
def test_sentences_are_sentences(code: str) -> None:
    known = SENTENCES[code]
    assert known.text[0].isupper() or known.text[0] == "{"
    assert known.doing.endswith(".")


def test_sizes_are_said_in_megabytes() -> None:
    said = sentence(DiskFull("/data", 2_000_000_000, 5_000_000))
    assert "2,000 MB are needed, 5 MB are free" in said.text


def test_braces_in_fields_do_no_harm() -> None:
    said = sentence(BadInput("{where}", "{0} {evil!r}", "{x.__class__}"))
    assert "{0} {evil!r}" in said.text


def test_errors_from_elsewhere_and_unknown_codes_still_speak() -> None:
    assert "boom" in sentence(ValueError("boom")).text
    assert fill("never-heard-of", {"said": "words"}).text.startswith("Never heard of")
