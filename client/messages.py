"""Error code -> sentences, for every face: what happened, and what is being done or can be done."""

import errno
from collections.abc import Mapping
from typing import Any, Final

from client.errors import ClientError
from client.sentences import CLIENT, RETRY, Sentence
from client.sentences_serving import SERVING

__all__ = ["SENTENCES", "Sentence", "code_of", "fill", "sentence"]

SENTENCES: Final[Mapping[str, Sentence]] = CLIENT | SERVING


def code_of(error: BaseException) -> str:
    """The stable code of any error; a full disk has its own whoever met it."""
    if isinstance(error, ClientError):
        return error.code
    return "disk-full" if _is_full(error) else "internal"


def sentence(error: BaseException) -> Sentence:
    """Both sentences with the error's fields filled in; works for every error, known or not."""
    if isinstance(error, OSError) and _is_full(error):
        return SENTENCES["no-space"]
    if not isinstance(error, ClientError):
        known = SENTENCES["internal"]
        said = _whole(known.text.format(said=error or type(error).__name__))
        return Sentence(said, known.doing, known.severity)
    return fill(error.code, error.details())


def fill(code: str, fields: dict[str, Any]) -> Sentence:
    """The sentences of a code with `fields` filled in; a field that is missing shows as its name."""
    known = SENTENCES.get(code) or Sentence(f"{code.replace('-', ' ').capitalize()}: {{said}}", RETRY)
    words = _Fields({"said": ", ".join(f"{k} {_shown(v)}" for k, v in fields.items())} | _readable(fields))
    return Sentence(_whole(known.text.format_map(words)), _doing(known.doing, words), known.severity)


def _doing(text: str, words: Mapping[str, Any]) -> str:
    # A remedy may be a question: it has its mark already.
    return text.format_map(words).replace("?.", "?")


def _whole(text: str) -> str:
    """The text with a full stop: what ends it is often another program's words."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return key.replace("_", " ")


def _readable(fields: dict[str, Any]) -> dict[str, Any]:
    shown = {name: _shown(value) for name, value in fields.items()}
    for name, value in fields.items():
        if name.endswith("_bytes") and isinstance(value, int):
            shown[name.removesuffix("_bytes") + "_mb"] = f"{value / 1e6:,.0f}"
    return shown


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(_shown(item) for item in value)
    if isinstance(value, ClientError):
        return sentence(value).text
    return str(value).strip()
