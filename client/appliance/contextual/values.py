"""What a person filled in, checked field by field. No fault ever repeats a value: it may be a secret."""

import base64
import binascii
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from client.appliance.contextual.faults import nearest
from client.appliance.contextual.language import Field, Kind, Template, Value
from client.appliance.errors import BadContextValues

#: kinds of ssh keys that servers of today take
SSH_KINDS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
#: categories of Unicode that no single line holds: control characters, surrogates, separators of lines and paragraphs
_NOT_IN_A_LINE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: overrides of the direction of writing, which show a text as another
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SWITCH: Final = {
    "on": True,
    "yes": True,
    "true": True,
    "1": True,
    "off": False,
    "no": False,
    "false": False,
    "0": False,
}
MASK: Final = "not-shown"


@dataclass(frozen=True)
class Values:
    """Field -> what it holds, checked. It shows names only."""

    held: Mapping[str, Value]

    def __repr__(self) -> str:
        return f"Values({', '.join(self.held)})"


def check_values(template: Template, given: Mapping[str, Value]) -> Values:
    """Check what was filled in; what was not takes its default. Numbers and switches may come as text.

    Raises:
        BadContextValues: with all that is wrong, and no value in it.
    """
    known = {field.name: field for field in template.fields}
    faults = [f"{name}: the template has no such field{nearest(name, known)}" for name in given if name not in known]
    held: dict[str, Value] = {}
    for field in template.fields:
        value, fault = take(field, given.get(field.name))
        held[field.name] = value
        if fault:
            faults.append(f"{field.name} ({field.label}): {fault}")
    if faults:
        raise BadContextValues(template.name, tuple(faults))
    return Values(MappingProxyType(held))


def masked(template: Template, values: Values) -> Values:
    """The same with a word in place of each secret, to be shown."""
    secret = {field.name for field in template.fields if field.kind is Kind.SECRET}
    return Values({name: MASK if name in secret and value else value for name, value in values.held.items()})


def take(field: Field, given: Value | None) -> tuple[Value, str]:
    """The value of a field and what is wrong with it (empty: nothing). `given` None: its default."""
    if given is None:
        return ("", "must be filled in") if field.default is None else (field.default, "")
    if field.kind is Kind.SWITCH:
        return _switch(given)
    if field.kind is Kind.NUMBER:
        return _number(field, given)
    if not isinstance(given, str):
        return "", "must be text"
    if field.kind is Kind.SSH_KEY:
        given = given.strip()
    if not given:
        return "", "" if field.default == "" else "must be filled in"
    if field.kind is Kind.SCRIPT:
        given = given.replace("\r\n", "\n")
        return given, fault_of_lines(given, field.maximum)
    return given, _fault_of_text(field, given)


def fault_of_line(text: str, most: int = 4096) -> str:
    """What keeps a text from standing on one line."""
    if len(text) > most:
        return f"must have at most {most} characters"
    strange = next((sign for sign in text if unicodedata.category(sign) in _NOT_IN_A_LINE or sign in _TURNING), "")
    if strange:
        return f"must be on one line, and has {_named(strange)} in it"
    return ""


def fault_of_lines(text: str, most: int) -> str:
    """What keeps a text from being a file of text."""
    if len(text) > most:
        return f"must have at most {most} characters"
    strange = next((c for c in text if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"), "")
    return f"has {_named(strange)} in it, which text does not have" if strange else ""


def fault_of_ssh_key(text: str) -> str:
    """What keeps a text from being the one line of a public ssh key."""
    if "PRIVATE KEY" in text:
        return "is a private key, which never leaves its owner: give the public one (the file that ends in .pub)"
    if fault := fault_of_line(text, 16384):
        return fault
    kind, _, rest = text.partition(" ")
    if kind not in SSH_KINDS:
        return f"must begin with the kind of a public ssh key ({', '.join(SSH_KINDS[:2])}, ..., ssh-rsa)"
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if len(blob) < 32 or blob[:4] != len(kind).to_bytes(4, "big") or blob[4 : 4 + len(kind)] != kind.encode():
        return "is not a whole public ssh key: copy the line again"
    return "" if text.isascii() else "must have no letters but a to z in its comment"


def _fault_of_text(field: Field, text: str) -> str:
    if field.kind is Kind.CHOICE:
        return "" if text in field.choices else f"must be one of: {', '.join(field.choices)}"
    if field.kind is Kind.SSH_KEY:
        return fault_of_ssh_key(text)
    if len(text) < field.minimum:
        return f"must have at least {field.minimum} characters"
    return fault_of_line(text, field.maximum)


def _switch(given: Value) -> tuple[Value, str]:
    found = given if isinstance(given, bool) else _SWITCH.get(str(given).lower())
    return (False, "must be on or off") if found is None else (found, "")


def _number(field: Field, given: Value) -> tuple[Value, str]:
    fault = f"must be a whole number from {field.minimum} to {field.maximum}"
    text = str(given).strip()
    digits = text.removeprefix("-")
    if isinstance(given, bool) or not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        return 0, fault
    return int(text), "" if field.minimum <= int(text) <= field.maximum else fault


def _named(sign: str) -> str:
    known = {"\n": "a line end", "\r": "a carriage return", "\0": "a NUL", "\t": "a tabulator", "\x1b": "an escape"}
    return known.get(sign, f"the character U+{ord(sign):04X}")
