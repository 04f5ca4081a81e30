"""Writes YAML that all readers take alike, PyYAML of Python 2 too: flow style, ASCII, all text in double quotes."""

from typing import Any, Final

_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def encode(value: Any, indent: int = 0) -> str:
    """One value: text, numbers, true, false, None, lists and tables of them."""
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    gap = "\n" + " " * (indent + 1)
    if isinstance(value, dict):
        inside = f",{gap}".join(f"{text(key)}: {encode(one, indent + 1)}" for key, one in value.items())
        return f"{{{gap}{inside}}}" if inside else "{}"
    inside = f",{gap}".join(encode(one, indent + 1) for one in value)
    return f"[{gap}{inside}]" if inside else "[]"


def text(said: str) -> str:
    """A text in double quotes. Beyond the BMP YAML has an escape of its own, where JSON has two."""
    return f'"{"".join(_SHORT.get(sign) or _escaped(sign) for sign in said)}"'


def _escaped(sign: str) -> str:
    code = ord(sign)
    if 0x20 <= code < 0x7F:
        return sign
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _number(value: float) -> str:
    # YAML 1.1 takes 1e+20 for text: a number needs its point.
    said = repr(value)
    return said.replace("e", ".0e") if "e" in said and "." not in said else said
